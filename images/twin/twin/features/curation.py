"""What of an author's documents is said elsewhere too, and is indexed once or not at all.

Decided over all live documents together, from their signatures, and the same every time:

* Of documents with the same text, or nearly the same, the earliest published one is indexed.
* A block that recurs in a source's documents (a footer, an invitation to subscribe) is left out
  of all of them.
* A long passage that stands in several documents stays in the earliest one.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from twin.features.signature import PERMUTATIONS, Signature
from twin.recipes import FeaturesSection

if TYPE_CHECKING:
    import numpy

BANDS = 32
"""Of four numbers each: two texts that share 0.8 of their shingles meet in a band for certain
(1 - 1e-7), two that share 0.4 in 56 of 100 cases, which the comparison then sorts out."""

LEAST_WORDS = 20
"""Words below which only equal texts are duplicates: short ones differ in what matters."""


@dataclass(frozen=True)
class Place:
    """Where a document stands among its author's: what decides which of two is kept."""

    source: str
    published: datetime | None
    first_seen: datetime

    def order(self, document_id: str) -> tuple[bool, datetime, str]:
        """Earliest published first, those without a date last; then the id."""
        return self.published is None, self.published or self.first_seen, document_id


@dataclass(frozen=True)
class Duplicate:
    """Why a document is not indexed: which one is, and how like it is (1: the same text)."""

    of: str
    likeness: float


@dataclass(frozen=True)
class Curation:
    """The decisions: duplicates by id, and the hashes of blocks to leave out by document id."""

    duplicates: dict[str, Duplicate] = field(default_factory=dict)
    left_out: dict[str, frozenset[int]] = field(default_factory=dict)
    recurring: int = 0
    repeated: int = 0

    def variant(self, document_id: str) -> str:
        """Name of what is left out of a document (8 hex digits); "" if nothing."""
        hashes = self.left_out.get(document_id)
        if not hashes:
            return ""
        text = "\n".join(str(number) for number in sorted(hashes))
        return hashlib.sha256(text.encode()).hexdigest()[:8]


def curate(
    signatures: Iterable[Signature], places: Mapping[str, Place], knobs: FeaturesSection
) -> Curation:
    """Decide for all of an author's documents; takes about a kilobyte of memory for each."""
    ordered = sorted(
        (item for item in signatures if item.document_id in places),
        key=lambda item: places[item.document_id].order(item.document_id),
    )
    duplicates = _equal_texts(ordered) if knobs.duplicates.enabled else {}
    kept = [item for item in ordered if item.document_id not in duplicates]
    if knobs.duplicates.enabled and knobs.duplicates.min_likeness < 1:
        duplicates |= _like_texts(kept, knobs.duplicates.min_likeness)
        kept = [item for item in kept if item.document_id not in duplicates]
    recurring = _recurring(kept, places, knobs)
    left_out = {
        item.document_id: recurring[places[item.document_id].source] & set(item.blocks)
        for item in kept
    }
    repeated = _repeated(kept, left_out, knobs.duplicates.passage_words)
    for document_id, hashes in repeated.items():
        left_out[document_id] |= hashes
    return Curation(
        duplicates=_to_the_kept(duplicates),
        left_out={id_: frozenset(hashes) for id_, hashes in left_out.items() if hashes},
        recurring=sum(len(hashes) for hashes in recurring.values()),
        repeated=sum(len(hashes) for hashes in repeated.values()),
    )


def _equal_texts(ordered: Sequence[Signature]) -> dict[str, Duplicate]:
    first: dict[str, str] = {}
    found = {}
    for item in ordered:
        if item.text and first.setdefault(item.text, item.document_id) != item.document_id:
            found[item.document_id] = Duplicate(first[item.text], 1.0)
    return found


def _like_texts(ordered: Sequence[Signature], least: float) -> dict[str, Duplicate]:
    """Documents whose shingles are those of an earlier one, by their share in common."""
    import numpy

    items = [item for item in ordered if item.minhash and sum(item.words) >= LEAST_WORDS]
    if len(items) < 2:
        return {}
    digests = numpy.frombuffer(b"".join(item.minhash for item in items), dtype="<u4")
    digests = digests.reshape(len(items), PERMUTATIONS)
    earlier: dict[int, set[int]] = {}
    for one, other in _meetings(digests):
        earlier.setdefault(other, set()).add(one)
    originals: dict[int, int] = {}
    found = {}
    for place in sorted(earlier):
        # An earlier one that is a duplicate itself is stood for by its original.
        for one in sorted({originals.get(one, one) for one in earlier[place]}):
            likeness = float((digests[one] == digests[place]).mean())
            if likeness >= least:
                originals[place] = one
                duplicate = Duplicate(items[one].document_id, round(likeness, 3))
                found[items[place].document_id] = duplicate
                break
    return found


def _meetings(digests: "numpy.ndarray[Any, Any]") -> Iterable[tuple[int, int]]:
    """Pairs (earlier, later) that share a band: each with the band's first and its neighbour."""
    import numpy

    width = digests.shape[1] // BANDS
    pairs: set[tuple[int, int]] = set()
    for band in range(BANDS):
        rows = numpy.ascontiguousarray(digests[:, band * width : (band + 1) * width])
        keys = rows.view([("", rows.dtype)] * width).ravel()
        order = numpy.argsort(keys, kind="stable")
        same = keys[order[1:]] == keys[order[:-1]]
        first = 0
        for place, is_same in enumerate(same, start=1):
            if not is_same:
                first = place
                continue
            pairs.add((int(order[first]), int(order[place])))
            pairs.add((int(order[place - 1]), int(order[place])))
    return pairs


def _recurring(
    kept: Sequence[Signature], places: Mapping[str, Place], knobs: FeaturesSection
) -> dict[str, set[int]]:
    """For each source the blocks that recur in its documents."""
    documents = Counter(places[item.document_id].source for item in kept)
    limits = knobs.boilerplate
    found: dict[str, set[int]] = {source: set() for source in documents}
    if not limits.enabled:
        return found
    for source, count in documents.items():
        least = max(limits.min_documents, limits.min_share * count - 1e-9)
        least = min(least, max(limits.always_documents, limits.min_documents))
        own = (item for item in kept if places[item.document_id].source == source)
        found[source] = set(_occurring(own, least))
    return found


def _occurring(items: Iterable[Signature], least: float) -> list[int]:
    """Hashes that occur in at least so many of the documents."""
    import numpy

    arrays = [numpy.array(item.blocks, dtype="<u8") for item in items if item.blocks]
    if not arrays:
        return []
    hashes, counts = numpy.unique(numpy.concatenate(arrays), return_counts=True)
    return [int(value) for value in hashes[counts >= least]]


def _repeated(
    kept: Sequence[Signature], left_out: Mapping[str, set[int]], least_words: int
) -> dict[str, set[int]]:
    """Long passages that an earlier document holds, by the later document."""
    if not least_words:
        return {}
    twice = set(_occurring(kept, 2))
    seen: set[int] = set()
    found: dict[str, set[int]] = {}
    for item in kept:
        for number, words in zip(item.blocks, item.words, strict=True):
            if words < least_words or number not in twice or number in left_out[item.document_id]:
                continue
            if number in seen:
                found.setdefault(item.document_id, set()).add(number)
            seen.add(number)
    return found


def _to_the_kept(duplicates: dict[str, Duplicate]) -> dict[str, Duplicate]:
    """An equal of a document that is itself like an earlier one points to the earlier one."""
    return {
        id_: Duplicate(duplicates[found.of].of, duplicates[found.of].likeness)
        if found.of in duplicates
        else found
        for id_, found in duplicates.items()
    }
