"""Snapshots of a recipe's index alone, in the file store, and the way back.

``snapshots/<recipe>/<moment>-<fingerprint>/index.jsonl.gz``: independent of the store it came
from, so that it also moves an index from a folder to a server. `twin backup` copies the warehouse
as well.
"""

import gzip
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from twin.domain.errors import BadDataError, NothingToDo
from twin.features.plan import read_heads
from twin.job import Job
from twin.stores.files import FileStore, open_files
from twin.stores.index import open_index
from twin.stores.index_files import export_index, import_index
from twin.stores.index_release import nothing_published
from twin.stores.warehouse import open_warehouse

FILE = "index.jsonl.gz"
MOMENT = "%Y%m%dT%H%M%SZ"


def snapshot(job: Job) -> None:
    """Copy what is published into the file store.

    Raises:
        NothingToDo: the newest snapshot holds the same.
        BadDataError: nothing is published yet.
        TryAgainError: the index was changed meanwhile, or a store is away.
    """
    files, index = open_files(job.settings), open_index(job.settings, job.recipe)
    state = index.state()
    if state is None:
        raise nothing_published(job.recipe.name)
    names = _names(files, job.recipe.name)
    suffix = f"-{state.fingerprint[:8]}-{state.spec.digest}"
    if names and names[-1].endswith(suffix):
        raise NothingToDo(f"snapshot {names[-1]} of recipe {job.recipe.name} holds the same")
    name = f"{datetime.now(UTC).strftime(MOMENT)}{suffix}"
    reader = index.read()
    try:
        with tempfile.TemporaryDirectory(prefix="snapshot-") as scratch:
            plain, folder = Path(scratch) / "index.jsonl", Path(scratch) / "packed"
            folder.mkdir()
            state = export_index(reader, plain)
            with plain.open("rb") as source, gzip.open(folder / FILE, "wb") as target:
                shutil.copyfileobj(source, target)
            job.result.uris["snapshot"] = files.publish_folder(folder, _path(job, name))
    finally:
        reader.close()
    job.result.ids |= {"snapshot": name, "index": state.fingerprint}
    job.counts.written = len(state.documents)


def restore(job: Job, name: str | None = None) -> None:
    """Publish a snapshot again, but for documents that are no longer live.

    Args:
        job: names the recipe.
        name: of the snapshot; None means the newest.

    Raises:
        BadDataError: there is no such snapshot, or it is damaged.
        TryAgainError: another writer is at work, or a store is away.
    """
    files = open_files(job.settings)
    names = _names(files, job.recipe.name)
    chosen = name or (names[-1] if names else None)
    if chosen not in names:
        known = ", ".join(names) or "none yet: run `twin features snapshot`"
        raise BadDataError(
            f"recipe {job.recipe.name} has no snapshot {chosen!r}: there are {known}"
        )
    folder = files.fetch_folder(_path(job, str(chosen)), job.settings.home / "cache")
    with open_warehouse(job.settings) as warehouse:
        live = read_heads(warehouse, job.recipe.author.id).keys()
    with tempfile.TemporaryDirectory(prefix="snapshot-") as scratch:
        plain = Path(scratch) / "index.jsonl"
        try:
            with gzip.open(folder / FILE, "rb") as source, plain.open("wb") as target:
                shutil.copyfileobj(source, target)
        except (OSError, EOFError) as error:
            raise BadDataError(f"{folder / FILE}: cannot be unpacked: {error}") from None
        state = import_index(open_index(job.settings, job.recipe), plain, only=live)
    job.result.ids |= {"snapshot": str(chosen), "index": state.fingerprint}
    job.counts.written = len(state.documents)


def _names(files: FileStore, recipe: str) -> list[str]:
    root = f"snapshots/{recipe}"
    return sorted(name for name in files.names(root) if files.is_published(f"{root}/{name}"))


def _path(job: Job, name: str) -> str:
    return f"snapshots/{job.recipe.name}/{name}"
