"""Backups of a recipe: a copy of its part of the warehouse and of its index, in the file store.

``backups/<recipe>/<moment>-<suffix>/`` holds ``warehouse.jsonl.gz``, ``index.jsonl.gz`` (if there
is an index) and ``manifest.json``. Each is a published folder: it is there whole or not at all, and
its digests are recorded. Both files are independent of the stores that they came from, so a backup
of embedded stores can be restored into servers.

They go from store to store as streams: no disk of this machine holds one.
"""

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from twin.backup.folders import MANIFEST, BackupFolders, new_name
from twin.domain.errors import BadDataError, NothingToDo
from twin.job import Job
from twin.recipes import Recipe
from twin.settings import Settings
from twin.stores.index import IndexState, open_index
from twin.stores.index_files import import_index, write_index
from twin.stores.streamed_files import Publication, StreamedFiles, open_streams
from twin.stores.warehouse import open_warehouse
from twin.stores.warehouse_files import import_warehouse, write_warehouse

WAREHOUSE, INDEX = "warehouse.jsonl", "index.jsonl"


class Manifest(BaseModel):
    """What a backup holds."""

    model_config = ConfigDict(frozen=True)

    recipe: str
    author_id: str
    created: datetime
    warehouse: dict[str, int]
    """Records by collection."""
    index_fingerprint: str | None = None
    """Of the index that was published then; None if there was none."""
    digests: dict[str, str]
    """SHA-256 of the files before they were packed: equal for equal stores."""


class Backups(BackupFolders):
    """The backups of one recipe."""

    def __init__(self, files: StreamedFiles, recipe: str) -> None:
        super().__init__(files, f"backups/{recipe}", f"recipe {recipe}", "twin backup create")

    def manifest(self, name: str) -> Manifest:
        """What a backup holds.

        Raises:
            BadDataError: there is no such backup, or its manifest is damaged.
        """
        path = f"{self.folder(self.choose(name))}/{MANIFEST}"
        try:
            return Manifest.model_validate(self._files.read_json(path))
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise BadDataError(f"{self._files.uri(path)}: damaged: {reason}") from None


def create(job: Job, *, keep: int) -> None:
    """Copy the recipe's documents and index into the file store, and delete the oldest copies.

    Args:
        job: names the recipe; its result gets the backup's name and URI.
        keep: how many backups are kept, this one included.

    Raises:
        NothingToDo: the newest backup holds the same; this one is thrown away.
        BadDataError: the warehouse has no document of the author; a backup of nothing would
            push out good ones.
    """
    files = open_streams(job.settings)
    backups = Backups(files, job.recipe.name)
    now = datetime.now(UTC)
    name = new_name(now)
    with files.publishing(backups.folder(name)) as made:
        records = _copy_warehouse(job, made)
        state = _copy_index(job.settings, job.recipe, made)
        newest = backups.newest()
        if newest and backups.manifest(newest).digests == made.digests:
            raise NothingToDo(f"backup {newest} of recipe {job.recipe.name} holds the same")
        manifest = Manifest(
            recipe=job.recipe.name,
            author_id=job.recipe.author.id,
            created=now,
            warehouse=records,
            index_fingerprint=state.fingerprint if state else None,
            digests=made.digests,
        )
        made.plain(MANIFEST, manifest.model_dump_json(indent=2))
    job.result.uris["backup"] = backups.uri(name)
    job.counts.written = sum(records.values())
    job.result.ids["backup"] = name
    job.result.detail["records"] = dict(records)
    job.result.detail["deleted"] = list(backups.prune(keep))


def restore(job: Job, name: str | None = None) -> None:
    """Put a backup back: the warehouse's records by id, the index as one new release.

    Documents that are in the warehouse and not in the backup stay, and what has been forgotten
    stays forgotten. Restoring again changes nothing.

    Args:
        job: names the recipe.
        name: of the backup; None means the newest.

    Raises:
        BadDataError: there is no such backup, it is damaged, or it is of another author.
        TryAgainError: a store is away.
    """
    backups = Backups(open_streams(job.settings), job.recipe.name)
    name, manifest = choose(job, backups, name)
    records, state = put_back(job.settings, job.recipe, backups, name)
    if state:
        job.result.detail["index_fingerprint"] = state.fingerprint
    job.counts.read = sum(manifest.warehouse.values())
    job.counts.written = sum(records.values())
    job.result.ids["backup"] = name
    job.result.detail["records"] = dict(records)


def choose(job: Job, backups: Backups, name: str | None) -> tuple[str, Manifest]:
    """A backup of the job's recipe, by its name or else the newest, and what it holds.

    Raises:
        BadDataError: there is none, or it is of another author.
    """
    name = backups.choose(name)
    manifest = backups.manifest(name)
    if manifest.author_id != job.recipe.author.id:
        raise BadDataError(
            f"backup {name} is of author {manifest.author_id!r}, recipe {job.recipe.name} of "
            f"{job.recipe.author.id!r}"
        )
    return name, manifest


def put_back(
    settings: Settings, recipe: Recipe, backups: Backups, name: str
) -> tuple[dict[str, int], IndexState | None]:
    """Write a backup into the stores of the settings, once every byte of it has been checked.

    Returns:
        Records by collection, and what the index holds now; None if the backup has no index.

    Raises:
        BadDataError: the backup is damaged; nothing was written.
        TryAgainError: a store is away.
    """
    backups.check(name)
    with open_warehouse(settings) as warehouse:
        records = import_warehouse(warehouse, backups.file(name, WAREHOUSE))
    if INDEX not in backups.manifest(name).digests:
        return records, None
    return records, import_index(open_index(settings, recipe), backups.file(name, INDEX))


def _copy_warehouse(job: Job, made: Publication) -> dict[str, int]:
    with open_warehouse(job.settings) as warehouse, made.text(WAREHOUSE) as file:
        records = write_warehouse(warehouse, file, job.recipe.author.id)
    if not records["documents"]:
        raise BadDataError(
            f"the warehouse holds no document of author {job.recipe.author.id!r}: nothing was "
            "backed up, and the backups that there are were left alone"
        )
    job.counts.read = sum(records.values())
    return records


def _copy_index(settings: Settings, recipe: Recipe, made: Publication) -> IndexState | None:
    index = open_index(settings, recipe)
    if index.state() is None:
        return None
    reader = index.read()
    try:
        with made.text(INDEX) as file:
            return write_index(reader, file)
    finally:
        reader.close()
