"""Commands of `twin` in processes that are forked from one which has imported what they import.

What a command imports takes a second or two of a processor, a fork some milliseconds. So each
process of pytest starts a server for commands of crawling, another for those of later stages, when
a test first asks for one; they end with it. There are two of each, which take turns: so a command
has another hash seed than the one before it, as processes have, and what depends on the order of a
set is noticed.

Such a command has a process, an environment, a folder and streams of its own, and ends as it would
otherwise. It has no imports of its own: tests of what is imported, how fast, and by which
interpreter start `twin` itself.
"""

import atexit
import gc
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
#: What reads its environment when it is imported starts without what a test has set, or `twin`.
OWN_VARIABLES = ("TWIN_", "HF_", "TOKENIZERS_", "MLFLOW_")
LARGEST_REQUEST = 200_000
TURNS = itertools.cycle((0, 1))

CRAWLING = (
    "twin.cli", "twin.crawl.commands", "twin.crawl.run", "twin.crawl.dry_run", "twin.crawl.replay",
    "twin.crawl.web.spider", "twin.crawl.web.politeness", "twin.crawl.web.download",
    "twin.crawl.web.scheduler", "twin.crawl.formats.html", "twin.stores.warehouse_commands",
    "pymongo", "scrapy.core.downloader.handlers.http11", "scrapy.crawler", "scrapy.squeues",
    "trafilatura", "tldextract",
)  # fmt: skip
# Not torch: seconds of a processor, and few commands come to need it.
INDEXING = (
    "twin.cli", "twin.features.commands", "twin.features.build", "twin.features.verify",
    "twin.datasets.commands", "twin.datasets.make", "twin.training.commands",
    "twin.evaluation.commands", "twin.evaluation.evaluate", "twin.models.openvino_encoder", "numpy",
    "twin.rollout.commands", "twin.rollout.reconciling", "twin.rollout.standing",
    "openvino", "pymongo", "qdrant_edge", "tokenizers",
)  # fmt: skip
OF_CRAWLING = {"author", "backup", "crawl", "recipe", "warehouse"}


class TwinProcess(subprocess.Popen[Any]):
    """As `subprocess.Popen`, but of ``twin`` with these arguments, in the way of this module."""

    def _execute_child(  # noqa: PLR0917 - of the base class
        self, args: Sequence[Any], executable: Any, preexec_fn: Any, close_fds: Any, pass_fds: Any,
        cwd: Any, env: Any, startupinfo: Any, creationflags: Any, shell: Any, p2cread: int,
        p2cwrite: int, c2pread: int, c2pwrite: int, errread: int, errwrite: int,
        restore_signals: Any, gid: Any, gids: Any, uid: Any, umask: Any, start_new_session: bool,
        process_group: Any,
    ) -> None:  # fmt: skip
        request = {
            "arguments": [os.fspath(argument) for argument in args],
            "folder": os.fspath(cwd or Path.cwd()),
            "environment": dict(os.environ if env is None else env),
            "session": start_new_session,
        }
        given = zip((p2cread, c2pwrite, errwrite), (0, 1, 2), strict=True)
        streams = [own if stream == -1 else stream for stream, own in given]
        self._replies, other = socket.socketpair()
        with other:
            modules = CRAWLING if args[0] in OF_CRAWLING else INDEXING
            server = _server(modules, next(TURNS))
            message = json.dumps(request).encode()
            socket.send_fds(server, [message], [*streams, other.fileno()])
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)
        self.pid = self._reply(0)
        self._child_created = True

    def _reply(self, flags: int) -> int:
        data = self._replies.recv(4, flags)
        if len(data) != 4:
            raise RuntimeError("the server that forks commands has ended, see its error above")
        return int.from_bytes(data, "little")

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        try:
            return self.pid, self._reply(socket.MSG_DONTWAIT if wait_flags else 0)
        except BlockingIOError:
            return 0, 0

    def _internal_poll(self, _deadstate: Any = None, **_: Any) -> int | None:
        if self.returncode is None and self._waitpid_lock.acquire(blocking=False):
            try:
                pid, status = self._try_wait(os.WNOHANG)
                if pid:
                    self._handle_exitstatus(status)
            finally:
                self._waitpid_lock.release()
        return self.returncode


def run_twin(
    *arguments: str | Path, timeout: float | None = None, **options: Any
) -> "subprocess.CompletedProcess[str]":
    """As `subprocess.run` with what it prints captured as text; ``options`` are `Popen`'s."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    with TwinProcess(arguments, **streams) as process:
        try:
            output, error = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, output, error)


@cache
def _server(modules: tuple[str, ...], turn: int) -> socket.socket:
    """The socket of one of two servers with these modules; it ends once that is closed."""
    ours, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)
    }
    with other:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.forked_twin", str(other.fileno()), *modules],
            pass_fds=[other.fileno()], cwd=ROOT, env=variables,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


def _serve(control: socket.socket, defaults: dict[str, str]) -> None:
    """Fork for each request; returns in the process that is to be its command."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever waits for a command leaves no zombie
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, LARGEST_REQUEST, 4)
        if not message:
            os._exit(0)
        if os.fork() == 0:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if (pid := os.fork()) == 0:
                _prepare(json.loads(message), descriptors, defaults)
                return
            _tell(pid, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _tell(pid: int, descriptors: Sequence[int]) -> None:
    """Tell who asked for a command its process id, then how it has ended."""
    *streams, number = descriptors
    for descriptor in (0, 1, 2, *streams):
        os.close(descriptor)
    replies = socket.socket(fileno=number)
    replies.send(pid.to_bytes(4, "little"))
    _, status = os.waitpid(pid, 0)
    replies.send(status.to_bytes(4, "little"))
    os._exit(0)


def _prepare(request: dict[str, Any], descriptors: Sequence[int], defaults: dict[str, str]) -> None:
    """Make this process what it would be if it had been started for this command."""
    if request["session"]:
        os.setsid()
    for number, stream in enumerate(descriptors[:3]):
        os.dup2(stream, number)
    for descriptor in descriptors:
        os.close(descriptor)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update({**defaults, **request["environment"]})
    tempfile.tempdir = None
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    sys.argv = ["twin", *request["arguments"]]


if __name__ == "__main__":
    before = set(os.environ)
    for module in sys.argv[2:]:
        import_module(module)
    from twin.cli import main

    assert threading.active_count() == 1, "a thread would be missing in every command"
    assert "twisted.internet.reactor" not in sys.modules, "a crawl chooses its own"
    gc.freeze()  # else the first collection of each command would copy all that it shares
    added = {name: value for name, value in os.environ.items() if name not in before}
    _serve(socket.socket(fileno=int(sys.argv[1])), added)
    sys.exit(main())
