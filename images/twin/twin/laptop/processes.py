"""supervisord, started and spoken to: it keeps the platform's processes up and ends them all."""

import contextlib
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from twin.domain.errors import TwinError

CONFIGURATION = Path(__file__).with_name("supervisord.conf")
STARTED = {"STARTING", "RUNNING"}


class Processes:
    """The processes of one platform, behind supervisord's control socket."""

    def __init__(self, socket: Path, home: Path) -> None:
        self._socket = socket
        self._home = home

    @property
    def logs(self) -> Path:
        """Folder with a log file for each process."""
        return self._home / "logs"

    def running(self) -> bool:
        """Whether supervisord answers on the socket."""
        try:
            with self._server() as server:
                server.supervisor.getState()
        except (OSError, xmlrpc.client.Error):
            return False
        return True

    def launch(self, environment: Mapping[str, str], seconds: float = 20) -> None:
        """Start supervisord in the background, detached from this terminal.

        Raises:
            TwinError: it did not come up; the message names its log.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / "supervisord.out"
        with log.open("ab") as output:
            daemon = subprocess.Popen(  # noqa: S603 - our own interpreter and file
                [sys.executable, "-m", "supervisor.supervisord", "-c", str(CONFIGURATION)],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + seconds
        while not self.running():
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise TwinError(f"the process supervisor did not start: see {log}")
            time.sleep(0.1)

    def states(self) -> dict[str, str]:
        """Name of every process to its state (supervisord's words: RUNNING, FATAL, …)."""
        with self._server() as server:
            rows: Any = server.supervisor.getAllProcessInfo()
        return {row["name"]: row["statename"] for row in rows}

    def start(self, name: str) -> None:
        """Start a process unless it is up; does not wait until it is ready."""
        if self.states()[name] not in STARTED:
            with self._server() as server:
                server.supervisor.startProcess(name, False)

    def pids(self) -> set[int]:
        """Process ids of supervisord and of everything below it, grandchildren included."""
        try:
            with self._server() as server:
                root = psutil.Process(int(str(server.supervisor.getPID())))
            return {root.pid, *(child.pid for child in root.children(recursive=True))}
        except (OSError, xmlrpc.client.Error, psutil.NoSuchProcess):
            return set()

    def shut_down(self, seconds: float = 60) -> int:
        """End every process, the ones that left their group as well; return how many there were.

        Only processes below this platform's own supervisord are touched.
        """
        family = [psutil.Process(pid) for pid in self.pids() if psutil.pid_exists(pid)]
        with contextlib.suppress(OSError, xmlrpc.client.Error), self._server() as server:
            server.supervisor.shutdown()
        _, left = psutil.wait_procs(family, timeout=seconds)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=10)
        return len(family)

    @contextlib.contextmanager
    def _server(self) -> Iterator[xmlrpc.client.ServerProxy]:
        from supervisor.xmlrpc import SupervisorTransport

        transport = SupervisorTransport(serverurl=f"unix://{self._socket}")
        try:
            yield xmlrpc.client.ServerProxy("http://localhost", transport=transport)
        finally:
            transport.close()


def proportional_memory_mb(pids: set[int]) -> float:
    """Memory of these processes in MiB, pages that several share divided among them (PSS)."""
    total = 0
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += psutil.Process(pid).memory_full_info().pss
    return total / 2**20
