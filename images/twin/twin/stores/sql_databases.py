"""Copies of SQL databases that other programs own, such as MLflow's and Airflow's.

PostgreSQL is copied by pg_dump as a script that psql reads, SQLite by its online backup
(https://www.sqlite.org/backup.html): each is the database as it was at one moment, while its
program goes on working. The rows of every table are counted, so that a restore can be compared.
"""

import re
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError
from twin.stores.streamed_files import CHUNK_BYTES, ByteSource, Sink

#: What may name a database: it becomes part of a file's name.
NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")

#: What waits for a database of SQLite that another process has locked.
LOCK_SECONDS = 10.0


class SqlDatabase(Protocol):
    """A database that can be copied and put back.

    Raises (all methods): `TryAgainError` if it does not answer or is in use,
    `BadConfigurationError` if it refuses, `BadDataError` if a copy is damaged.
    """

    suffix: str
    """Of the files of its copies, such as ``.sql``."""

    def copy(self, sink: Sink) -> dict[str, int]:
        """Write a copy; returns the rows that it has by table."""
        ...

    def restore(self, source: ByteSource) -> None:
        """Replace the tables of the copy by those of the copy, all of them or none."""
        ...

    def rehearse(self, source: ByteSource) -> dict[str, int]:
        """Restore a copy beside the database, on this machine, and throw it away.

        Returns:
            Rows by table, as they were restored.
        """
        ...


def databases_of(urls: Mapping[str, SecretStr]) -> dict[str, SqlDatabase]:
    """Databases by name, of their addresses as SQLAlchemy writes them.

    Raises:
        BadConfigurationError: a name or an address is none; the message shows no password.
    """
    return {name: _database(name, url.get_secret_value()) for name, url in sorted(urls.items())}


def _database(name: str, url: str) -> SqlDatabase:
    from twin.stores.postgres import PostgresDatabase

    scheme = url.partition("://")[0]
    if not NAME.fullmatch(name):
        raise BadConfigurationError(
            f"TWIN_DATABASES: {name!r} is no name: lower-case letters, digits and hyphens"
        )
    if scheme.partition("+")[0] in ("postgresql", "postgres"):
        return PostgresDatabase(name, url)
    if scheme == "sqlite" and url.startswith("sqlite:////"):
        return SqliteDatabase(name, Path(url.removeprefix("sqlite:///")))
    raise BadConfigurationError(
        f"TWIN_DATABASES: {name} is at {scheme}://…; postgresql://USER:PASSWORD@HOST/NAME and "
        "sqlite:////ABSOLUTE/PATH can be copied"
    )


class SqliteDatabase:
    """A database in one file."""

    suffix = ".sqlite"

    def __init__(self, name: str, path: Path) -> None:
        self._name = name
        self._path = path

    def copy(self, sink: Sink) -> dict[str, int]:
        """See `SqlDatabase`. The file lies on this disk, and so does the copy for a while."""
        if not self._path.is_file():
            raise BadConfigurationError(f"TWIN_DATABASES: {self._name}: no file {self._path}")
        with tempfile.TemporaryDirectory(prefix="database-") as scratch:
            path = Path(scratch) / "copy"
            with self._plainly(), _opened(self._path) as source, _opened(path) as target:
                source.backup(target, progress=self._patience())
                rows = _rows(target)
            with path.open("rb") as file:
                shutil.copyfileobj(file, sink, CHUNK_BYTES)
        return rows

    def restore(self, source: ByteSource) -> None:
        """See `SqlDatabase`."""
        with self._unpacked(source) as copy, self._plainly(), _opened(self._path) as target:
            copy.backup(target, progress=self._patience())

    def rehearse(self, source: ByteSource) -> dict[str, int]:
        """See `SqlDatabase`."""
        with self._unpacked(source) as copy:
            return _rows(copy)

    @contextmanager
    def _unpacked(self, source: ByteSource) -> Iterator[sqlite3.Connection]:
        with tempfile.TemporaryDirectory(prefix="database-") as scratch:
            path = Path(scratch) / "copy"
            with source.open("rb") as packed, path.open("wb") as file:
                shutil.copyfileobj(packed, file, CHUNK_BYTES)
            with _opened(path) as copy:
                try:
                    found = copy.execute("PRAGMA integrity_check").fetchone()[0]
                except sqlite3.DatabaseError as error:
                    found = str(error)
                if found != "ok":
                    raise BadDataError(f"{source}: no whole database: {found}")
                yield copy

    def _patience(self) -> Callable[[int, int, int], None]:
        """What an online backup calls, which by itself would wait for a lock for ever."""
        deadline = time.monotonic() + LOCK_SECONDS

        def progress(status: int, _remaining: int, _total: int) -> None:
            if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and (
                time.monotonic() > deadline
            ):
                raise TryAgainError(
                    f"database {self._name} at {self._path} is locked: is its program at work?"
                )

        return progress

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise TryAgainError(f"database {self._name} at {self._path}: {error}") from None
        except sqlite3.DatabaseError as error:
            raise BadDataError(f"database {self._name} at {self._path}: {error}") from None


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None)) as connection:
        yield connection


def _rows(connection: sqlite3.Connection) -> dict[str, int]:
    query = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
    names = [str(row[0]) for row in connection.execute(query)]
    quoted = {name: '"' + name.replace('"', '""') + '"' for name in names}
    return {
        name: int(connection.execute(f"SELECT count(*) FROM {quoted[name]}").fetchone()[0])  # noqa: S608
        for name in names
    }
