"""Question → passages → prompt → answer → sources: the chain that serving and `twin rag ask` run.

Asynchronous: an engine writes, and what blocks for some milliseconds (retrieval, tokenizing) runs
in a few threads, so that hundreds of waiting callers cost no thread.
"""

import asyncio
import math
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from opentelemetry.trace import Span

from twin.domain.answer import Answer, CheckedSentence
from twin.domain.errors import BadDataError, OverloadedError, TryAgainError
from twin.models.embedder import Embedder, load_embedder
from twin.models.engines.engine import Engine, EngineRequest
from twin.models.engines.json_form import kept_to_schema
from twin.models.formats.chat_format import ChatFormat
from twin.models.language_model import Generation
from twin.rag.answer_cache import AnswerCache, Lookup, given_again
from twin.rag.answer_guard import AnswerGuard, Leaving, guarded
from twin.rag.citations import Citing
from twin.rag.contradiction_judge import open_conflicts
from twin.rag.drafting import Drafter
from twin.rag.engine_writer import EngineWriter
from twin.rag.guardrails import Guardrails
from twin.rag.prompt_writer import Finder, FromMemory, Prompt, PromptWriter
from twin.rag.query import AnswerPart, FoundPassages, Query
from twin.rag.rerank import LANGUAGE_MODEL
from twin.rag.retrieve import make_retriever
from twin.rag.spans import (
    FIRST_WORD_EVENT,
    STOPPED,
    AnswerSpans,
    record_answer,
    record_generation,
    trace_id,
)
from twin.rag.support import SupportVerifier
from twin.rag.text_classifiers import load_classifiers
from twin.recipes import Recipe
from twin.settings import Settings
from twin.stores.index import open_index

#: Prompts made at the same time; more wait. Each takes some tens of milliseconds of one core.
PROMPT_THREADS = 4

#: What an engine gets beyond the deadline to end an answer itself, with its own counts.
GRACE_SECONDS = 1.0


@dataclass(frozen=True)
class Lineage:
    """Which version answers: its model and name, its adapter's name in a shared engine, and the
    digest of the configuration that it is served with."""

    model: str
    version: str
    adapter: str | None = None
    configuration: str = ""


def load_chain(
    recipe: Recipe,
    engine: Engine,
    tokenizer: Path,
    settings: Settings,
    lineage: Lineage,
    *,
    embedder: Embedder | None = None,
    from_memory: bool = False,
    caches: bool = False,
) -> "Chain":
    """A chain over an engine, the tokenizer in a model's folder, the recipe's embedder and index.

    ``embedder`` is the recipe's if it has been loaded already. With ``from_memory`` the model is
    shown no passages, and no index is read. With ``caches`` the recipe's ``serving.cache`` holds:
    for callers, and never where answers are measured.

    Raises:
        BadDataError: no tokenizer in the folder, no index yet, no such embedder, or a way of
            retrieval that engines cannot serve.
    """
    if recipe.retrieval.rerank == LANGUAGE_MODEL:
        raise BadDataError(
            f"retrieval.rerank: {LANGUAGE_MODEL} scores texts, which no engine that serves does: "
            "set it to maxsim or a cross-encoder's folder"
        )
    embedder = embedder or load_embedder(recipe.features.embedder, settings)
    reader = None if from_memory else open_index(settings, recipe).read(embedder.id)
    chat = ChatFormat.shared(tokenizer)
    writer = EngineWriter(engine, chat, lineage.adapter)
    finder: Finder = FromMemory()
    if reader is not None:
        finder = make_retriever(recipe, reader, embedder, writer=writer, settings=settings)
    spans = AnswerSpans(lineage.model, lineage.version, recipe.prompt.label, lineage.configuration)
    rails = recipe.serving.guardrails
    prompts = PromptWriter(
        recipe,
        chat,
        finder,
        context_tokens=engine.context_tokens,
        spans=spans,
        guardrails=Guardrails(rails, load_classifiers(rails.classifiers, embedder)),
    )
    verifier = SupportVerifier(embedder)
    drafter = Drafter(recipe, verifier, spans, open_conflicts(recipe, verifier, settings))
    chain = Chain(
        recipe, engine, prompts,
        chat=chat, writer=writer, lineage=lineage, spans=spans, drafter=drafter,
    )  # fmt: skip
    if caches and recipe.serving.cache is not None:
        chain.cache = AnswerCache(recipe.serving.cache, embedder)
    return chain


