"""Passages that say the same twice: kept once, and never on both sides of the split."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations

from twin.datasets.passages import Passage
from twin.domain.sample import Split
from twin.text.words import words as words_of

SHINGLE = 8
"""Words in a row that count as copied when they occur in two passages."""
COPIED_SHARE = 0.5
"""A training passage with a larger share of held-out shingles is a copy."""

MOST_HOLDERS = 20
"""A shingle that stands in more documents is a formula."""

#: Who keeps a passage that occurs in several documents: what is measured on, first.
_KEEPERS = (Split.TEST, Split.VALIDATION, Split.TRAIN)


def without_duplicates(
    passages: Sequence[Passage], splits: dict[str, Split]
) -> tuple[list[Passage], int]:
    """The passages to use, in their order, and how many were dropped as copies."""
    seen: set[tuple[str, ...]] = set()
    held_out: set[tuple[str, ...]] = set()
    kept: set[str] = set()
    for split in _KEEPERS:
        for passage in passages:
            if splits[passage.chunk.document_id] is not split:
                continue
            words = tuple(words_of(passage.answer.lower()))
            shingles = _shingles(words)
            if words in seen or _is_copy(shingles, held_out):
                continue
            seen.add(words)
            kept.add(passage.chunk.id)
        # Compared with earlier splits only: an author may well repeat themselves in one.
        if split is not Split.TRAIN:
            held_out |= _all_shingles(p for p in passages if p.chunk.id in kept)
    chosen = [passage for passage in passages if passage.chunk.id in kept]
    return chosen, len(passages) - len(chosen)


def alike_documents(passages: Sequence[Passage]) -> list[tuple[str, str]]:
    """Pairs of documents of which the shorter one's shingles stand mostly in the other too.

    Cross-posts and new editions of an article are such pairs. A shingle of many documents (a
    licence, a refrain) tells nothing of their likeness and is passed over.
    """
    shingles: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for passage in passages:
        words = tuple(words_of(passage.answer.lower()))
        shingles[passage.chunk.document_id] |= _shingles(words)
    holders: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for document_id in sorted(shingles):
        for shingle in shingles[document_id]:
            holders[shingle].append(document_id)
    shared: Counter[tuple[str, str]] = Counter()
    for ids in holders.values():
        if len(ids) <= MOST_HOLDERS:
            shared.update(combinations(ids, 2))
    return sorted(
        (one, other)
        for (one, other), count in shared.items()
        if count / min(len(shingles[one]), len(shingles[other])) > COPIED_SHARE
    )


def _is_copy(shingles: set[tuple[str, ...]], held_out: set[tuple[str, ...]]) -> bool:
    return bool(shingles) and len(shingles & held_out) / len(shingles) > COPIED_SHARE


def _all_shingles(passages: Iterable[Passage]) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    for passage in passages:
        found |= _shingles(tuple(words_of(passage.answer.lower())))
    return found


def _shingles(words: tuple[str, ...]) -> set[tuple[str, ...]]:
    return {words[i : i + SHINGLE] for i in range(len(words) - SHINGLE + 1)}
