"""Question → passages → prompt → answer → sources: the chain that serving and `twin rag ask` run.

Every answer is one trace (OpenTelemetry, whose API does nothing until a provider is set):
``answer`` with its parts ``retrieve`` and ``generate``.
"""

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import INVALID_TRACE_ID, Span, set_span_in_context

from twin.domain.answer import Answer, Passage
from twin.domain.conversation import Turn
from twin.domain.errors import BadDataError
from twin.models.embedder import load_embedder
from twin.models.language_model import (
    Generation,
    LanguageModel,
    Message,
    SamplingParams,
    load_language_model,
)
from twin.rag.context import fit_context
from twin.rag.prompt import END_MARKS, build_messages, format_passage
from twin.rag.query import AnswerPart, Query
from twin.rag.retrieve import Found, Retriever, make_retriever
from twin.recipes import Recipe, ServingSection
from twin.settings import Settings
from twin.stores.index import open_index

#: Tokens of the prompt that are neither question, history nor passages: its fixed words, marks of
#: turns and numbers of passages, generously.
PROMPT_OVERHEAD_TOKENS = 120


#: Attribute of spans that ended early: the caller went away, or the time was up.
STOPPED = "twin.stopped"


@dataclass(frozen=True)
class Prompt:
    """What the model is shown, and the passages of it that become the answer's sources.

    ``answerable`` is false where the texts say nothing of the question: the model is not asked.
    """

    messages: list[Message]
    passages: tuple[Passage, ...]
    params: SamplingParams
    answerable: bool = True


def load_chain(
    recipe: Recipe, weights: Path, settings: Settings, *, model_name: str, version: str
) -> "Chain":
    """A chain over a model's folder, the recipe's embedder and its index.

    Raises:
        BadDataError: no model in the folder, no index yet, or no such embedder.
    """
    # The index before the model: it is the quickest to say that something is missing.
    embedder = load_embedder(recipe.features.embedder, settings)
    reader = open_index(settings, recipe).read(embedder.id)
    model = load_language_model(weights, settings, name=f"{model_name}-v{version}")
    retriever = make_retriever(recipe, reader, embedder, model)
    return Chain(recipe, model, retriever, model_name=model_name, version=version)


class Chain:
    """Answers questions as the recipe's author. Blocking; its parts are safe to share."""

    def __init__(
        self,
        recipe: Recipe,
        model: LanguageModel,
        retriever: Retriever,
        *,
        model_name: str,
        version: str,
    ) -> None:
        self._author = recipe.author.name
        self._limits = recipe.serving
        self._dont_know = recipe.retrieval.dont_know
        self._model = model
        self._retriever = retriever
        self._name = model_name
        self._version = version
        self._tracer = trace.get_tracer("twin.rag")

    def warm_up(self) -> None:
        """Run every part once, so that the first caller does not wait for lazy loading."""
        prompt = self.prepare(Query(question=self._limits.probe_question, max_new_tokens=1))
        self._model.generate(prompt.messages, prompt.params)

    def answer(self, query: Query) -> Answer:
        """The whole answer.

        Raises:
            BadDataError: the question does not fit into the model's context.
        """
        *_, last = self.stream(query)
        assert last.answer is not None  # noqa: S101 - the contract of stream
        return last.answer

    def stream(
        self, query: Query, should_stop: Callable[[], bool] | None = None
    ) -> Iterator[AnswerPart]:
        """Parts of text as they are written, then one part that holds the whole `Answer`.

        Raises:
            BadDataError: the question does not fit into the model's context.
        """
        with self._span("answer", "CHAIN", inputs={"question": query.question}) as span:
            prompt = self.prepare(query, span)
            if not prompt.answerable:
                yield AnswerPart(text=self._dont_know)
                unknown = Generation(self._dont_know, "stop", 0, 0)
                answer = self._finish(query, prompt, unknown, _trace_id(span))
                _record_answer(span, answer)
                yield AnswerPart(answer=answer)
                return
            with self._span("generate", "LLM", inputs=prompt.messages, parent=span) as inner:
                stream = self._model.stream(prompt.messages, prompt.params, should_stop)
                for text in stream:
                    yield AnswerPart(text=text)
                generation = stream.generation
                if should_stop and should_stop():
                    # Cut short: to its reader it is as if the budget of tokens had run out.
                    generation = replace(generation, finish_reason="length")
                    inner.set_attribute(STOPPED, True)
                _record_generation(inner, generation)
            answer = self._finish(query, prompt, generation, _trace_id(span))
            _record_answer(span, answer)
        yield AnswerPart(answer=answer)

    def prepare(self, query: Query, parent: Span | None = None) -> Prompt:
        """Retrieve and write the prompt; everything but the generation."""
        limits = self._limits
        params = _params(query, limits)
        instruction = "\n\n".join(text for text in (query.system, query.question) if text)
        room = self._room(instruction, params)
        history = self._recent(query.history, min(limits.max_history_tokens, room))
        room -= sum(self._model.count_tokens(turn.content) for turn in history)
        with self._span("retrieve", "RETRIEVER", query.question, parent) as span:
            found = self._retriever.find(query.question, query.passages or limits.passages)
            # A later turn ("and why?") is about what was said before, which is not searched for.
            answerable = found.answerable or bool(history)
            budget = min(limits.max_context_tokens, room)
            shown = found.passages if answerable else ()
            passages = fit_context(shown, budget, self._model.count_tokens)
            _record_found(span, found)
            _record_passages(span, passages)
        quoted = [format_passage(passage) for passage in passages]
        messages = build_messages(self._author, instruction, quoted, history)
        return Prompt(messages, tuple(passages), params, answerable)

    def _room(self, instruction: str, params: SamplingParams) -> int:
        """Tokens left for history and passages."""
        asked = self._model.count_tokens(instruction)
        fixed = params.max_new_tokens + PROMPT_OVERHEAD_TOKENS
        room = self._model.context_tokens - asked - fixed
        if room < 0:
            raise BadDataError(
                f"the question has {asked:,} tokens: at most "
                f"{self._model.context_tokens - fixed:,} fit into the model's context"
            )
        return room

    def _recent(self, history: Sequence[Turn], budget: int) -> list[Turn]:
        """The newest turns that fit, from a user's turn on and alternating, as templates ask."""
        kept: list[Turn] = []
        for turn in reversed(_alternating(history)):
            budget -= self._model.count_tokens(turn.content)
            if budget < 0:
                break
            kept.insert(0, turn)
        return kept[1:] if kept and kept[0].role == "assistant" else kept

    def _finish(
        self, query: Query, prompt: Prompt, generation: Generation, trace_id: str
    ) -> Answer:
        return Answer(
            id=uuid.uuid4().hex,
            question=query.question,
            answer=generation.text.strip(),
            sources=prompt.passages,
            grounded=bool(prompt.passages),
            model=self._name,
            model_version=self._version,
            trace_id=trace_id,
            finish_reason=generation.finish_reason,
            prompt_tokens=generation.prompt_tokens,
            completion_tokens=generation.completion_tokens,
        )

    @contextmanager
    def _span(
        self, name: str, kind: str, inputs: Any, parent: Span | None = None
    ) -> Iterator[Span]:
        """A span that is ended in any case and holds what went in.

        Never made current: a stream may be closed in another context than it was begun in.
        """
        context = set_span_in_context(parent) if parent else None
        span = self._tracer.start_span(name, context=context)
        span.set_attribute("mlflow.spanType", kind)
        span.set_attribute("mlflow.spanInputs", _json(inputs))
        span.set_attribute("twin.model", self._name)
        span.set_attribute("twin.model_version", self._version)
        try:
            yield span
        except GeneratorExit:
            span.set_attribute(STOPPED, True)
            raise
        except Exception as error:
            span.record_exception(error)
            span.set_status(trace.StatusCode.ERROR, str(error))
            raise
        finally:
            span.end()


