"""Backups of a recipe: a copy of its part of the warehouse and of its index, in the file store.

``backups/<recipe>/<moment>-<digest>/`` holds ``warehouse.jsonl.gz``, ``index.jsonl.gz`` (if there
is an index) and ``manifest.json``. Each is a published folder: it is there whole or not at all, and
its digests are recorded. Both files are independent of the stores that they came from, so a backup
of embedded stores can be restored into servers.
"""

import gzip
import hashlib
import json
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from twin.domain.errors import BadDataError, NothingToDo
from twin.job import Job
from twin.stores.files import FileStore, file_digest, folder_digest, open_files
from twin.stores.index import open_index
from twin.stores.index_files import export_index, import_index
from twin.stores.warehouse import Warehouse, open_warehouse
from twin.stores.warehouse_files import export_warehouse, import_warehouse

WAREHOUSE, INDEX, MANIFEST = "warehouse.jsonl", "index.jsonl", "manifest.json"
#: Names sort by age.
MOMENT = "%Y%m%dT%H%M%SZ"


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


class Backups:
    """The backups of one recipe."""

    def __init__(self, files: FileStore, recipe: str) -> None:
        self._files = files
        self._recipe = recipe
        self._root = f"backups/{recipe}"

    def names(self) -> list[str]:
        """Names of the complete ones, oldest first."""
        return [name for name in self._files.names(self._root) if self._is_complete(name)]

    def folder(self, name: str) -> str:
        """Relative name in the file store."""
        return f"{self._root}/{name}"

    def manifest(self, name: str) -> Manifest:
        """What a backup holds.

        Raises:
            BadDataError: there is no such backup, or its manifest is damaged.
        """
        if name not in self.names():
            known = ", ".join(self.names()) or "none yet: run `twin backup create`"
            raise BadDataError(f"recipe {self._recipe} has no backup {name!r}: there are {known}")
        path = f"{self.folder(name)}/{MANIFEST}"
        try:
            return Manifest.model_validate(self._files.read_json(path))
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise BadDataError(f"{self._files.uri(path)}: damaged: {reason}") from None

    def newest(self) -> str | None:
        """Name of the newest complete one."""
        names = self.names()
        return names[-1] if names else None

    def publish(self, folder: Path, name: str) -> str:
        """Put a folder in as a backup; returns its URI."""
        return self._files.publish_folder(folder, self.folder(name))

    def fetch(self, name: str, cache: Path) -> Path:
        """A local copy whose every byte is what was published.

        Raises:
            BadDataError: it is not there, or it is not what was published.
        """
        folder = self._files.fetch_folder(self.folder(name), cache)
        if folder_digest(folder) != self._files.published_digest(self.folder(name)):
            raise BadDataError(
                f"{self._files.uri(self.folder(name))}: the bytes are not those published: "
                "restore an older one with --name"
            )
        return folder

    def prune(self, keep: int) -> list[str]:
        """Delete all but the newest, and what a killed backup left; returns what was deleted."""
        complete = self.names()
        kept = set(complete[-keep:])
        newest = complete[-1] if complete else ""
        # An incomplete one that is younger than the newest may still be being written.
        old = [
            name
            for name in self._files.names(self._root)
            if name not in kept and (name in complete or name < newest)
        ]
        for name in old:
            self._files.remove(self.folder(name))
        return old

    def _is_complete(self, name: str) -> bool:
        return self._files.is_published(self.folder(name))


