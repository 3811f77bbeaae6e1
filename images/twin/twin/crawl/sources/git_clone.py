"""Shallow clones of strangers' repositories, read without ever being checked out.

Objects are read from a bare clone, so no file of the repository is written under its own name:
no symbolic link, no hook, no filter and no submodule of it is ever followed or run.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

PREFIX = "twin-clone-"
_POLL_SECONDS = 0.1
_STOP_SECONDS = 5
_REGULAR_FILES = {"100644", "100755"}


class GitError(Exception):
    """git did not do what it was asked; the text says why, in git's words."""

    def __init__(self, reason: str, *, transient: bool = False) -> None:
        super().__init__(reason)
        self.transient = transient


@dataclass(frozen=True)
class File:
    """A regular file of a commit: its path (UTF-8) and the SHA of its content."""

    path: str
    sha: str


@dataclass(frozen=True)
class CloneLimits:
    """What one clone may take.

    Attributes:
        resolve: ``host:port:address`` that git is to connect to without resolving the host.
        file_bytes: larger files are not downloaded, where the server can leave them out.
    """

    bytes: int
    seconds: float
    file_bytes: int
    resolve: str | None = None
    user_agent: str | None = None


class Clone:
    """A bare, shallow clone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def branch(self) -> str:
        """Name of the default branch."""
        return self._output("symbolic-ref", "--short", "HEAD").strip()

    def committed(self) -> datetime | None:
        """When the last commit was made; None in a repository without one."""
        try:
            return datetime.fromisoformat(self._output("log", "-1", "--format=%cI").strip())
        except (GitError, ValueError):
            return None

    def files(self) -> list[File]:
        """Regular files of the last commit by path; no links, no submodules."""
        found = []
        for entry in self._output("ls-tree", "-r", "-z", "HEAD").split("\0"):
            header, _, path = entry.partition("\t")
            if not path:
                continue
            mode, kind, sha = header.split()
            if kind == "blob" and mode in _REGULAR_FILES and _is_text(path):
                found.append(File(path, sha))
        return sorted(found, key=lambda file: file.path)

    def contents(self, files: Sequence[File], max_bytes: int) -> Iterator[tuple[File, bytes | int]]:
        """Each file with its content, or with its size if it is larger than ``max_bytes``.

        A file that the server left out for its size has the size ``max_bytes + 1``.
        """
        sizes = self._sizes(files)
        process = subprocess.Popen(  # noqa: S603 - fixed arguments, no shell
            _command("--git-dir", str(self._folder), "cat-file", "--batch"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,
        )
        stdin, stdout = process.stdin, process.stdout
        try:
            if stdin is None or stdout is None:  # for the type checker: both are pipes
                raise GitError("git cat-file has no pipes")
            for file in files:
                size = sizes.get(file.sha, max_bytes + 1)
                if size > max_bytes:
                    yield file, size
                    continue
                yield file, _object(stdin, stdout, file.sha, size)
        finally:
            _end(process)

    def _sizes(self, files: Sequence[File]) -> dict[str, int]:
        wanted = "".join(f"{file.sha}\n" for file in files)
        found = self._output("cat-file", "--batch-check", text=wanted)
        rows = (line.split() for line in found.splitlines())
        return {row[0]: int(row[2]) for row in rows if len(row) == 3}

    def _output(self, *arguments: str, text: str = "") -> str:
        done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            _command("--git-dir", str(self._folder), *arguments),
            input=text.encode(),
            capture_output=True,
            env=_environment(),
            check=False,
        )
        if done.returncode:
            raise GitError(_reason(done.stderr.decode(errors="replace")))
        return done.stdout.decode(errors="surrogateescape")


@contextmanager
def cloned(url: str, limits: CloneLimits) -> Iterator[Clone]:
    """A clone of ``url`` for the length of a ``with`` block; then its folder is deleted.

    Raises:
        GitError: the clone failed, took too long or grew too large.
    """
    if shutil.which("git") is None:
        raise GitError("there is no git on this machine: install it, or use the crawl image")
    remove_left_clones()
    with _scratch() as folder:
        target = folder / "repository.git"
        _run(_clone_command(url, target, limits), url.partition(":")[0], folder, limits)
        clone = Clone(target)
        # Without a remote no command fetches what the server left out.
        clone._output("remote", "remove", "origin")
        yield clone


def remove_left_clones() -> None:
    """Delete the folders of processes that were killed before they could."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            handle = os.open(left, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(handle)


