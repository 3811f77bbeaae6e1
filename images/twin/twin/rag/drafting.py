"""Topic and notes → outline → sections, each written from its own passages and checked → a draft.

Every section is an answer of the chain: retrieval, budget of tokens, guardrails and verifier are
the chain's. A draft has the time of one answer; what is not begun by then is left out, and said.
"""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from opentelemetry.trace import Span

from twin.domain.answer import Answer, Passage
from twin.domain.draft import DraftKind, DraftTask
from twin.domain.errors import BadDataError, OverloadedError
from twin.rag.contradictions import Conflicts
from twin.rag.draft_checks import DraftChecks, told_spans
from twin.rag.draft_code import code_faults
from twin.rag.draft_text import fitting, post_characters, whole_sentences
from twin.rag.draft_views import Against, Views
from twin.rag.drafted import DraftWork, WrittenSection, answer_fields
from twin.rag.outline import one_line, points_of_json, points_of_notes, points_of_passages
from twin.rag.prompt_drafts import (
    DRAFT_PROMPT_VERSION,
    SECTIONS,
    outline_request,
    outline_schema,
    revision_request,
    section_request,
)
from twin.rag.query import AnswerPart, FoundPassages, Query, SectionBegins, TextsFilter
from twin.rag.spans import FIRST_WORD_EVENT, AnswerSpans, record_answer, trace_id
from twin.rag.support import SupportVerifier
from twin.recipes import Recipe

#: Passages that are looked at for the headings of one section's worth of outline.
PASSAGES_A_POINT = 3
#: Kinds of texts that code is written from, where they say anything of the topic.
CODE_KINDS = ("code",)


class Writing(Protocol):
    """What drafts are written by: the chain."""

    def stream_part(
        self, query: Query, *, parent: Span | None = None, seconds: float = math.inf
    ) -> AsyncGenerator[AnswerPart, None]:
        """An answer, piece by piece."""

    async def find(self, query: Query) -> FoundPassages:
        """The passages for a question."""


class Drafter:
    """Writes the drafts of a recipe.

    Args:
        recipe: whose knobs these are.
        verifier: the house's.
        spans: where traces go, of the version that answers.
        conflicts: tells what contradicts the author's texts.
    """

    def __init__(
        self,
        recipe: Recipe,
        verifier: SupportVerifier,
        spans: AnswerSpans,
        conflicts: Conflicts,
    ) -> None:
        self.model, self.version = spans.model, spans.version
        self.configuration = spans.configuration
        self.serving = recipe.serving
        self.dont_know = recipe.retrieval.dont_know
        self.checks = DraftChecks(verifier)
        self.views = Views(conflicts)
        self._spans = spans

    async def stream(self, query: Query, chain: Writing) -> AsyncGenerator[AnswerPart, None]:
        """The outline, each section with its sources and its text, then the whole `Answer`.

        Raises:
            BadDataError: what was asked does not fit into the prompt.
            TryAgainError: the time was over before the first word, or the engine failed.
        """
        with self._spans.span("draft", "CHAIN", inputs={"question": query.question}) as span:
            span.set_attribute("twin.draft_prompt", DRAFT_PROMPT_VERSION)
            drafting = _Drafting(self, query, chain, span)
            async with aclosing(drafting.parts()) as parts:
                async for part in parts:
                    yield part
            answer = drafting.answer()
            record_answer(span, answer)
        yield AnswerPart(answer=answer)


