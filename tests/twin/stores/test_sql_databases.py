"""Copies of SQL databases: a real PostgreSQL server and real files of SQLite."""

import io
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from pydantic import SecretStr

from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError
from twin.stores import postgres, sql_databases
from twin.stores.postgres import PostgresDatabase, binary, scratch_server
from twin.stores.sql_databases import SqlDatabase, databases_of
from twin.stores.streamed_files import Sink

#: What MLflow's and Airflow's schemas have too: keys that refer to each other, an enumeration, text
#: with line ends, a table without rows, a name that must be quoted.
SCHEMA = r"""
CREATE TYPE stage AS ENUM ('candidate', 'champion');
CREATE TABLE models (id serial PRIMARY KEY, name text NOT NULL, newest integer);
CREATE TABLE versions (id serial PRIMARY KEY, model integer REFERENCES models, stage stage,
                       note text);
ALTER TABLE models ADD FOREIGN KEY (newest) REFERENCES versions;
CREATE TABLE "user" (id integer, data bytea);
CREATE INDEX by_stage ON versions (stage);
INSERT INTO models (name) VALUES ('twin-a'), ('twin-b');
INSERT INTO versions (model, stage, note)
VALUES (1, 'champion', E'ümlaut\nline\\.\n\\.\nend'), (2, NULL, NULL),
       (2, 'candidate', 'COPY x (y) FROM stdin;');
UPDATE models SET newest = 2;
"""
ROWS = {'public."user"': 0, "public.models": 2, "public.versions": 3}


