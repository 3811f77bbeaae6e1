"""Shingles: runs of words by which copied text is recognised, however little of it was changed.

A run is kept as a number, its hash within this process: a corpus has millions, and of 64 bits two
of ten million are the same in one of a hundred thousand cases.

Source: A. Broder, "On the resemblance and containment of documents", 1997.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import combinations

from twin.text.words import words as words_of

Shingle = int

SHINGLE = 8
"""Words in a row that count as copied when they occur in two texts."""
COPIED_SHARE = 0.5
"""A text with a larger share of another's shingles is a copy."""
MOST_HOLDERS = 20
"""A shingle that stands in more documents is a formula."""


def shingles(text: str) -> set[Shingle]:
    """All runs of `SHINGLE` words of a text, whatever their case; none of a shorter one."""
    words = tuple(words_of(text.lower()))
    return {hash(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1)}


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
    ids = sorted(texts)
    sizes: list[int] = []
    shared: Counter[tuple[int, int]] = Counter()
    for holders in _holders(_shingles_of(texts[id_] for id_ in ids), sizes):
        shared.update(combinations(holders, 2))
    return sorted(
        (ids[one], ids[other])
        for (one, other), count in shared.items()
        if count / min(sizes[one], sizes[other]) > COPIED_SHARE
    )


def _shingles_of(documents: Iterable[Iterable[str]]) -> Iterator[set[Shingle]]:
    for parts in documents:
        yield set[Shingle]().union(*map(shingles, parts))


def _holders(documents: Iterable[set[Shingle]], sizes: list[int]) -> Iterator[list[int]]:
    """The documents, by their places in ascending order, of each shingle that a few have.

    Numbers stand in arrays, eight bytes each, since a set of them takes ten times as much.

    Args:
        documents: the shingles of each.
        sizes: is filled with how many each has.
    """
    import numpy as np

    arrays = [np.fromiter(held, dtype=np.int64, count=len(held)) for held in documents]
    sizes += map(len, arrays)
    if not any(sizes):
        return
    every = np.concatenate(arrays)
    owners = np.repeat(np.arange(len(arrays), dtype=np.int32), sizes)
    order = np.argsort(every, kind="stable")
    every, owners = every[order], owners[order]
    starts = np.flatnonzero(np.concatenate(([True], every[1:] != every[:-1])))
    counts = np.diff(np.append(starts, len(every)))
    few = (counts > 1) & (counts <= MOST_HOLDERS)
    for start, count in zip(starts[few].tolist(), counts[few].tolist(), strict=True):
        yield owners[start : start + count].tolist()
