"""Which document goes where: whole documents, so no passage of a test article is trained on."""

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping

from twin.domain.groups import Group, grouped
from twin.domain.sample import Split

_MEASURED_FIRST = (Split.TEST, Split.VALIDATION, Split.TRAIN)
"""The split of a newcomer whose likes are in several."""


LENGTHS = (500, 3_000)
"""Tokens from which a document is no post any more, but an article, and then a long one."""


def stratum_of(platform: str, tokens: int) -> tuple[str, int]:
    """The stratum of a document: its platform, and whether it is short, an article or long."""
    return platform, bisect_right(LENGTHS, tokens)


def split_documents(
    document_ids: Iterable[str],
    *,
    validation: float,
    test: float,
    seed: int,
    together: Iterable[Collection[str]] = (),
    kept: Mapping[str, Split] | None = None,
    strata: Mapping[str, Hashable] | None = None,
) -> dict[str, Split]:
    """The split of each document.

    A document of an earlier version stays where it was, whatever has changed since: what a
    champion was trained on never becomes a candidate's test. A new one goes where a document that
    says the same is; else its place is drawn from its id and the seed alone, so it does not depend
    on what else there is. Where documents are of several strata, the new ones are dealt so that
    each stratum, and all together, keep to the shares: in the order of the draw, each to the split
    that lacks most. Only where a wanted split would be empty does a new document move there
    (training gets one first, then test, then validation).

    Args:
        document_ids: of all documents.
        validation: share of them for validation.
        test: share of them for the test.
        seed: of the draw.
        together: groups of documents that say the same.
        kept: document id to split, of earlier versions.
        strata: document id to what it is like (platform, length).
    """
    kept = kept or {}
    groups = list(grouped(set(document_ids), together))
    placed = {group: _known(group, kept) for group in groups}
    drawn = sorted((_draw(group[0], seed), group) for group in groups if placed[group] is None)
    fresh = [group for _, group in drawn]
    stratum = {group: (strata or {}).get(group[0]) for group in groups}
    if len(set(stratum.values())) > 1:
        train = 1 - test - validation
        shares = {Split.TRAIN: train, Split.TEST: test, Split.VALIDATION: validation}
        _deal(placed, fresh, stratum, shares)
    else:
        for place, group in drawn:
            held_out = Split.TEST if place < test else Split.VALIDATION
            placed[group] = held_out if place < test + validation else Split.TRAIN
    for split, share in ((Split.TRAIN, 1.0), (Split.TEST, test), (Split.VALIDATION, validation)):
        if share > 0 and split not in placed.values():
            _fill(placed, fresh, split)
    return {
        document_id: kept.get(document_id, place)
        for group, place in placed.items()
        if place is not None
        for document_id in group
    }


def _known(group: Group, kept: Mapping[str, Split]) -> Split | None:
    places = {kept[document_id] for document_id in group if document_id in kept}
    return next((split for split in _MEASURED_FIRST if split in places), None)


def _deal(
    placed: dict[Group, Split | None],
    fresh: Iterable[Group],
    stratum: Mapping[Group, Hashable],
    shares: Mapping[Split, float],
) -> None:
    """Place new groups one by one in the split that lacks most, of their stratum and of all."""
    own: Counter[tuple[Hashable, Split]] = Counter()
    everywhere: Counter[Split] = Counter()
    for group, split in placed.items():
        if split is not None:
            own[stratum[group], split] += 1
            everywhere[split] += 1
    for group in fresh:
        like = stratum[group]
        seen = sum(own[like, split] for split in Split) + everywhere.total() + 2
        lacks = {
            split: share * seen - own[like, split] - everywhere[split]
            for split, share in shares.items()
            if share > 0
        }
        split = max(lacks, key=lambda each: lacks[each])
        placed[group] = split
        own[like, split] += 1
        everywhere[split] += 1


def _fill(placed: dict[Group, Split | None], fresh: list[Group], split: Split) -> None:
    """Give ``split`` a new group of the split that has most groups, if that has two.

    Where none has two, it is validation's, which can be done without.
    """
    donor, size = next(iter(Counter(placed.values()).most_common(1)), (None, 0))
    if size < 2:
        donor = Split.VALIDATION
    spare = [group for group in fresh if placed[group] is donor]
    if spare and donor is not split:
        placed[spare[-1] if split is Split.TRAIN else spare[0]] = split


def _draw(document_id: str, seed: int) -> float:
    """A number in [0, 1) drawn from the id and the seed."""
    digest = hashlib.sha256(f"{seed}\n{document_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