@contextmanager
def _scratch() -> Iterator[Path]:
    """A temporary folder with a lock that says that its process is alive."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield Path(folder)
        finally:
            os.close(handle)


def _clone_command(url: str, target: Path, limits: CloneLimits) -> list[str]:
    options = ["-c", "http.followRedirects=false"]
    if limits.resolve:
        options += ["-c", f"http.curloptResolve={limits.resolve}"]
    if limits.user_agent:
        options += ["-c", f"http.userAgent={limits.user_agent}"]
    return _command(
        *options, "clone", "--quiet", "--bare", "--depth=1", "--single-branch", "--no-tags",
        f"--filter=blob:limit={limits.file_bytes + 1}", "--template=", "--", url, str(target),
    )  # fmt: skip


def _command(*arguments: str) -> list[str]:
    safe = (
        "core.hooksPath=/dev/null", "core.fsmonitor=false", "core.symlinks=false",
        "credential.helper=", "submodule.recurse=false", "gc.auto=0", "maintenance.auto=false",
    )  # fmt: skip
    return ["git", *(part for option in safe for part in ("-c", option)), *arguments]


def _environment(protocol: str = "") -> dict[str, str]:
    """What git needs of this process's environment, none of its settings or credentials.

    Args:
        protocol: the only one that git may speak; none by default.
    """
    kept = ("PATH", "LANG", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO",
            "https_proxy", "HTTPS_PROXY", "http_proxy", "no_proxy", "NO_PROXY")  # fmt: skip
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_ALLOW_PROTOCOL": protocol,
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
    }


def _run(command: list[str], protocol: str, folder: Path, limits: CloneLimits) -> None:
    """Run a clone within its limits; whatever ends it, no process of it is left."""
    log = folder / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603 - fixed arguments, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=_environment(protocol),
            start_new_session=True,
        )
    deadline = time.monotonic() + limits.seconds
    try:
        while process.poll() is None:
            if time.monotonic() > deadline:
                raise GitError(f"took longer than {limits.seconds:g} seconds", transient=True)
            _check_size(folder, limits.bytes)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_SECONDS)
        _check_size(folder, limits.bytes)
    finally:
        _end(process)
    if process.returncode:
        reason = _reason(log.read_text(encoding="utf-8", errors="replace"))
        raise GitError(reason, transient=_may_pass(reason))


def _object(stdin: IO[bytes], stdout: IO[bytes], sha: str, size: int) -> bytes:
    """Content of an object from ``git cat-file --batch``: a header line, the content, a line end.

    Raises:
        GitError: git ended; half a file would be silent damage.
    """
    try:
        stdin.write(f"{sha}\n".encode())
        stdin.flush()
        stdout.readline()
        content = stdout.read(size)
        end = stdout.read(1)
    except OSError as error:
        raise GitError(f"git cat-file ended: {error.strerror}") from None
    if len(content) != size or end != b"\n":
        raise GitError(f"git cat-file gave {len(content)} of {size} bytes")
    return content


def _check_size(folder: Path, limit: int) -> None:
    size = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            size += path.lstat().st_size
    if size > limit:
        raise GitError(f"larger than {limit:,} bytes")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process with its children, if it still runs."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)


def _reason(errors: str) -> str:
    """The line in which git says what is wrong."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))]
    line = next((line for line in told if line.startswith("fatal:")), (told or lines or [""])[-1])
    return line.removeprefix("fatal:").removeprefix("error:").strip()[:300] or "git failed"


def _may_pass(reason: str) -> bool:
    signs = ("resolve host", "connect", "timed out", "hung up", "early eof", "error: 5",
             "error: 429", "reset by peer", "rpc failed")  # fmt: skip
    return any(sign in reason.lower() for sign in signs)


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8 have no URL on GitHub either
        return False
    return True
