"""The restore drill: a backup is restored in a scratch place, compared, and thrown away.

The warehouse goes into a database of its own on the same server, the index into an embedded one in
a temporary folder. What was restored is exported again and must have the digests of the manifest.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from io import BufferedWriter, TextIOWrapper
from pathlib import Path
from typing import IO

from twin.backup.copies import INDEX, WAREHOUSE, Backups, choose, put_back
from twin.backup.databases import compare
from twin.domain.errors import BadDataError
from twin.job import Job
from twin.recipes import Recipe
from twin.settings import Settings
from twin.stores.index import open_index
from twin.stores.index_files import write_index
from twin.stores.streamed_files import CHUNK_BYTES, Sink, open_streams
from twin.stores.warehouse import open_warehouse
from twin.stores.warehouse_files import write_warehouse


def drill(job: Job, name: str | None = None) -> None:
    """Restore a backup of the recipe where it disturbs nothing, and compare it.

    Args:
        job: names the recipe; its result gets the backup's name, and the records by collection.
        name: of the backup; None means the newest.

    Raises:
        BadDataError: there is no backup, or what it restores is not what was saved.
        TryAgainError: a store is away.
    """
    backups = Backups(open_streams(job.settings), job.recipe.name)
    name, manifest = choose(job, backups, name)
    with _scratch(job.settings, job.recipe) as scratch:
        records, _ = put_back(scratch, job.recipe, backups, name)
        compare(f"backup {name}", manifest.warehouse, records)
        digests = _digests(scratch, job.recipe)
    other = sorted(file for file in manifest.digests if digests.get(file) != manifest.digests[file])
    if other:
        raise BadDataError(
            f"backup {name}: what was restored of {', '.join(other)} is not what was saved: make "
            "another backup, and keep this one to look into"
        )
    job.counts.read = sum(records.values())
    job.result.ids["backup"] = name
    job.result.detail["records"] = dict(records)
    job.result.detail["digests"] = dict(manifest.digests)


@contextmanager
def _scratch(settings: Settings, recipe: Recipe) -> Iterator[Settings]:
    """Settings of stores that are empty, and gone when the block ends.

    The database's name is the same each time, so that what a killed drill left goes with the next.
    """
    name = recipe.name.replace(".", "_")  # which no name of a database may have
    database = f"{settings.mongo_database[:20]}_drill_{name}"  # MongoDB takes 63 bytes
    with tempfile.TemporaryDirectory(prefix="drill-") as home:
        scratch = settings.model_copy(
            update={"mongo_database": database, "home": Path(home), "index_url": None}
        )
        with open_warehouse(scratch) as warehouse:
            warehouse.drop()
            try:
                yield scratch
            finally:
                warehouse.drop()


def _digests(settings: Settings, recipe: Recipe) -> dict[str, str]:
    """SHA-256 of what exports of these stores hold, by file."""
    found = {}
    with open_warehouse(settings) as warehouse, _hashed() as (text, sink):
        write_warehouse(warehouse, text, recipe.author.id)
    found[WAREHOUSE] = sink.entry()["sha256"]
    index = open_index(settings, recipe)
    if index.state() is None:
        return found
    reader = index.read()
    try:
        with _hashed() as (text, sink):
            write_index(reader, text)
    finally:
        reader.close()
    found[INDEX] = sink.entry()["sha256"]
    return found


@contextmanager
def _hashed() -> Iterator[tuple[IO[str], Sink]]:
    """A text that is kept nowhere, and what knows its digest when the block has ended."""
    with (
        Path(os.devnull).open("wb") as nowhere,
        Sink(nowhere, nullcontext) as sink,
        BufferedWriter(sink, CHUNK_BYTES) as raw,
        TextIOWrapper(raw, "utf-8", newline="\n") as text,
    ):
        yield text, sink
