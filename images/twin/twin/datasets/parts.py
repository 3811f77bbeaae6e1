"""The parts of an index that shards prepare, each under a name that is a hash of what it is of.

So a part that is there is never made again, and one whose documents have changed is.
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from twin.datasets.personal_data import Redactor
from twin.datasets.prepared import PREPARED, Prepared
from twin.domain.chunk import FIGURE
from twin.domain.errors import BadDataError, NothingToDo, TryAgainError
from twin.job import Job
from twin.recipes import Recipe
from twin.stores.files import FileStore
from twin.stores.index import IndexReader, IndexState
from twin.stores.sample_sets import parts_of

MOST_SHARDS = 256
"""As many as can be mapped; by far more than pay."""

_REDACTED = "redacted.json"
_KNOBS = {"personal_data", "min_answer_words", "max_answer_words"}
"""What of the recipe's section `datasets` shapes a part."""


@dataclass(frozen=True)
class Shard:
    """One of so many equal parts of an index, counted from 1."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """The shard that is written as ``2/4``.

        Raises:
            BadDataError: it is not.
        """
        match = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text.strip())
        if match is None or not 1 <= int(match[1]) <= int(match[2]) <= MOST_SHARDS:
            raise BadDataError(
                f"--shard {text}: write I/N, the I-th of N, as in 2/4; N is at most {MOST_SHARDS}"
            )
        return cls(int(match[1]), int(match[2]))


@dataclass(frozen=True)
class Part:
    """Documents of an index that stand together in its order, and the name of what they give."""

    document_ids: Sequence[str]
    chunks: int
    name: str


def parts(state: IndexState, recipe: Recipe, shards: int) -> list[Part]:
    """The parts of an index in order, of about as many chunks each; with few documents fewer.

    Args:
        state: of the index.
        recipe: by which its chunks are prepared.
        shards: how many parts there are at most.
    """
    of_shard: list[list[str]] = [[] for _ in range(shards)]
    before, total = 0, state.chunks
    for document_id, document in sorted(state.documents.items()):
        if document.chunks:
            of_shard[before * shards // total].append(document_id)
            before += document.chunks
    return [_part(ids, state, recipe) for ids in of_shard if ids]


def _part(document_ids: Sequence[str], state: IndexState, recipe: Recipe) -> Part:
    knobs = recipe.datasets.model_dump_json(include=_KNOBS)
    documents = [f"{id_} {state.documents[id_].model_dump_json()}" for id_ in document_ids]
    inputs = (PREPARED, state.spec.chunker, recipe.digest("author"), knobs, *documents)
    name = hashlib.sha256("\n".join(inputs).encode()).hexdigest()[:16]
    chunks = sum(state.documents[id_].chunks for id_ in document_ids)
    return Part(document_ids, chunks, name)


class Parts:
    """The parts of a recipe's index in the file store.

    Args:
        job: with the recipe; shows progress.
        files: where parts are.
        reader: of the index.
    """

    def __init__(self, job: Job, files: FileStore, reader: IndexReader) -> None:
        self._job = job
        self._recipe = job.recipe
        self._files = files
        self._reader = reader

    def make(self, shard: Shard) -> Part:
        """Prepare a shard's part and keep it.

        Raises:
            NothingToDo: it is there, or there are fewer documents than shards.
        """
        held = parts(self._reader.state, self._recipe, shard.of)
        if shard.number > len(held):
            raise NothingToDo(f"{len(held)} shards hold all documents: shard {shard.number} none")
        part = held[shard.number - 1]
        if self._files.is_published(self._folder(part)):
            raise NothingToDo(f"part {part.name} is prepared")
        with tempfile.TemporaryDirectory(prefix="part-") as scratch:
            folder = Path(scratch) / "part"
            folder.mkdir()
            redactor = Redactor(self._recipe.datasets.personal_data, self._recipe.author.name)
            fingerprint = self._reader.fingerprint()
            prepared = Prepared(self._recipe.datasets, folder)
            self._fill(prepared, part, redactor)
            unchanged(self._reader, fingerprint)
            prepared.save()
            prepared.close()
            (folder / _REDACTED).write_text(json.dumps(redactor.counts), encoding="utf-8")
            self._files.publish_folder(folder, self._folder(part), move=True)
        return part

    def join(self, shards: int, redactor: Redactor) -> Prepared:
        """All parts in order: those that are there, and the others prepared here."""
        prepared = Prepared(self._recipe.datasets)
        for part in parts(self._reader.state, self._recipe, shards):
            if shards > 1 and self._files.is_published(self._folder(part)):
                self._fetch(prepared, part, redactor)
            else:
                self._fill(prepared, part, redactor)
        return prepared

    def remove(self) -> None:
        """Delete all parts of the recipe."""
        self._files.remove(parts_of(self._recipe.name))

    def _fill(self, prepared: Prepared, part: Part, redactor: Redactor) -> None:
        with self._job.progress("reading chunks", part.chunks) as advance:
            for chunk in self._reader.chunks(set(part.document_ids)):
                if chunk.kind != FIGURE:  # its words are in a passage of the text
                    prepared.add(redactor.chunk(chunk))
                advance(1)

    def _fetch(self, prepared: Prepared, part: Part, redactor: Redactor) -> None:
        relative = self._folder(part)
        with tempfile.TemporaryDirectory(prefix="part-") as scratch:
            folder = self._files.fetch_folder(relative, Path(scratch))
            try:
                prepared.extend(folder)
                redactor.counts.update(json.loads((folder / _REDACTED).read_bytes()))
            except ValueError as error:
                raise BadDataError(
                    f"{self._files.uri(relative)}: damaged: {error}: delete this folder and run "
                    "`twin datasets prepare` again"
                ) from None

    def _folder(self, part: Part) -> str:
        return f"{parts_of(self._recipe.name)}/{part.name}"


def unchanged(reader: IndexReader, fingerprint: str) -> None:
    """Make sure that an index is the one that was read.

    Raises:
        TryAgainError: another was published meanwhile.
    """
    if reader.fingerprint() != fingerprint:
        raise TryAgainError("the index changed while its chunks were read: run this again")
