"""What stands around a chunk: its neighbours, or the section that it is in.

A chunk's id follows from its document, revision and place, so neighbours are fetched by name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from twin.domain.chunk import Chunk, chunk_id
from twin.stores.index import Hit

SECTION_REACH = 8
"""Chunks to each side within which the rest of a section is looked for."""

Get = Callable[[Sequence[str]], Mapping[str, Chunk]]


@dataclass(frozen=True)
class Shown:
    """A hit as it is shown: its chunk, perhaps with more text, and the ids of what was joined."""

    chunk: Chunk
    score: float
    joined: tuple[str, ...] = ()


def widened(hits: Sequence[Hit], reach: int, get: Get, *, within_section: bool) -> list[Shown]:
    """Each hit with the chunks around it joined to its text.

    Hits of one document whose surroundings touch become one, in the place of the best of them and
    under its id, so no text is shown twice.

    Args:
        hits: best first.
        reach: chunks to each side; for sections, as far as they go, up to `SECTION_REACH`.
        get: fetches chunks by id.
        within_section: stop where the headings change.
    """
    reach = SECTION_REACH if within_section else reach
    around = get(sorted({id_ for hit in hits for id_ in _ids(hit.chunk, reach)}))
    spans = [(hit, _span(hit.chunk, reach, around, within_section=within_section)) for hit in hits]
    return [_joined(hit, span) for hit, span in _merged(spans)]


def join(first: str, second: str) -> str:
    """Two texts that follow each other; what the second repeats of the first's end is left out."""
    longest = min(len(first), len(second))
    for size in range(longest, 0, -1):
        if first.endswith(second[:size]) and (size >= MIN_OVERLAP or size == longest):
            return first + second[size:]
    return f"{first}\n\n{second}"


MIN_OVERLAP = 12
"""Characters that two texts must share at the seam to be called an overlap."""


def _ids(chunk: Chunk, reach: int) -> list[str]:
    first = max(0, chunk.ordinal - reach)
    places = range(first, chunk.ordinal + reach + 1)
    return [
        chunk_id(chunk.document_id, chunk.revision, place, chunk.chunker)
        for place in places
        if place != chunk.ordinal
    ]


def _span(
    chunk: Chunk, reach: int, around: Mapping[str, Chunk], *, within_section: bool
) -> dict[int, Chunk]:
    span = {chunk.ordinal: chunk}
    for step in (-1, 1):
        for distance in range(1, reach + 1):
            place = chunk.ordinal + step * distance
            if place < 0:
                break
            id_ = chunk_id(chunk.document_id, chunk.revision, place, chunk.chunker)
            other = around.get(id_)
            if other is None or (within_section and other.headings != chunk.headings):
                break
            span[place] = other
    return span


def _same_text(one: Chunk, other: Chunk) -> bool:
    return (one.document_id, one.revision) == (other.document_id, other.revision)


def _touch(one: Mapping[int, Chunk], other: Mapping[int, Chunk]) -> bool:
    return min(one) <= max(other) + 1 and min(other) <= max(one) + 1


def _merged(
    spans: Sequence[tuple[Hit, dict[int, Chunk]]],
) -> list[tuple[Hit, dict[int, Chunk]]]:
    """Spans that touch made one, until none do: one may close the gap between two others."""
    merged: list[tuple[Hit, dict[int, Chunk]]] = []
    for hit, span in spans:
        for known, chunks in merged:
            if _same_text(known.chunk, hit.chunk) and _touch(chunks, span):
                chunks.update(span)
                break
        else:
            merged.append((hit, dict(span)))
    return merged if len(merged) == len(spans) else _merged(merged)


def _joined(hit: Hit, span: Mapping[int, Chunk]) -> Shown:
    chunks = [span[place] for place in sorted(span)]
    text, headings = chunks[0].text, chunks[0].headings
    for before, chunk in pairwise(chunks):
        # Another section's words need their heading, or they seem to be of this one.
        text = join(text, chunk.text if chunk.headings == before.headings else _headed(chunk))
        headings = _shared(headings, chunk.headings)
    if headings != chunks[0].headings:
        text = f"{chunks[0].headings[-1]}\n\n{text}"
    others = tuple(chunk.id for chunk in chunks if chunk.id != hit.chunk.id)
    return Shown(
        hit.chunk.model_copy(update={"text": text, "headings": headings}), hit.score, others
    )


def _headed(chunk: Chunk) -> str:
    return "\n\n".join((*chunk.headings[-1:], chunk.text))


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    length = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        length += 1
    return one[:length]
