"""Base models that the file store keeps: each once, pinned, with where it came from.

``bases/<slug>/<revision>/`` is a published folder, ``bases/<slug>/<revision>.json`` its record,
written after it: a base without a record does not exist.
"""

import re
from datetime import datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from twin.domain.errors import BadDataError
from twin.stores.files import FileStore

ROOT = "bases"

_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


class KeptBase(BaseModel):
    """What is recorded of a base model that is kept.

    Attributes:
        id: what recipes call it.
        revision: a hub's commit, or the SHA-256 of what a folder, a bucket or a package held.
        asked: the revisions after @ by which it was fetched; "" for none.
        digest: SHA-256 over the files that are loaded.
        weights_digest: SHA-256 over all files, as the store's folder is published with.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    revision: str
    asked: tuple[str, ...]
    source: str
    licence: str
    gated: bool = False
    architecture: str
    parameters: int
    context_tokens: int
    size: int
    digest: str
    weights_digest: str
    fetched: datetime

    @property
    def name(self) -> str:
        """Id and revision, as a recipe may write it."""
        return f"{self.id}@{self.revision[:12]}"

    @property
    def folder(self) -> str:
        """Where it lies in the file store."""
        return f"{ROOT}/{slug(self.id)}/{self.revision[:12]}"


def slug(model: str) -> str:
    """A model's id as the name of a folder; two ids never have the same.

    Raises:
        BadDataError: it is no id.
    """
    if not _ID.fullmatch(model) or "--" in model or ".." in model:
        raise BadDataError(
            f"{model!r} can't be a base model's id: name it with letters, digits, single dashes, "
            "dots and underscores (`twin models fetch … --name NAME`)"
        )
    return model.replace("/", "--")


class KeptBases:
    """The base models in a file store."""

    def __init__(self, files: FileStore) -> None:
        self._files = files

    def all(self) -> list[KeptBase]:
        """Every base that is kept, by id and age."""
        slugs = self._files.names(ROOT)
        kept = [base for name in slugs for base in self._of(name)]
        return sorted(kept, key=lambda base: (base.id, base.fetched))

    def find(self, model: str, revision: str | None) -> KeptBase | None:
        """The base of this id and revision; without one, what was fetched so, or the only one.

        Raises:
            BadDataError: several revisions are kept and none was fetched without naming it.
        """
        try:
            kept = self._of(slug(model))
        except BadDataError:  # no id, so none that is kept
            return None
        if revision is not None:
            return next((base for base in kept if _is_of(base, revision)), None)
        pinned = [base for base in kept if "" in base.asked] or kept
        if len(pinned) > 1:
            names = ", ".join(base.name for base in kept)
            raise BadDataError(f"{model}: which revision? There are {names}")
        return pinned[0] if pinned else None

    def record(self, base: KeptBase, asked: str) -> KeptBase:
        """Write down that the base is there, and that it is what this revision means."""
        base = base.model_copy(update={"asked": tuple(sorted({*base.asked, asked}))})
        self._write(base)
        return base

    def take_bare_name(self, base: KeptBase) -> None:
        """Have the id without a revision mean this base; older ones keep theirs with it."""
        for other in self._of(slug(base.id)):
            if other.revision != base.revision and "" in other.asked:
                named = tuple(filter(None, other.asked))
                self._write(other.model_copy(update={"asked": named}))

    def remove(self, base: KeptBase) -> None:
        """Forget and delete a base; the record first, so that half a base is never used."""
        self._files.remove(f"{base.folder}.json")
        self._files.remove(base.folder)

    def _write(self, base: KeptBase) -> None:
        self._files.write_text(f"{base.folder}.json", base.model_dump_json(indent=2) + "\n")

    def _of(self, name: str) -> list[KeptBase]:
        names = self._files.names(f"{ROOT}/{name}")
        return [self._read(f"{ROOT}/{name}/{file}") for file in names if file.endswith(".json")]

    def _read(self, path: str) -> KeptBase:
        try:
            return KeptBase.model_validate_json(self._files.read_bytes(path))
        except ValidationError:
            raise BadDataError(
                f"{self._files.uri(path)} is no record of a base model: delete it and fetch the "
                "model again"
            ) from None


def _is_of(base: KeptBase, revision: str) -> bool:
    abbreviated = len(revision) >= 7 and base.revision.startswith(revision)
    return abbreviated or revision in base.asked