class Chain:
    """Answers questions as the recipe's author, many at once."""

    def __init__(
        self,
        recipe: Recipe,
        engine: Engine,
        prompts: PromptWriter,
        *,
        chat: ChatFormat,
        writer: EngineWriter,
        lineage: Lineage,
        spans: AnswerSpans,
        drafter: Drafter,
    ) -> None:
        self._serving = recipe.serving
        self._dont_know = recipe.retrieval.dont_know
        self._prompt_version = recipe.prompt.label
        self._engine = engine
        self._prompts = prompts
        self._chat = chat
        self._writer = writer
        self._lineage = lineage
        self._spans = spans
        self._citer = drafter.checks.citer if recipe.serving.citations else None
        self._drafter = drafter
        self._threads = ThreadPoolExecutor(PROMPT_THREADS, thread_name_prefix="prompt")
        #: Of answers that are given again; None: each question is answered afresh.
        self.cache: AnswerCache | None = None

    def close(self) -> None:
        """End the chain's threads; answers under way are ended by their callers."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def warm_up(self) -> None:
        """Run every part once, so that the first caller does not wait for lazy loading."""
        await self.answer(Query(question=self._serving.probe_question, max_new_tokens=1))

    async def answer(self, query: Query) -> Answer:
        """The whole answer; see `stream`."""
        async with aclosing(self.stream(query)) as parts:
            async for part in parts:
                if part.answer:
                    return part.answer
        raise RuntimeError("the chain ended without an answer")

    async def stream(self, query: Query) -> AsyncGenerator[AnswerPart, None]:
        """Parts of text as they are written, then one part that holds the whole `Answer`.

        From this call on the answer has ``serving.answer_timeout_seconds``, waiting and prefill
        included. Closing the iterator ends the generation. A query with a ``draft`` gets one.

        Raises:
            BadDataError: what was asked does not fit into the prompt.
            TryAgainError: the time was over before the first word, or the engine failed.
        """
        drafts = query.draft is not None
        parts = self._drafter.stream(query, self) if drafts else self.stream_part(query)
        async with aclosing(parts):
            async for part in parts:
                yield part

    async def stream_part(
        self, query: Query, *, parent: Span | None = None, seconds: float = math.inf
    ) -> AsyncGenerator[AnswerPart, None]:
        """An answer that stands alone, or as part of a draft; see `stream`.

        Args:
            query: what is asked.
            parent: the draft's span.
            seconds: that are left, if fewer than an answer has.
        """
        asked = time.monotonic()
        deadline = asked + min(self._serving.answer_timeout_seconds, seconds)
        name, inputs = "section" if parent else "answer", {"question": query.question}
        with self._spans.span(name, "CHAIN", inputs, parent) as span:
            prompt = await self.prepare(query, span)
            lookup = None if parent else await self._looked_up(query, prompt)
            again = lookup.answer if lookup else None
            if query.sources_first:
                yield AnswerPart(sources=again.sources if again else prompt.passages)
            if again is not None:
                answer = given_again(again, query, trace_id(span))
                span.add_event(FIRST_WORD_EVENT)
                yield AnswerPart(text=answer.answer)
                record_answer(span, answer)
                yield AnswerPart(answer=answer)
                return
            citing, begun = self._citing(prompt), False
            if prompt.answerable:
                async with aclosing(self._written(prompt, asked, deadline, span)) as pieces:
                    async for piece in pieces:
                        if isinstance(piece, Generation):
                            generation = piece
                        else:
                            if not begun:
                                span.add_event(FIRST_WORD_EVENT)
                            begun = True
                            citing.begin()
                            yield AnswerPart(text=piece)
            else:
                span.add_event(FIRST_WORD_EVENT)
                refusal = prompt.refusal or self._dont_know
                yield AnswerPart(text=refusal, refused=True)
                generation = Generation(refusal, "stop", 0, 0)
            with self._spans.span("cite", "EVALUATOR", generation.text, parent=span):
                checked = await citing.end(generation.text.strip())
            answer = self._finish(query, prompt, generation, trace_id(span), checked)
            record_answer(span, answer)
            if self.cache is not None and lookup is not None:
                self.cache.keep(lookup, answer)
        yield AnswerPart(answer=answer)

    async def _looked_up(self, query: Query, prompt: Prompt) -> Lookup | None:
        if self.cache is None:
            return None
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self.cache.look, query, prompt)

    async def find(self, query: Query) -> FoundPassages:
        """The passages for a question, and nothing written."""
        loop = asyncio.get_running_loop()
        self._writer.loop = loop
        found = await loop.run_in_executor(self._threads, self._prompts.find, query)
        return FoundPassages(
            passages=found.passages,
            similarity=found.similarity,
            answerable=found.answerable,
            notes=found.notes,
        )

    async def prepare(self, query: Query, parent: Span | None = None) -> Prompt:
        """Retrieve and write the prompt; everything but the generation."""
        loop = asyncio.get_running_loop()
        self._writer.loop = loop
        return await loop.run_in_executor(self._threads, self._prompts.write, query, parent)

    async def _written(
        self, prompt: Prompt, asked: float, deadline: float, parent: Span
    ) -> AsyncGenerator[str | Generation, None]:
        """Pieces of text, then what was written; at the deadline it ends with what there is."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise _too_late(self._serving.answer_timeout_seconds)
        request = EngineRequest(
            prompt_ids=prompt.ids,
            messages=tuple(prompt.messages),
            params=prompt.params,
            adapter=self._lineage.adapter,
            timeout_seconds=left,
        )
        with self._spans.span("generate", "LLM", inputs=prompt.messages, parent=parent) as span:
            written, held, until = "", "", self._begins_by(asked, deadline)
            guard = AnswerGuard(self._leaving(prompt))
            async with (
                aclosing(self._stream(request)) as raw,  # type: ignore[type-var]
                aclosing(guarded(raw, guard, span)) as pieces,
            ):
                while True:
                    piece = await self._next(pieces, until)
                    until = deadline + GRACE_SECONDS
                    if not isinstance(piece, str):
                        break
                    shown, held = _shown(held + piece, written, span)
                    written += shown
                    if shown:
                        yield shown
            if piece is None and (rest := self._rest(guard, written, held)):
                written += rest
                yield rest
            generation = piece or self._cut(prompt, written)
            if time.monotonic() >= deadline:
                span.set_attribute(STOPPED, True)
            if not generation.text and time.monotonic() >= deadline:
                raise _too_late(self._serving.answer_timeout_seconds)
            record_generation(span, generation)
        yield generation

    def _leaving(self, prompt: Prompt) -> Leaving:
        serving = self._serving
        return Leaving.of(prompt.question, prompt.passages, serving.link_hosts, serving.guardrails)

    def _stream(self, request: EngineRequest) -> AsyncIterator[str | Generation]:
        pieces = self._engine.stream(request)
        if request.params.json_schema is None:
            return pieces
        return kept_to_schema(pieces, request.params)

    def _rest(self, guard: AnswerGuard, written: str, held: str) -> str:
        """What was held back when the time is over.

        Raises:
            OverloadedError: not a word was written by then.
        """
        rest = held + guard.end()
        if not written and not rest.strip():
            raise _too_late(
                min(self._serving.max_wait_seconds, self._serving.answer_timeout_seconds)
            )
        return rest.rstrip() if written else rest.strip()

    def _begins_by(self, asked: float, deadline: float) -> float:
        """Until when the first word must have come."""
        return min(asked + self._serving.max_wait_seconds, deadline + GRACE_SECONDS)

    async def _next(
        self, pieces: AsyncIterator[str | Generation], deadline: float
    ) -> str | Generation | None:
        """The next piece; None once the time is over."""
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                return await anext(pieces)
        except TimeoutError:
            return None
        except StopAsyncIteration:
            raise TryAgainError("the engine ended in the middle of an answer") from None

    def _cut(self, prompt: Prompt, written: str) -> Generation:
        """What an engine that did not end in time has written: to its reader it is as if the
        budget of tokens had run out."""
        return Generation(written, "length", len(prompt.ids), self._chat.count_tokens(written))

    def _citing(self, prompt: Prompt) -> Citing:
        """What refuses makes no claim that could be checked, and JSON has no sentences."""
        checked = prompt.answerable and prompt.params.json_schema is None
        citer = self._citer if checked else None
        return Citing(citer, prompt.passages, self._threads, refusal=self._dont_know.strip())

    def _finish(
        self,
        query: Query,
        prompt: Prompt,
        generation: Generation,
        trace: str,
        sentences: tuple[CheckedSentence, ...],
    ) -> Answer:
        text = generation.text.strip()
        return Answer(
            id=uuid.uuid4().hex,
            question=query.question,
            answer=text,
            sources=prompt.passages,
            sentences=sentences,
            grounded=bool(prompt.passages),
            refused=not prompt.answerable or text == self._dont_know.strip(),
            model=self._lineage.model,
            model_version=self._lineage.version,
            configuration=self._lineage.configuration,
            prompt_version=self._prompt_version,
            trace_id=trace,
            finish_reason=generation.finish_reason,
            prompt_tokens=generation.prompt_tokens,
            completion_tokens=generation.completion_tokens,
        )


def _shown(piece: str, written: str, span: Span) -> tuple[str, str]:
    """A piece as it is streamed, and the blanks at its end, which wait for the next one.

    The answer has no blanks at its ends, so neither has the stream.
    """
    text = piece if written else piece.lstrip()
    shown = text.rstrip()
    if shown and not written:
        span.add_event(FIRST_WORD_EVENT)
    return shown, text[len(shown) :]


def _too_late(seconds: int) -> OverloadedError:
    return OverloadedError(f"no answer began within {seconds} s: too many are being written")
