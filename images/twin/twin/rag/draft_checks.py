"""What is looked at in a section of a draft, against the author's own texts and the notes."""

from collections.abc import Sequence
from dataclasses import dataclass

from twin.domain.answer import CheckedSentence, Passage
from twin.rag.citations import Citer
from twin.rag.draft_code import code_blocks
from twin.rag.support import SupportVerifier, tells
from twin.text.sentences import sentence_spans
from twin.text.shingles import is_copy, shingles
from twin.text.words import count_words

Span = tuple[int, int]


@dataclass(frozen=True)
class Checked:
    """What was found of a section; places are in its own text.

    Attributes:
        sentences: with the sources that support them, by their numbers in the section.
        copied: sentences that stand in a text of the author's, each with it.
        from_notes: sentences that no source supports and the notes do.
        words: of the section.
        copied_words: of those in sentences that are copied.
    """

    sentences: tuple[CheckedSentence, ...]
    copied: tuple[tuple[Span, Passage], ...]
    from_notes: tuple[Span, ...]
    words: int
    copied_words: int


def told_spans(text: str) -> list[Span]:
    """Where the sentences stand that say something to be checked: none within a block of code."""
    blocks = [block.span for block in code_blocks(text)]
    return [
        span
        for span in sentence_spans(text)
        if tells(text[slice(*span)]) and not any(_within(span, block) for block in blocks)
    ]


def _within(span: Span, block: Span) -> bool:
    return block[0] <= span[0] and span[1] <= block[1]


class DraftChecks:
    """Checks sections. Blocking; safe to share between threads."""

    def __init__(self, verifier: SupportVerifier) -> None:
        self._verifier = verifier
        self.citer = Citer(verifier)

    def check(
        self, text: str, shown: Sequence[Passage], near: Sequence[Sequence[Passage]], notes: str
    ) -> Checked:
        """Check a section.

        Args:
            text: of the section.
            shown: the passages that it was written from.
            near: the author's passages that each of its `told_spans` is compared with.
            notes: that its caller gave.
        """
        spans = told_spans(text)
        sentences = [
            each for each in self.citer.cite(text, shown) if (each.start, each.end) in set(spans)
        ]
        compared = list(zip(spans, near, strict=True))
        compared += [(block.span, shown) for block in code_blocks(text)]
        copied = [
            (span, source)
            for span, found in compared
            if (source := copied_from(text[slice(*span)], found)) is not None
        ]
        return Checked(
            sentences=tuple(sentences),
            copied=tuple(copied),
            from_notes=self._from_notes(text, sentences, notes),
            words=count_words(text),
            copied_words=sum(count_words(text[slice(*span)]) for span, _ in copied),
        )

    def _from_notes(
        self, text: str, sentences: Sequence[CheckedSentence], notes: str
    ) -> tuple[Span, ...]:
        if not notes.strip():
            return ()
        by_notes = {
            each.sentence for each in self._verifier.verify(text, [notes]) if each.is_supported
        }
        return tuple(
            (each.start, each.end)
            for each in sentences
            if not each.supported and text[each.start : each.end] in by_notes
        )


def copied_from(sentence: str, passages: Sequence[Passage]) -> Passage | None:
    """The passage in which most of a sentence's runs of words stand.

    A sentence of fewer words than `twin.text.shingles.SHINGLE` is never copied: anybody might have
    written it.
    """
    said = shingles(sentence)
    if not said:
        return None
    return next((each for each in passages if is_copy(said, shingles(each.text))), None)
