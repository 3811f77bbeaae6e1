"""Shingles: runs of words by which copied text is recognised, however little of it was changed.

A run is kept as a number, its hash, which is the same in every process: a corpus has millions, and
of 64 bits two of ten million are the same in one of a hundred thousand cases.

Source: A. Broder, "On the resemblance and containment of documents", 1997.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING

from twin.text.words import words as words_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Shingle = int

SHINGLE = 8
"""Words in a row that count as copied when they occur in two texts."""
COPIED_SHARE = 0.5
"""A text with a larger share of another's shingles is a copy."""
MOST_HOLDERS = 20
"""A shingle that stands in more documents is a formula."""

_BASE = 0x9E3779B97F4A7C15
"""Odd, so that a product with it loses no bit of 64 (the golden ratio's, by D. Knuth)."""

_SORTED_AT_ONCE = 1_000_000
"""Shingles that are sorted together, some 60 MB of memory; all are gone through for each part."""

Holdings = Callable[[], Iterable[tuple["NDArray[np.int64]", "NDArray[np.int32]"]]]
"""Shingles and the places of the documents that hold them, some at a time; read several times."""


def number_of(text: str) -> int:
    """64 bits of a text's BLAKE2b digest, signed: the same in every process."""
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def shingle_array(text: str) -> "NDArray[np.int64]":
    """All runs of `SHINGLE` words of a text, whatever their case, each once and in order of size.

    A run's number is a polynomial of its words' numbers.
    """
    import numpy as np

    words = words_of(text.lower())
    count = len(words) - SHINGLE + 1
    if count < 1:
        return np.empty(0, dtype=np.int64)
    numbers = np.array([_word(word) for word in words], dtype=np.int64).view(np.uint64)
    runs = np.zeros(count, dtype=np.uint64)
    for start in range(SHINGLE):
        runs = runs * np.uint64(_BASE) + numbers[start : start + count]
    return np.unique(runs.view(np.int64))


def shingles(text: str) -> set[Shingle]:
    """`shingle_array` as a set of numbers; none of a text with fewer words."""
    return set(shingle_array(text).tolist())


def is_copy(found: Collection[Shingle], others: Collection[Shingle]) -> bool:
    """Whether a text with these shingles is mostly made of others: a short one never is."""
    return bool(found) and sum(each in others for each in found) / len(found) > COPIED_SHARE


def is_copy_of_sorted(found: "NDArray[np.int64]", others: "NDArray[np.int64]") -> bool:
    """`is_copy` of arrays; that of the others is sorted."""
    if not len(found) or not len(others):
        return False
    places = others.searchsorted(found)
    places[places == len(others)] = 0
    return int((others[places] == found).sum()) / len(found) > COPIED_SHARE


def alike(texts: Mapping[str, Iterable[str]]) -> list[tuple[str, str]]:
    """Pairs of documents of which the shorter one's shingles stand mostly in the other too.

    Cross-posts and new editions of an article are such pairs. A shingle of many documents (a
    licence, a refrain) tells nothing of their likeness and is passed over.

    Args:
        texts: document id to the texts that it holds.
    """
    import numpy as np

    ids = sorted(texts)
    held = [
        (runs, np.full(len(runs), place, dtype=np.int32))
        for place, id_ in enumerate(ids)
        for runs in map(shingle_array, texts[id_])
    ]
    return [(ids[one], ids[other]) for one, other in alike_places(lambda: held, len(ids))]


def alike_places(holdings: Holdings, documents: int) -> list[tuple[int, int]]:
    """`alike` of documents by their places, in ascending order, with shingles from anywhere.

    Args:
        holdings: the shingles of all documents; one may come several times.
        documents: how many there are.
    """
    import numpy as np

    sizes = np.zeros(documents, dtype=np.int64)
    shared: Counter[tuple[int, int]] = Counter()
    for runs, owners in _parts(holdings):
        sizes += np.bincount(owners, minlength=documents)
        for holders in _holders(runs, owners):
            shared.update(combinations(holders, 2))
    return sorted(
        pair
        for pair, count in shared.items()
        if count / min(sizes[pair[0]], sizes[pair[1]]) > COPIED_SHARE
    )


def _parts(
    holdings: Holdings,
) -> Iterator[tuple["NDArray[np.int64]", "NDArray[np.int32]"]]:
    """All shingles with their documents, sorted, each pair once: so many at once as memory has.

    What is the same comes in one part, by the remainder of its number.
    """
    import numpy as np

    parts = 1 + sum(len(runs) for runs, _ in holdings()) // _SORTED_AT_ONCE
    for part in range(parts):
        chosen = [
            (runs[wanted], owners[wanted])
            for runs, owners in holdings()
            if (wanted := runs % parts == part).any()
        ]
        if not chosen:
            continue
        every = np.concatenate([runs for runs, _ in chosen])
        owners = np.concatenate([owners for _, owners in chosen])
        order = np.lexsort((owners, every))
        every, owners = every[order], owners[order]
        new = np.ones(len(every), dtype=bool)
        new[1:] = (every[1:] != every[:-1]) | (owners[1:] != owners[:-1])
        yield every[new], owners[new]


def _holders(every: "NDArray[np.int64]", owners: "NDArray[np.int32]") -> Iterator[list[int]]:
    """The documents, in ascending order, of each shingle that a few have."""
    import numpy as np

    starts = np.flatnonzero(np.concatenate(([True], every[1:] != every[:-1])))
    counts = np.diff(np.append(starts, len(every)))
    few = (counts > 1) & (counts <= MOST_HOLDERS)
    for start, count in zip(starts[few].tolist(), counts[few].tolist(), strict=True):
        yield owners[start : start + count].tolist()


@lru_cache(maxsize=100_000)
def _word(word: str) -> int:
    return number_of(word)