def run_sql(url: str, sql: str) -> str:
    done = subprocess.run(
        [binary("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with scratch_server() as url:
        run_sql(url, SCHEMA)
        yield url


def copy_of(database: SqlDatabase, path: Path) -> dict[str, int]:
    with path.open("wb") as file, Sink(file, nullcontext) as sink:
        return database.copy(sink)


class TestPostgres:
    def test_a_copy_has_all_and_counts_it(self, server: str, tmp_path: Path) -> None:
        copy = tmp_path / "copy.sql"
        assert copy_of(PostgresDatabase("mlflow", server), copy) == ROWS
        assert PostgresDatabase("mlflow", server).rows() == ROWS

    def test_it_is_restored_over_what_is_there(self, server: str, tmp_path: Path) -> None:
        database = PostgresDatabase("mlflow", server)
        copy = tmp_path / "copy.sql"
        copy_of(database, copy)
        try:
            run_sql(server, "DELETE FROM versions WHERE id = 3; INSERT INTO models VALUES (9, 'x')")
            database.restore(copy)
            assert database.rows() == ROWS
            note = run_sql(server, "SELECT note FROM versions WHERE id = 1")
            assert note == "ümlaut\nline\\.\n\\.\nend"
            run_sql(server, "INSERT INTO models (name) VALUES ('next')")
            assert run_sql(server, "SELECT max(id) FROM models") == "3", "sequences go on"
        finally:
            database.restore(copy)

    def test_a_restore_that_fails_changes_nothing(self, server: str, tmp_path: Path) -> None:
        database = PostgresDatabase("mlflow", server)
        copy = tmp_path / "copy.sql"
        copy_of(database, copy)
        copy.write_bytes(copy.read_bytes().replace(b"\tcandidate\t", b"\tnonsense\t"))
        with pytest.raises(BadConfigurationError, match=r"database mlflow: .*nonsense"):
            database.restore(copy)
        assert database.rows() == ROWS

    def test_a_rehearsal_touches_nothing_and_leaves_nothing(
        self, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        database = PostgresDatabase("mlflow", server)
        copy = tmp_path / "copy.sql"
        copy_of(database, copy)
        monkeypatch.setattr("tempfile.tempdir", "/tmp")
        before = {path.name for path in Path("/tmp").glob("postgres-*")}
        run_sql(server, "BEGIN; LOCK TABLE models")
        assert database.rehearse(copy) == ROWS
        assert {path.name for path in Path("/tmp").glob("postgres-*")} == before

    @pytest.mark.parametrize("cut", [200, 2_500])
    def test_a_copy_that_is_cut_off_is_told(self, server: str, tmp_path: Path, cut: int) -> None:
        database = PostgresDatabase("mlflow", server)
        copy = tmp_path / "copy.sql"
        copy_of(database, copy)
        lines = copy.read_bytes().splitlines(keepends=True)
        begun = next(i for i, line in enumerate(lines) if line.startswith(b"COPY public.versions"))
        copy.write_bytes(b"".join(lines[: begun + (0 if cut == 200 else 2)]))
        try:
            rows = database.rehearse(copy)
        except BadDataError as error:
            assert "cannot be restored" in str(error)
        else:
            assert rows != ROWS

    def test_a_server_that_is_away_is_asked_again_later(self, tmp_path: Path) -> None:
        database = PostgresDatabase("mlflow", "postgresql://twin:secret@127.0.0.1:1/mlflow")
        with pytest.raises(TryAgainError, match=r"mlflow: .*Connection refused") as told:
            copy_of(database, tmp_path / "copy")
        assert "secret" not in str(told.value)

    def test_a_database_that_is_not_there_is_a_matter_of_configuration(
        self, server: str, tmp_path: Path
    ) -> None:
        database = PostgresDatabase("mlflow", server.replace("/postgres?", "/nowhere?"))
        with pytest.raises(BadConfigurationError, match='"nowhere" does not exist'):
            copy_of(database, tmp_path / "copy")

    def test_the_password_is_in_no_argument(self, tmp_path: Path, monkeypatch) -> None:
        seen: list[list[str]] = []
        environments: list[dict[str, str]] = []
        real = subprocess.Popen

        def popen(command: list[str], **options: object) -> object:
            seen.append(command)
            environments.append(options["env"])  # type: ignore[arg-type]
            return real(["true"], **options)  # type: ignore[call-overload]

        monkeypatch.setattr(postgres.subprocess, "Popen", popen)
        database = PostgresDatabase(
            "a", "postgresql+psycopg2://ann:p%40ss@db:5433/x?sslmode=require"
        )
        copy_of(database, tmp_path / "copy")
        assert seen[0][-1] == "--dbname=postgresql://ann@db:5433/x?sslmode=require"
        assert environments[0]["PGPASSWORD"] == "p@ss"
        assert not any("p@ss" in word or "p%40ss" in word for word in seen[0])


class TestSqlite:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "mlflow.db"
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE runs (id INTEGER)")
            connection.execute('CREATE TABLE "my ""table" (id INTEGER)')
            connection.executemany("INSERT INTO runs VALUES (?)", [(n,) for n in range(1000)])
        return path

    def database(self, path: Path) -> SqlDatabase:
        return databases_of({"mlflow": SecretStr(f"sqlite:///{path}")})["mlflow"]

    def test_a_copy_is_of_one_moment_and_is_restored(self, path: Path, tmp_path: Path) -> None:
        writer = sqlite3.connect(path)
        writer.execute("INSERT INTO runs VALUES (1)")  # not committed
        rows = copy_of(self.database(path), tmp_path / "copy")
        assert rows == {"runs": 1000, 'my "table': 0}
        assert self.database(path).rehearse(tmp_path / "copy") == rows
        writer.rollback()
        writer.execute("DELETE FROM runs")
        writer.commit()
        writer.close()
        self.database(path).restore(tmp_path / "copy")
        assert sqlite3.connect(path).execute("SELECT count(*) FROM runs").fetchone() == (1000,)

    def test_damage_is_told_before_anything_is_written(self, path: Path, tmp_path: Path) -> None:
        copy_of(self.database(path), tmp_path / "copy")
        content = bytearray((tmp_path / "copy").read_bytes())
        content[4096:8000] = os.urandom(8000 - 4096)
        (tmp_path / "copy").write_bytes(bytes(content))
        for use in (self.database(path).restore, self.database(path).rehearse):
            with pytest.raises(BadDataError, match="no whole database"):
                use(tmp_path / "copy")
        assert sqlite3.connect(path).execute("SELECT count(*) FROM runs").fetchone() == (1000,)

    def test_a_program_at_work_is_not_overwritten(
        self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sql_databases, "LOCK_SECONDS", 0.1)
        copy_of(self.database(path), tmp_path / "copy")
        with sqlite3.connect(path, isolation_level=None) as program:
            program.execute("BEGIN IMMEDIATE")
            with pytest.raises(TryAgainError, match="is its program at work"):
                self.database(path).restore(tmp_path / "copy")
            program.execute("ROLLBACK")

    def test_a_file_that_is_not_there_is_not_made(self, tmp_path: Path) -> None:
        with pytest.raises(BadConfigurationError, match="no file"):
            self.database(tmp_path / "x.db").copy(Sink(io.BytesIO(), nullcontext))
        assert not (tmp_path / "x.db").exists()


@pytest.mark.parametrize(
    ("name", "url", "fault"),
    [
        ("ml/flow", "sqlite:////x", "'ml/flow' is no name"),
        ("mlflow", "sqlite:///relative.db", "mlflow is at sqlite://"),
        ("mlflow", "mysql://ann:secret@host/x", "mlflow is at mysql://"),
    ],
)
def test_other_addresses_are_refused_without_their_password(
    name: str, url: str, fault: str
) -> None:
    with pytest.raises(BadConfigurationError, match=fault) as told:
        databases_of({name: SecretStr(url)})
    assert "secret" not in str(told.value)
