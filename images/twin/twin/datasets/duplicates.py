"""Passages that say the same twice: kept once, and never on both sides of the split."""

from collections import defaultdict
from collections.abc import Sequence

from twin.datasets.passages import Passage
from twin.domain.sample import Split
from twin.text.shingles import Shingle, alike, is_copy, shingles
from twin.text.words import words as words_of

#: Who keeps a passage that occurs in several documents: what is measured on, first.
_KEEPERS = (Split.TEST, Split.VALIDATION, Split.TRAIN)


def without_duplicates(
    passages: Sequence[Passage], splits: dict[str, Split]
) -> tuple[list[Passage], int]:
    """The passages to use, in their order, and how many were dropped as copies."""
    seen: set[int] = set()  # hashes, as of shingles: words of all passages fill the memory
    held_out: set[Shingle] = set()
    kept: set[str] = set()
    for split in _KEEPERS:
        for passage in passages:
            if splits[passage.chunk.document_id] is not split:
                continue
            words = hash(tuple(words_of(passage.answer.lower())))
            if words in seen or is_copy(shingles(passage.answer), held_out):
                continue
            seen.add(words)
            kept.add(passage.chunk.id)
        # Compared with earlier splits only: an author may well repeat themselves in one.
        if split is not Split.TRAIN:
            own = (shingles(each.answer) for each in passages if each.chunk.id in kept)
            held_out = held_out.union(*own)
    chosen = [passage for passage in passages if passage.chunk.id in kept]
    return chosen, len(passages) - len(chosen)


def alike_documents(passages: Sequence[Passage]) -> list[tuple[str, str]]:
    """Pairs of documents of which the shorter one is mostly copied in the other (`alike`)."""
    texts: dict[str, list[str]] = defaultdict(list)
    for passage in passages:
        texts[passage.chunk.document_id].append(passage.answer)
    return alike(texts)
