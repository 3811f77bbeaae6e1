"""An author's views change: which of the texts is the latest, and what a draft says against it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from twin.domain.answer import Passage
from twin.domain.draft import Difference
from twin.domain.errors import TwinError
from twin.rag.contradictions import ALIKE, Conflicts, RuleConflicts
from twin.rag.support import tells
from twin.text.likeness import likeness
from twin.text.sentences import sentences

log = structlog.get_logger("twin.rag")

FELL_BACK = "the judge did not answer: contradictions were looked for by rules"

Span = tuple[int, int]


@dataclass(frozen=True)
class Said:
    """A sentence of a text of the author's."""

    passage: Passage
    text: str


@dataclass(frozen=True)
class Against:
    """A sentence of the author's that speaks against another.

    Attributes:
        said: that sentence.
        span: of the draft's sentence that it speaks against; None where it is the author's own.
        difference: in what the two differ.
        later: the author's sentence that wins over it; None where none is known to.
    """

    said: Said
    span: Span | None
    difference: Difference
    later: Said | None


class Views:
    """Finds older views. Blocking; safe to share between threads.

    Args:
        conflicts: tells whether two sentences contradict each other.
    """

    def __init__(self, conflicts: Conflicts) -> None:
        self._conflicts = conflicts

    def latest(self, passages: Sequence[Passage]) -> tuple[list[Passage], list[Against]]:
        """The passages without those that a later one among them contradicts, and what these say.

        Passages of one document, of the same date or of none are not compared.
        """
        pairs = [
            (older, newer)
            for earlier in passages
            for later in passages
            if is_later(later, earlier) and later.document_id != earlier.document_id
            for older in _said(earlier)
            for newer in _said(later)
        ]
        found = self._differences([(older.text, newer.text) for older, newer in pairs])
        outdated = [
            Against(older, None, kind, newer)
            for (older, newer), kind in zip(pairs, found, strict=True)
            if kind is not None
        ]
        ids = {each.said.passage.chunk_id for each in outdated}
        return [each for each in passages if each.chunk_id not in ids], outdated

    def against(
        self, text: str, spans: Sequence[Span], near: Sequence[Sequence[Passage]]
    ) -> list[Against]:
        """What the author has said against the sentences of a draft.

        Args:
            text: of the draft.
            spans: of its sentences.
            near: the author's passages that each is compared with.
        """
        pairs = [
            (span, said)
            for span, passages in zip(spans, near, strict=True)
            for said in _all_said(passages)
        ]
        found = self._differences([(text[slice(*span)], said.text) for span, said in pairs])
        return [
            Against(said, span, kind, _later(said, text[slice(*span)], span, pairs, found))
            for (span, said), kind in zip(pairs, found, strict=True)
            if kind is not None
        ]

    def _differences(self, pairs: Sequence[tuple[str, str]]) -> list[Difference | None]:
        try:
            return self._conflicts.between(pairs)
        except TwinError as error:
            log.warning(FELL_BACK, reason=str(error))
            return RuleConflicts().between(pairs)


def is_later(passage: Passage, other: Passage) -> bool:
    """Whether both dates are known, and this one is the later."""
    mine, theirs = _moment(passage), _moment(other)
    return mine is not None and theirs is not None and mine > theirs


def _later(
    against: Said,
    sentence: str,
    span: Span,
    pairs: Sequence[tuple[Span, Said]],
    found: Sequence[Difference | None],
) -> Said | None:
    """The newest sentence that says what the draft says, and later than what speaks against it."""
    agreeing = [
        said
        for (place, said), kind in zip(pairs, found, strict=True)
        if place == span
        and kind is None
        and is_later(said.passage, against.passage)
        and likeness(sentence, said.text) >= ALIKE
    ]
    return max(agreeing, key=lambda said: _moment(said.passage) or datetime.min, default=None)


def _all_said(passages: Sequence[Passage]) -> Iterator[Said]:
    """The sentences of passages, each passage once."""
    for passage in {each.chunk_id: each for each in passages}.values():
        yield from _said(passage)


def _said(passage: Passage) -> list[Said]:
    return [Said(passage, text) for text in sentences(passage.text) if tells(text)]


def _moment(passage: Passage) -> datetime | None:
    moment = passage.published
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=UTC)