@dataclass
class _Drafting:
    """One draft under way."""

    drafter: Drafter
    query: Query
    chain: Writing
    span: Span
    outline: tuple[str, ...] = ()
    written: list[WrittenSection] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    outdated: list[Against] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    unfinished: bool = False

    def __post_init__(self) -> None:
        assert self.query.draft is not None  # noqa: S101 - the chain looked
        self.task: DraftTask = self.query.draft
        self.deadline = time.monotonic() + self.drafter.serving.answer_timeout_seconds

    async def parts(self) -> AsyncGenerator[AnswerPart, None]:
        """All parts but the whole draft."""
        most = self._most_sections()
        found = await self._found(self.task.topic, PASSAGES_A_POINT * most)
        if not found.answerable:
            self.span.add_event(FIRST_WORD_EVENT)
            yield AnswerPart(text=self.drafter.dont_know, refused=True)
            return
        self.outline = await self._outline(found.passages, most)
        yield AnswerPart(outline=self.outline)
        for number, heading in enumerate(self.outline, start=1):
            if self._left() <= 0:
                self._say_late()
            if self.unfinished and not self.task.earlier:
                return
            section = self._section(number, heading)
            async with aclosing(section):
                async for part in section:
                    yield part

    async def _section(self, number: int, heading: str) -> AsyncGenerator[AnswerPart, None]:
        """A section's beginning, then its text as it is written, or as it was before."""
        found = await self._found(self._searched(number, heading))
        passages, outdated = await asyncio.to_thread(self.drafter.views.latest, found.passages)
        self.outdated += outdated
        begins = SectionBegins(number=number, heading=heading)
        yield AnswerPart(section=begins, sources=tuple(passages))
        before = len(self.written)
        if self._changes(number) and not self.unfinished:
            new = self._new(number, heading, passages)
            async with aclosing(new):
                async for part in new:
                    yield part
        if self.task.earlier and len(self.written) == before:
            text = self.task.earlier[number - 1].text
            yield AnswerPart(text=text)
            await self._keep(heading, text, passages)

    async def _new(
        self, number: int, heading: str, passages: Sequence[Passage]
    ) -> AsyncGenerator[AnswerPart, None]:
        """The text of a section; of a thread it is cut to its size before anybody sees it."""
        whole = self.task.kind is DraftKind.THREAD
        answer: Answer | None = None
        stream = self.chain.stream_part(
            self._asked(number, passages), parent=self.span, seconds=self._left()
        )
        try:
            async with aclosing(stream) as parts:
                async for part in parts:
                    answer = part.answer or answer
                    if part.text and not whole:
                        self._note_first_word()
                        yield AnswerPart(text=part.text)
        except OverloadedError:
            if not self.written:
                raise
            self._say_late()
            return
        assert answer is not None  # noqa: S101 - a stream ends with its answer
        self.answers.append(answer)
        text, cut = self._text(answer, number)
        if not text or answer.refused:
            self.remarks.append(f"nothing was written under {heading!r}: the texts say too little")
            return
        if whole:
            self._note_first_word()
            yield AnswerPart(text=text)
        await self._keep(heading, text, answer.sources, cut=cut)

    async def _keep(
        self, heading: str, text: str, sources: Sequence[Passage], *, cut: bool = False
    ) -> None:
        spans = told_spans(text)
        near = [(*sources, *(await self._near(text[slice(*span)])).passages) for span in spans]
        checked = await asyncio.to_thread(
            self.drafter.checks.check, text, sources, near, self.task.notes
        )
        against = await asyncio.to_thread(self.drafter.views.against, text, spans, near)
        self.remarks += code_faults(text, heading)
        section = WrittenSection(heading, text, cut, tuple(sources), checked, tuple(against))
        self.written.append(section)

    async def _outline(self, passages: Sequence[Passage], most: int) -> tuple[str, ...]:
        if self.task.earlier:
            return tuple(each.heading for each in self.task.earlier)
        if self.task.outline:
            given = tuple(map(one_line, self.task.outline))
            if len(given) > most:
                self.remarks.append(f"of {len(given)} points the first {most} are written")
            return given[:most]
        if points := points_of_notes(self.task.notes, most):
            return points
        if self.drafter.serving.drafts.outline == "model":
            if points := await self._model_outline(passages, most):
                return points
            self.remarks.append("the outline is of headings: the model's own could not be read")
        return points_of_passages(passages, most) or (one_line(self.task.topic),)

    async def _model_outline(self, passages: Sequence[Passage], most: int) -> tuple[str, ...]:
        asked = self._query(
            outline_request(self.task, most), passages, json_schema=outline_schema(most)
        )
        try:
            stream = self.chain.stream_part(asked, parent=self.span, seconds=self._left())
            async with aclosing(stream) as parts:
                async for part in parts:
                    if part.answer is not None:
                        self.answers.append(part.answer)
                        return points_of_json(part.answer.answer, most)
        except BadDataError:  # an engine that can't be bound by a schema, or does not keep to it
            return ()
        return ()

    def _asked(self, number: int, passages: Sequence[Passage]) -> Query:
        if self.task.earlier:
            return self._query(revision_request(self.task, self.task.earlier[number - 1]), passages)
        return self._query(section_request(self.task, self.outline, number), passages)

    def _query(
        self, question: str, passages: Sequence[Passage], json_schema: str | None = None
    ) -> Query:
        kept = {"temperature", "top_p", "seed", "max_new_tokens"}
        return Query(
            question=question,
            given=tuple(passages),
            json_schema=json_schema,
            **self.query.model_dump(include=kept),
        )

    async def _found(self, question: str, passages: int | None = None) -> FoundPassages:
        asked = {"question": question, "passages": passages or self.query.passages}
        kept = {"filter", "rerank", "expansion"}
        wanted = Query(**asked, **self.query.model_dump(include=kept))
        if self.task.kind is DraftKind.CODE and not (wanted.filter and wanted.filter.kinds):
            among = wanted.filter or TextsFilter()
            code = wanted.model_copy(
                update={"filter": among.model_copy(update={"kinds": CODE_KINDS})}
            )
            if (found := await self.chain.find(code)).passages and found.answerable:
                return found
        return await self.chain.find(wanted)

    async def _near(self, sentence: str) -> FoundPassages:
        """Of all the author's texts: what is copied or contradicted may lie out of the filter."""
        nearest = self.drafter.serving.drafts.nearest
        return await self.chain.find(
            Query(question=sentence, passages=nearest, rerank=False, expansion="off")
        )

    def _changes(self, number: int) -> bool:
        """Whether a section is written, and not kept as it was."""
        return not self.task.earlier or self.task.section in (None, number)

    def _searched(self, number: int, heading: str) -> str:
        changed = f" {self.task.instruction}" if self._changes(number) else ""
        return f"{self.task.topic}: {heading}{changed}".rstrip()

    def _most_sections(self) -> int:
        most = self.drafter.serving.drafts.max_sections
        return most if self.task.outline else min(most, SECTIONS[self.task.kind][self.task.length])

    def _text(self, answer: Answer, number: int) -> tuple[str, bool]:
        """A section's text, and whether its end was cut."""
        cut = answer.finish_reason == "length"
        text = whole_sentences(answer.answer) if cut else answer.answer
        if self.task.kind is not DraftKind.THREAD:
            return text, cut
        fit = fitting(text, post_characters(number, len(self.outline)))
        return fit, cut or len(fit) < len(" ".join(text.split()))

    def _left(self) -> float:
        return self.deadline - time.monotonic()

    def _say_late(self) -> None:
        if self.unfinished:
            return
        self.unfinished = True
        self.remarks.append(
            f"the time was over: {len(self.written)} of {len(self.outline)} sections are written"
        )

    def _note_first_word(self) -> None:
        if not self.written:
            self.span.add_event(FIRST_WORD_EVENT)

    def answer(self) -> Answer:
        """The whole draft."""
        work = DraftWork(
            query=self.query,
            task=self.task,
            outline=self.outline,
            written=tuple(self.written),
            outdated=tuple(self.outdated),
            remarks=tuple(self.remarks),
        )
        return Answer(
            **answer_fields(work, self.drafter.dont_know),
            model=self.drafter.model,
            model_version=self.drafter.version,
            configuration=self.drafter.configuration,
            trace_id=trace_id(self.span),
            finish_reason="length" if self.unfinished else "stop",
            prompt_tokens=sum(each.prompt_tokens for each in self.answers),
            completion_tokens=sum(each.completion_tokens for each in self.answers),
        )
