"""Which document goes where: whole documents, so no passage of a test article is trained on."""

import hashlib
from collections import Counter
from collections.abc import Iterable

from twin.domain.sample import Split


def split_documents(
    document_ids: Iterable[str], *, validation: float, test: float, seed: int
) -> dict[str, Split]:
    """The split of each document.

    A document's place is drawn from its id and the seed alone, so it stays where it is while
    others come and go: what a champion was trained on never becomes a candidate's test. Only
    where a wanted split would be empty does another document move there (training gets one first,
    then test, then validation).
    """
    drawn = sorted((_draw(document_id, seed), document_id) for document_id in set(document_ids))
    splits = {
        document_id: Split.TEST
        if place < test
        else (Split.VALIDATION if place < test + validation else Split.TRAIN)
        for place, document_id in drawn
    }
    for split, share in ((Split.TRAIN, 1.0), (Split.TEST, test), (Split.VALIDATION, validation)):
        if share > 0 and split not in splits.values():
            _fill(splits, [document_id for _, document_id in drawn], split)
    return splits


def _fill(splits: dict[str, Split], order: list[str], split: Split) -> None:
    """Give ``split`` a document of the split that has most of them, if that has two."""
    held = Counter(splits.values()).most_common(1)
    if held and held[0][1] > 1:
        spare = [document_id for document_id in order if splits[document_id] is held[0][0]]
        splits[spare[-1] if split is Split.TRAIN else spare[0]] = split


def _draw(document_id: str, seed: int) -> float:
    """A number in [0, 1) drawn from the id and the seed."""
    digest = hashlib.sha256(f"{seed}\n{document_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
