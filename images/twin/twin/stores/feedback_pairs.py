"""Candidate pairs of callers' feedback: ``datasets/<recipe>/feedback.json``.

They lie beside the versions of samples, in none of them: people review them first.
"""

from collections.abc import Collection, Sequence

from pydantic import TypeAdapter, ValidationError

from twin.domain.errors import BadDataError
from twin.domain.feedback_pair import FeedbackPair
from twin.stores.files import FileStore
from twin.stores.sample_sets import FOLDER

_PAIRS = TypeAdapter(tuple[FeedbackPair, ...])


class FeedbackPairs:
    """The candidate pairs of one recipe."""

    def __init__(self, files: FileStore, recipe: str) -> None:
        self._files = files
        self.name = f"{FOLDER}/{recipe}/feedback.json"

    @property
    def uri(self) -> str:
        """Where they are."""
        return self._files.uri(self.name)

    def read(self) -> tuple[FeedbackPair, ...]:
        """All of them, by id; none before `twin datasets feedback` has run.

        Raises:
            BadDataError: the file is damaged.
        """
        if not self._files.exists(self.name):
            return ()
        try:
            return _PAIRS.validate_python(self._files.read_json(self.name))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BadDataError(
                f"{self.uri}: {where}: {first['msg']}: remove it and run `twin datasets feedback`"
            ) from None

    def replace(self, pairs: Sequence[FeedbackPair]) -> bool:
        """Keep these in place of what was; returns whether anything is different from before."""
        after = tuple(sorted(pairs, key=lambda each: each.pair.id))
        if after == self.read():
            return False
        self._files.write_json(self.name, _PAIRS.dump_python(after, mode="json"))
        return True

    def forget(self, document_ids: Collection[str]) -> int:
        """Erase those that any of these documents is part of; returns how many there were."""
        before = self.read()
        gone = {each.pair.id for each in before if not set(each.documents).isdisjoint(document_ids)}
        if gone and len(gone) == len(before):
            self.remove()
        elif gone:
            self.replace([each for each in before if each.pair.id not in gone])
        return len(gone)

    def remove(self) -> None:
        """Erase them all."""
        self._files.remove(self.name)
