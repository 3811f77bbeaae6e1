"""Real servers for tests: each is started on a free port of its own and ended by its pid."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

#: The servers are programs of the jobs' environment, also if Airflow's environment runs the test.
BIN = next(
    (
        folder
        for folder in (
            Path(sys.prefix) / "bin",
            Path(__file__).parent.parent / ".venvs" / "jobs" / "bin",
        )
        if (folder / "secantusd-py").exists()
    ),
    Path(sys.prefix) / "bin",
)


def free_port() -> int:
    """A TCP port on loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_open(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts connections on this port."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex((host, port)) == 0


def wait_until(
    ready: Callable[[], bool], what: str, seconds: float = 60, pause: float = 0.05
) -> None:
    """Wait until ``ready()``; fail the test with ``what`` after so many seconds."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not after {seconds:.0f} s")
        time.sleep(pause)


@contextmanager
def server(
    command: Sequence[str | Path],
    port: int,
    log: Path,
    environment: Mapping[str, str] | None = None,
    seconds: float = 60,
    host: str = "127.0.0.1",
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in its own process group until the block ends; yield its process."""
    process = start(command, port, log, environment, seconds, host)
    try:
        yield process
    finally:
        end_group(process)


def start(
    command: Sequence[str | Path],
    port: int,
    log: Path,
    environment: Mapping[str, str] | None = None,
    seconds: float = 60,
    host: str = "127.0.0.1",
) -> subprocess.Popen[bytes]:
    """Start a server in its own process group and wait until its port is open."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    try:
        wait_until(
            lambda: process.poll() is not None or is_open(port, host),
            f"{command[0]} on {port}",
            seconds,
        )
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} ended at once:\n{log.read_text()[-2000:]}")
    except BaseException:
        end_group(process)
        raise
    return process


def end_group(process: subprocess.Popen[bytes], grace: float = 10) -> None:
    """End a process and its group: SIGTERM, then SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number)
            try:
                process.wait(grace)
            except subprocess.TimeoutExpired:
                continue
    process.wait()


@contextmanager
def warehouse_server(
    folder: Path, port: int | None = None, host: str = "127.0.0.1"
) -> Iterator[tuple[str, int, int]]:
    """A MongoDB-protocol server storing in ``folder``; yields (uri, port, pid)."""
    port = port or free_port()
    command = [
        BIN / "secantusd-py", "--host", host, "--port", str(port), "--storage-path", folder,
        "--sync-on-commit", "--cache-size", "256M", "--oplog-max-entries", "20000",
    ]  # fmt: skip
    with server(command, port, folder.parent / f"warehouse-{port}.log", host=host) as process:
        uri = f"mongodb://{host}:{port}/?journal=true&directConnection=true"
        yield f"{uri}&serverSelectionTimeoutMS=2000", port, process.pid


@contextmanager
def index_server(folder: Path, port: int | None = None, *options: str) -> Iterator[tuple[str, int]]:
    """A process that answers as a Qdrant server, storing in ``folder``; yields (URL, pid).

    For options, which say where in the middle of a write it dies or waits, see the module it runs.
    """
    port = port or free_port()
    command = [BIN / "python", "-m", "tests.qdrant_routes", folder, str(port), *options]
    root = Path(__file__).parent.parent
    path = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    log = folder.parent / f"index-{port}.log"
    with server(command, port, log, {"PYTHONPATH": path}) as process:
        yield f"http://127.0.0.1:{port}", process.pid


@contextmanager
def mlflow_server(folder: Path, port: int | None = None, **variables: str) -> Iterator[str]:
    """An MLflow tracking server and registry on SQLite in ``folder``; yields its URL.

    ``variables`` are more of its environment.
    """
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        BIN / "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination", str(folder / "artifacts"), "--serve-artifacts",
    ]  # fmt: skip
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **variables}
    with server(command, port, folder / "mlflow.log", environment, seconds=120):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def web_server(folder: Path, port: int | None = None) -> Iterator[str]:
    """A static web server on loopback; yields its base URL."""
    port = port or free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "-d", folder]
    with server(command, port, folder.parent / f"web-{port}.log"):
        yield f"http://127.0.0.1:{port}"


def remove(folder: Path) -> None:
    """Delete a folder that a killed server may still be writing to."""
    shutil.rmtree(folder, ignore_errors=True)