def _params(query: Query, limits: ServingSection) -> SamplingParams:
    """What the caller wishes, within the recipe's limits."""
    wished = query.max_new_tokens or limits.max_new_tokens
    return SamplingParams(
        max_new_tokens=min(wished, limits.max_new_tokens),
        min_new_tokens=1,  # a sampled turn may end before its first word: that is no answer
        temperature=limits.temperature if query.temperature is None else query.temperature,
        top_p=limits.top_p if query.top_p is None else query.top_p,
        repetition_penalty=limits.repetition_penalty,
        seed=query.seed,
        stop=(*query.stop, *END_MARKS),
    )


def _alternating(history: Sequence[Turn]) -> list[Turn]:
    """Turns of one speaker in a row joined, and a last one by the user dropped: the question
    that follows is the user's too, so it is joined to nothing that the prompt does not frame."""
    joined: list[Turn] = []
    for turn in history:
        if joined and joined[-1].role == turn.role:
            content = f"{joined[-1].content}\n\n{turn.content}"
            joined[-1] = Turn(role=turn.role, content=content)
        else:
            joined.append(turn)
    return joined[:-1] if joined and joined[-1].role == "user" else joined


def _trace_id(span: Span) -> str:
    """MLflow's name of the trace; a random one of the same form where nothing is traced."""
    trace_id = span.get_span_context().trace_id
    return f"tr-{trace_id:032x}" if trace_id != INVALID_TRACE_ID else f"tr-{uuid.uuid4().hex}"


def _record_found(span: Span, found: Found) -> None:
    span.set_attribute("twin.answerable", found.answerable)
    if found.similarity is not None:
        span.set_attribute("twin.similarity", found.similarity)
    if found.notes:
        span.set_attribute("twin.notes", found.notes)


def _record_passages(span: Span, passages: Sequence[Passage]) -> None:
    documents = [
        {
            "page_content": passage.text,
            "metadata": {
                "doc_uri": passage.url,
                "chunk_id": passage.chunk_id,
                "title": passage.title,
                "score": passage.score,
            },
        }
        for passage in passages
    ]
    span.set_attribute("mlflow.spanOutputs", _json(documents))


def _record_generation(span: Span, generation: Generation) -> None:
    usage = {
        "input_tokens": generation.prompt_tokens,
        "output_tokens": generation.completion_tokens,
        "total_tokens": generation.prompt_tokens + generation.completion_tokens,
    }
    span.set_attribute("mlflow.chat.tokenUsage", _json(usage))
    span.set_attribute("mlflow.spanOutputs", _json(generation.text))


def _record_answer(span: Span, answer: Answer) -> None:
    cited = [source.chunk_id for source in answer.sources]
    outputs = {
        "answer": answer.answer,
        "sources": cited,
        "grounded": answer.grounded,
        "finish_reason": answer.finish_reason,
    }
    span.set_attribute("mlflow.spanOutputs", _json(outputs))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
