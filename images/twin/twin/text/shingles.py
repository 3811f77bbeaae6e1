"""Shingles: runs of words by which copied text is recognised, however little of it was changed.

Source: A. Broder, "On the resemblance and containment of documents", 1997.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from itertools import combinations

from twin.text.words import words as words_of

Shingle = tuple[str, ...]

SHINGLE = 8
"""Words in a row that count as copied when they occur in two texts."""
COPIED_SHARE = 0.5
"""A text with a larger share of another's shingles is a copy."""
MOST_HOLDERS = 20
"""A shingle that stands in more documents is a formula."""


def shingles(text: str) -> set[Shingle]:
    """All runs of `SHINGLE` words of a text, whatever their case; none of a shorter one."""
    words = tuple(words_of(text.lower()))
    return {words[i : i + SHINGLE] for i in range(len(words) - SHINGLE + 1)}


def is_copy(found: Collection[Shingle], others: Collection[Shingle]) -> bool:
    """Whether a text with these shingles is mostly made of others: a short one never is."""
    return bool(found) and sum(each in others for each in found) / len(found) > COPIED_SHARE


def alike(texts: Mapping[str, Iterable[str]]) -> list[tuple[str, str]]:
    """Pairs of documents of which the shorter one's shingles stand mostly in the other too.

    Cross-posts and new editions of an article are such pairs. A shingle of many documents (a
    licence, a refrain) tells nothing of their likeness and is passed over.

    Args:
        texts: document id to the texts that it holds.
    """
    held = {id_: set[Shingle]().union(*map(shingles, parts)) for id_, parts in texts.items()}
    holders: dict[Shingle, list[str]] = defaultdict(list)
    for document_id in sorted(held):
        for shingle in held[document_id]:
            holders[shingle].append(document_id)
    shared: Counter[tuple[str, str]] = Counter()
    for ids in holders.values():
        if len(ids) <= MOST_HOLDERS:
            shared.update(combinations(ids, 2))
    return sorted(
        (one, other)
        for (one, other), count in shared.items()
        if count / min(len(held[one]), len(held[other])) > COPIED_SHARE
    )
