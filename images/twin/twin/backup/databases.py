"""Backups of the platform's SQL databases: MLflow's, which knows what is champion and where each
model came from, and Airflow's.

``database-backups/<moment>-<suffix>/`` holds a packed copy of each database that TWIN_DATABASES
names, and ``manifest.json`` with the rows of every table.
"""

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from twin.backup.folders import MANIFEST, BackupFolders, new_name
from twin.domain.errors import BadConfigurationError, BadDataError, NothingToDo
from twin.job import Job
from twin.stores.sql_databases import SqlDatabase, databases_of
from twin.stores.streamed_files import StreamedFiles, open_streams


class DatabaseManifest(BaseModel):
    """What a backup of databases holds."""

    model_config = ConfigDict(frozen=True)

    created: datetime
    files: dict[str, str]
    """Name of the copy, before it was packed, by database."""
    rows: dict[str, dict[str, int]]
    """Rows by table, by database."""


class DatabaseBackups(BackupFolders):
    """The backups of the platform's databases."""

    def __init__(self, files: StreamedFiles) -> None:
        super().__init__(files, "database-backups", "the platform", "twin backup databases")

    def manifest(self, name: str) -> DatabaseManifest:
        """What a backup holds.

        Raises:
            BadDataError: its manifest is damaged.
        """
        path = f"{self.folder(name)}/{MANIFEST}"
        try:
            return DatabaseManifest.model_validate(self._files.read_json(path))
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise BadDataError(f"{self._files.uri(path)}: damaged: {reason}") from None


def back_up_databases(job: Job, *, keep: int) -> None:
    """Copy the platform's databases into the file store, and delete the oldest copies.

    Args:
        job: its result gets the backup's name and URI, and the rows by database.
        keep: how many backups are kept, this one included.

    Raises:
        NothingToDo: TWIN_DATABASES names none.
        TryAgainError: one does not answer; then there is no new backup at all.
        BadConfigurationError: one refuses.
    """
    databases = _databases(job)
    files = open_streams(job.settings)
    backups = DatabaseBackups(files)
    now = datetime.now(UTC)
    name = new_name(now)
    rows: dict[str, dict[str, int]] = {}
    with files.publishing(backups.folder(name)) as made:
        for database, store in databases.items():
            with made.binary(f"{database}{store.suffix}") as sink:
                rows[database] = store.copy(sink)
        named = {database: f"{database}{store.suffix}" for database, store in databases.items()}
        manifest = DatabaseManifest(created=now, files=named, rows=rows)
        made.plain(MANIFEST, manifest.model_dump_json(indent=2))
    job.counts.read = job.counts.written = sum(sum(tables.values()) for tables in rows.values())
    job.result.ids["backup"] = name
    job.result.uris["backup"] = backups.uri(name)
    job.result.detail["rows"] = {database: sum(of.values()) for database, of in rows.items()}
    job.result.detail["deleted"] = list(backups.prune(keep))


def restore_database(job: Job, database: str, name: str | None = None) -> None:
    """Replace a database by its copy, all tables of it or none. Its program must be stopped.

    Args:
        job: whose settings name the database.
        database: one of TWIN_DATABASES.
        name: of the backup; None means the newest.

    Raises:
        BadConfigurationError: no such database is named, or it refuses.
        BadDataError: there is no such backup, it is damaged, or has no copy of this database.
        TryAgainError: the database does not answer, or is in use.
    """
    store = _databases(job).get(database)
    if store is None:
        raise BadConfigurationError(f"TWIN_DATABASES names no {database!r}")
    backups = DatabaseBackups(open_streams(job.settings))
    name = backups.choose(name)
    manifest = backups.manifest(name)
    if database not in manifest.files:
        raise BadDataError(f"backup {name} has {', '.join(manifest.files)} and no {database}")
    backups.check(name)
    store.restore(backups.file(name, manifest.files[database]))
    job.counts.read = job.counts.written = sum(manifest.rows[database].values())
    job.result.ids["backup"] = name


def rehearse_databases(job: Job, name: str | None = None) -> None:
    """Restore copies of all databases in a scratch place, compare the rows, throw it away.

    Args:
        job: its result gets the rows by database.
        name: of the backup; None means the newest.

    Raises:
        NothingToDo: TWIN_DATABASES names none.
        BadDataError: there is no backup, or one is not what it was when it was made.
    """
    databases = _databases(job)
    backups = DatabaseBackups(open_streams(job.settings))
    name = backups.choose(name)
    manifest = backups.manifest(name)
    missing = sorted(set(databases) - set(manifest.files))
    if missing:
        raise BadDataError(f"backup {name} has no copy of {', '.join(missing)}")
    backups.check(name)
    for database, store in databases.items():
        rows = store.rehearse(backups.file(name, manifest.files[database]))
        compare(f"backup {name}, database {database}", manifest.rows[database], rows)
        job.counts.read += sum(rows.values())
    job.result.ids["backup"] = name
    job.result.detail["rows"] = {of: sum(manifest.rows[of].values()) for of in databases}


def compare(what: str, expected: dict[str, int], found: dict[str, int]) -> None:
    """Hold what a restore has brought to what the manifest says.

    Raises:
        BadDataError: they differ; the message names each difference.
    """
    differences = [
        f"{name}: {found.get(name, 0)} for {expected.get(name, 0)}"
        for name in sorted({*expected, *found})
        if found.get(name) != expected.get(name)
    ]
    if differences:
        raise BadDataError(f"{what}: restored otherwise than saved: {'; '.join(differences)}")


def _databases(job: Job) -> dict[str, SqlDatabase]:
    found = databases_of(job.settings.databases)
    if not found:
        raise NothingToDo("TWIN_DATABASES names no database: their backups are the provider's")
    return found