def create(job: Job, *, keep: int) -> None:
    """Copy the recipe's documents and index into the file store, and delete the oldest copies.

    Args:
        job: names the recipe; its result gets the backup's name and URI.
        keep: how many backups are kept, this one included.

    Raises:
        NothingToDo: the newest backup holds the same.
        BadDataError: the warehouse has no document of the author; a backup of nothing would
            push out good ones.
    """
    files = open_files(job.settings)
    backups = Backups(files, job.recipe.name)
    with tempfile.TemporaryDirectory(prefix="backup-") as scratch:
        folder, packed = Path(scratch) / "plain", Path(scratch) / "packed"
        folder.mkdir()
        packed.mkdir()
        with open_warehouse(job.settings) as warehouse:
            records = _copy_warehouse(job, warehouse, folder / WAREHOUSE)
        fingerprint = _copy_index(job, folder / INDEX)
        digests = {path.name: file_digest(path) for path in sorted(folder.iterdir())}
        newest = backups.newest()
        if newest and backups.manifest(newest).digests == digests:
            raise NothingToDo(f"backup {newest} of recipe {job.recipe.name} holds the same")
        now = datetime.now(UTC)
        # Two within a second must not take each other for the same.
        name = f"{now.strftime(MOMENT)}-{_short_digest(digests)}"
        for path in folder.iterdir():
            _pack(path, packed / f"{path.name}.gz")
        manifest = Manifest(
            recipe=job.recipe.name,
            author_id=job.recipe.author.id,
            created=now,
            warehouse=records,
            index_fingerprint=fingerprint,
            digests=digests,
        )
        (packed / MANIFEST).write_text(manifest.model_dump_json(indent=2), encoding="utf-8")
        job.result.uris["backup"] = backups.publish(packed, name)
    job.counts.written = sum(records.values())
    job.result.ids["backup"] = name
    job.result.detail["records"] = dict(records)
    job.result.detail["deleted"] = list(backups.prune(keep))


def restore(job: Job, name: str | None = None) -> None:
    """Put a backup back: the warehouse's records by id, the index as one new release.

    Documents that are in the warehouse and not in the backup stay. Restoring again changes nothing.

    Args:
        job: names the recipe.
        name: of the backup; None means the newest.

    Raises:
        BadDataError: there is no such backup, it is damaged, or it is of another author.
        TryAgainError: a store is away.
    """
    backups = Backups(open_files(job.settings), job.recipe.name)
    name = name or backups.newest()
    if name is None:
        raise BadDataError(
            f"recipe {job.recipe.name} has no backup in {job.settings.files_root}: does "
            "TWIN_FILES_URI name the store that `twin backup create` wrote to?"
        )
    manifest = backups.manifest(name)
    if manifest.author_id != job.recipe.author.id:
        raise BadDataError(
            f"backup {name} is of author {manifest.author_id!r}, recipe {job.recipe.name} of "
            f"{job.recipe.author.id!r}"
        )
    source = backups.fetch(name, job.settings.home / "cache")
    with tempfile.TemporaryDirectory(prefix="restore-") as scratch:
        folder = Path(scratch)
        for file in sorted(manifest.digests):
            _unpack(source / f"{file}.gz", folder / file)
        with open_warehouse(job.settings) as warehouse:
            records = import_warehouse(warehouse, folder / WAREHOUSE)
        if INDEX in manifest.digests:
            state = import_index(open_index(job.settings, job.recipe), folder / INDEX)
            job.result.detail["index_fingerprint"] = state.fingerprint
    job.counts.written = sum(records.values())
    job.result.ids["backup"] = name
    job.result.detail["records"] = dict(records)


def _copy_warehouse(job: Job, warehouse: Warehouse, path: Path) -> dict[str, int]:
    records = export_warehouse(warehouse, path, job.recipe.author.id)
    if not records["documents"]:
        raise BadDataError(
            f"the warehouse holds no document of author {job.recipe.author.id!r}: nothing was "
            "backed up, and the backups that there are were left alone"
        )
    job.counts.read = sum(records.values())
    return records


def _copy_index(job: Job, path: Path) -> str | None:
    index = open_index(job.settings, job.recipe)
    if index.state() is None:
        return None
    reader = index.read()
    try:
        return export_index(reader, path).fingerprint
    finally:
        reader.close()


def _short_digest(digests: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()[:8]


def _pack(source: Path, target: Path) -> None:
    """Compress a file; the same bytes for the same content, whenever it is done."""
    with (
        source.open("rb") as plain,
        target.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
    ):
        shutil.copyfileobj(plain, packed)


def _unpack(source: Path, target: Path) -> None:
    try:
        with gzip.open(source, "rb") as packed, target.open("wb") as plain:
            shutil.copyfileobj(packed, plain)
    except (OSError, EOFError) as error:
        raise BadDataError(f"{source}: cannot be unpacked: {error}") from None
