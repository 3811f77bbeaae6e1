"""What people have said of a recipe's samples: ``datasets/<recipe>/verdicts.json``.

It is beside the versions, not in one: a verdict holds for every version that has the sample. What
they have said of pairs is in ``pair-verdicts.json``.
"""

import hashlib
from collections.abc import Collection, Sequence

from pydantic import TypeAdapter, ValidationError

from twin.domain.errors import BadDataError
from twin.domain.verdict import Verdict
from twin.stores.files import FileStore
from twin.stores.sample_sets import FOLDER

Key = tuple[str, str]
"""Sample id, and the digest of what was seen."""

_VERDICTS = TypeAdapter(tuple[Verdict, ...])


class Verdicts:
    """The verdicts on the samples of one recipe, or on its pairs."""

    def __init__(self, files: FileStore, recipe: str, *, on_pairs: bool = False) -> None:
        self._files = files
        self.name = f"{FOLDER}/{recipe}/{'pair-' if on_pairs else ''}verdicts.json"

    def read(self) -> tuple[Verdict, ...]:
        """All of them, by sample; none where nobody has said anything.

        Raises:
            BadDataError: the file is damaged.
        """
        if not self._files.exists(self.name):
            return ()
        try:
            return _VERDICTS.validate_python(self._files.read_json(self.name))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            uri = self._files.uri(self.name)
            raise BadDataError(
                f"{uri}: {where}: {first['msg']}: remove it and import the verdicts again"
            ) from None

    def update(self, asked: Collection[Key], given: Sequence[Verdict]) -> bool:
        """Take what people say now of what they were asked about; the rest stays.

        Returns whether anything is different from before.

        Args:
            asked: of every task, whether it has a verdict or none (any more).
            given: the verdicts.
        """
        before = self.read()
        by_key = {(each.sample, each.seen): each for each in before}
        for key in asked:
            by_key.pop(key, None)
        by_key |= {(each.sample, each.seen): each for each in given}
        after = tuple(by_key[key] for key in sorted(by_key))
        if after == before:
            return False
        self._write(after)
        return True

    def forget(self, document_ids: Collection[str], samples: Collection[str] = ()) -> int:
        """Erase the verdicts on samples of these documents, and on these samples; returns how
        many there were."""
        before = self.read()
        after = [
            each
            for each in before
            if each.document_id not in document_ids and each.sample not in samples
        ]
        if after and len(after) < len(before):
            self._write(after)
        elif before and not after:
            self.remove()
        return len(before) - len(after)

    def remove(self) -> None:
        """Erase them all."""
        self._files.remove(self.name)

    def _write(self, verdicts: Sequence[Verdict]) -> None:
        self._files.write_json(self.name, _VERDICTS.dump_python(tuple(verdicts), mode="json"))


def digest(verdicts: Sequence[Verdict]) -> str:
    """Digest of verdicts, part of the version of samples or pairs made with them."""
    return hashlib.sha256(_VERDICTS.dump_json(tuple(verdicts))).hexdigest()
