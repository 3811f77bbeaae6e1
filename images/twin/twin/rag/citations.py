"""Which sentences of an answer its sources support, and the words of theirs that do.

By the house's one verifier (`twin.rag.support`). Sources are made ready while the engine writes, so
that after the last word only the answer's own sentences are embedded.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

from twin.domain.answer import CheckedSentence, Citation, Passage
from twin.rag.prompt import format_passage
from twin.rag.support import Support, SupportVerifier, tells
from twin.text.sentences import sentence_spans


class Citer:
    """Cites the passages of answers. Blocking; safe to share between threads."""

    def __init__(self, verifier: SupportVerifier) -> None:
        self._verifier = verifier

    def prepare(self, passages: Sequence[Passage]) -> None:
        """Embed what may be cited, ahead of `cite`."""
        self._verifier.prepare([text for passage in passages for text in _texts(passage)])

    def cite(self, answer: str, passages: Sequence[Passage]) -> tuple[CheckedSentence, ...]:
        """The answer's sentences that say something, each with what supports it."""
        found = self._verifier.verify(answer, [format_passage(passage) for passage in passages])
        spans = [span for span in sentence_spans(answer) if tells(answer[slice(*span)])]
        return tuple(
            CheckedSentence(
                start=start,
                end=end,
                supported=support.is_supported,
                citations=self._citations(support, passages),
            )
            for (start, end), support in zip(spans, found, strict=True)
        )

    def _citations(self, support: Support, passages: Sequence[Passage]) -> tuple[Citation, ...]:
        if support.passage is None or not support.is_supported:
            return ()
        text = passages[support.passage].text
        spans = sentence_spans(text)
        if not spans:  # its title alone says so
            return (Citation(source=support.passage + 1, start=0, end=0, quote=""),)
        start, end = max(spans, key=lambda span: self._likeness(support, text[slice(*span)]))
        number = support.passage + 1
        return (Citation(source=number, start=start, end=end, quote=text[start:end]),)

    def _likeness(self, support: Support, quote: str) -> float:
        return self._verifier.evidence(support.sentence, quote).probability


class Citing:
    """The citing of one answer: sources are made ready from its first word on, in threads.

    Args:
        citer: None cites nothing.
        passages: that the answer may cite.
        threads: where it runs.
        refusal: an answer that claims nothing.
    """

    def __init__(
        self, citer: Citer | None, passages: Sequence[Passage], threads: Executor, *, refusal: str
    ) -> None:
        self._citer = citer
        self._passages = passages
        self._threads = threads
        self._refusal = refusal
        self._ready: asyncio.Future[None] | None = None

    def begin(self) -> None:
        """The first word is there, so nobody waits for what this does; more calls do nothing."""
        if self._citer and self._ready is None:
            loop = asyncio.get_running_loop()
            self._ready = loop.run_in_executor(self._threads, self._citer.prepare, self._passages)

    async def end(self, answer: str) -> tuple[CheckedSentence, ...]:
        """The answer's sentences, checked."""
        if self._citer is None or answer == self._refusal:
            return ()
        if self._ready:
            await self._ready
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._citer.cite, answer, self._passages)


def _texts(passage: Passage) -> tuple[str, str]:
    return format_passage(passage), passage.text
