"""Backups of SQL databases: real ones of SQLite, and one of PostgreSQL."""

import gzip
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.twin.backup.test_copies import RECIPE
from twin.backup.databases import (
    DatabaseBackups,
    back_up_databases,
    rehearse_databases,
    restore_database,
)
from twin.domain.errors import BadConfigurationError, BadDataError, NothingToDo, TryAgainError
from twin.domain.result import JobResult
from twin.job import Job
from twin.settings import Settings
from twin.stores.postgres import scratch_server
from twin.stores.streamed_files import open_streams


def make_database(path: Path, rows: int) -> SecretStr:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE runs (id INTEGER)")
        connection.executemany("INSERT INTO runs VALUES (?)", [(n,) for n in range(rows)])
    return SecretStr(f"sqlite:///{path}")


def count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    databases = {
        "mlflow": make_database(tmp_path / "mlflow.db", 5),
        "airflow": make_database(tmp_path / "airflow.db", 7),
    }
    return Settings(home=tmp_path, files_uri=str(tmp_path / "bucket"), databases=databases)


def job(settings: Settings) -> Job:
    return Job(RECIPE, settings, "r1", JobResult(job="backup", recipe="toy", run_id="r1"))


def back_up(settings: Settings, keep: int = 14) -> str:
    done = job(settings)
    back_up_databases(done, keep=keep)
    assert done.counts.written == 12 and done.result.detail["rows"] == {"airflow": 7, "mlflow": 5}
    return done.result.ids["backup"]


def backups(settings: Settings) -> DatabaseBackups:
    return DatabaseBackups(open_streams(settings))


def test_each_is_saved_and_put_back_by_itself(settings: Settings, tmp_path: Path) -> None:
    name = back_up(settings)
    assert backups(settings).manifest(name).rows == {
        "airflow": {"runs": 7}, "mlflow": {"runs": 5},
    }  # fmt: skip
    for lost in ("mlflow", "airflow"):
        with closing(sqlite3.connect(tmp_path / f"{lost}.db")) as connection, connection:
            connection.execute("DELETE FROM runs")
    restore_database(job(settings), "mlflow")
    assert (count(tmp_path / "mlflow.db"), count(tmp_path / "airflow.db")) == (5, 0)


def test_the_oldest_go(settings: Settings) -> None:
    names = [back_up(settings, keep=2) for _ in range(3)]
    assert len(set(names)) == 3
    assert backups(settings).names() == sorted(backups(settings).names())
    assert len(backups(settings).names()) == 2


def test_a_drill_restores_beside_them(settings: Settings, tmp_path: Path) -> None:
    back_up(settings)
    (tmp_path / "mlflow.db").unlink()
    done = job(settings)
    rehearse_databases(done)
    assert done.result.detail["rows"] == {"airflow": 7, "mlflow": 5} and done.counts.read == 12
    assert not (tmp_path / "mlflow.db").exists()


def test_a_drill_notices_a_row_that_is_missing(settings: Settings, tmp_path: Path) -> None:
    name = back_up(settings)
    folder = shutil.copytree(tmp_path / "bucket/database-backups" / name, tmp_path / "other")
    make_database(tmp_path / "less.db", 4)
    (folder / "mlflow.sqlite.gz").write_bytes(gzip.compress((tmp_path / "less.db").read_bytes()))
    open_streams(settings).publish_folder(folder, f"database-backups/{name}", replace=True)
    with pytest.raises(BadDataError, match=f"backup {name}, database mlflow: .*runs: 4 for 5"):
        rehearse_databases(job(settings))


def test_a_flipped_byte_is_noticed_before_anything_is_written(
    settings: Settings, tmp_path: Path
) -> None:
    name = back_up(settings)
    path = tmp_path / "bucket/database-backups" / name / "mlflow.sqlite.gz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    make_database(tmp_path / "now.db", 1)
    shutil.move(tmp_path / "now.db", tmp_path / "mlflow.db")
    for use in (rehearse_databases, lambda done: restore_database(done, "mlflow")):
        with pytest.raises(BadDataError, match="not those published"):
            use(job(settings))
    assert count(tmp_path / "mlflow.db") == 1


def test_one_that_is_away_leaves_no_half_backup(settings: Settings) -> None:
    away = SecretStr("postgresql://twin@127.0.0.1:1/mlflow")
    broken = settings.model_copy(update={"databases": {**settings.databases, "mlflow": away}})
    with pytest.raises(TryAgainError):
        back_up_databases(job(broken), keep=1)
    assert not backups(settings).names() and not open_streams(settings).names("database-backups")


def test_a_database_that_no_backup_has_is_told(settings: Settings, tmp_path: Path) -> None:
    name = back_up(settings)
    more = {**settings.databases, "new": make_database(tmp_path / "new.db", 1)}
    later = settings.model_copy(update={"databases": more})
    with pytest.raises(BadDataError, match=f"backup {name} has no copy of new"):
        rehearse_databases(job(later))
    with pytest.raises(BadDataError, match="has airflow, mlflow and no new"):
        restore_database(job(later), "new")
    with pytest.raises(BadConfigurationError, match="TWIN_DATABASES names no 'other'"):
        restore_database(job(later), "other")


def test_without_any_there_is_nothing_to_do(settings: Settings) -> None:
    none = settings.model_copy(update={"databases": {}})
    for use in (lambda done: back_up_databases(done, keep=1), rehearse_databases):
        with pytest.raises(NothingToDo, match="TWIN_DATABASES names no database"):
            use(job(none))


def test_one_of_postgresql_by_the_same_jobs(settings: Settings) -> None:
    with scratch_server() as url:
        both = settings.model_copy(
            update={"databases": {"mlflow": SecretStr(url.replace("postgresql:", "postgres:"))}}
        )
        done = job(both)
        back_up_databases(done, keep=1)
        rehearse_databases(done)
        restore_database(done, "mlflow")
    assert backups(both).manifest(done.result.ids["backup"]).files == {"mlflow": "mlflow.sql"}


def test_settings_take_them_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_DATABASES", '{"mlflow": "postgresql://ann:hunter2@db/mlflow"}')
    assert "hunter2" not in repr(Settings())
    assert Settings().databases["mlflow"].get_secret_value().endswith("@db/mlflow")
    monkeypatch.setenv("TWIN_DATABASES", "postgresql://ann:hunter2@db/mlflow")
    with pytest.raises(ValueError, match="not a JSON object") as told:
        Settings()
    assert "not a JSON object" in told.value.errors()[0]["msg"]
