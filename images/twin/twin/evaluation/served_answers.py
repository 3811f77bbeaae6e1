"""Answers to held-out questions by the code that serves: `twin.rag.chain`, over serving's engine.

A question that shows passages goes the whole way: retrieval with its threshold, prompt, decoding,
guardrails and all. One that asks from memory goes the same way without passages. As many answers
are written at once as the engine has slots for, and each is kept as soon as it is there.
"""

import asyncio
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from twin.domain.answer import Answer
from twin.domain.errors import BadDataError, TwinError
from twin.evaluation.held_out import HeldOut
from twin.evaluation.site import Site, slots_of
from twin.models.engines.engine import Engine, EngineRequest
from twin.models.engines.open_engine import EngineSite, open_engine
from twin.models.formats.chat_format import ChatFormat
from twin.models.language_model import Generation, Message, SamplingParams
from twin.rag.chain import Chain, Lineage, load_chain
from twin.rag.prompt import PROMPT_VERSION
from twin.rag.prompt_writer import sampling_params
from twin.rag.query import Query
from twin.recipes import Recipe
from twin.stores.kept_answers import KeptAnswer

FORMAT = 1
"""Part of every key: raise it when the same question is answered in another way."""


@dataclass(frozen=True)
class Contestant:
    """A model that is measured.

    Attributes:
        digest: of its weights.
        weights: gives the local folder of its weights; called only if the model must run.
        lineage: its name and version, as answers bear them.
        tags: of its version, which may say by what decoding it is served.
    """

    digest: str
    weights: Callable[[], Path]
    lineage: Lineage
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Desk:
    """A model at work: everything that answers are written with."""

    engine: Engine
    chat: ChatFormat
    chain: Chain
    memory: Chain
    together: int
    timeout_seconds: int


class Task(Protocol):
    """Something that a model is to write."""

    @property
    def about(self) -> str:
        """Id of the document that it is about."""

    def shape(self, site: Site, /) -> dict[str, Any]:
        """All that decides what is written, but for the model and its engine."""

    async def write(self, desk: Desk) -> KeptAnswer:
        """What the model writes, its key yet to be filled in."""


@dataclass(frozen=True)
class Question:
    """A held-out question.

    Attributes:
        query: as a caller would ask it.
        from_memory: whether it is asked without passages.
        about: id of the document that it is about.
        sample: its id, for errors.
    """

    query: Query
    from_memory: bool
    about: str
    sample: str

    def shape(self, site: Site) -> dict[str, Any]:
        """The question with the settings of the chain; with passages also those of retrieval."""
        recipe = site.recipe
        shaped = {
            "query": self.query.model_dump(mode="json"),
            "author": recipe.author.model_dump(mode="json"),
            "prompt": [PROMPT_VERSION, recipe.prompt.template],
            "serving": recipe.serving.shaping,
            "params": asdict(sampling_params(self.query, recipe.serving)),
            "dont_know": recipe.retrieval.dont_know,
        }
        if self.from_memory:
            return shaped
        return {
            **shaped,
            "retrieval": recipe.retrieval.model_dump(mode="json"),
            "embedder": recipe.features.embedder,
            "index": site.index_digest,
        }

    async def write(self, desk: Desk) -> KeptAnswer:
        """The answer of the chain.

        Raises:
            TwinError: as the chain; names the question.
        """
        chain = desk.memory if self.from_memory else desk.chain
        try:
            answer, first, whole = await _timed(chain, self.query)
        except TwinError as error:
            raise type(error)(f"test sample {self.sample} can't be answered: {error}") from error
        return KeptAnswer(
            key="",
            text=answer.answer,
            finish_reason=answer.finish_reason,
            prompt_tokens=answer.prompt_tokens,
            answer_tokens=answer.completion_tokens,
            first_word_seconds=first,
            seconds=whole,
            together=desk.together,
            sources=answer.sources,
            about=tuple(sorted({self.about, *(each.document_id for each in answer.sources)})),
        )


@dataclass(frozen=True)
class Completion:
    """A beginning that a model goes on with, greedily.

    Attributes:
        messages: what it is asked.
        text: the answer, or its beginning.
        given: tokens of the text that the model is given; None: all.
        tokens: how many it writes.
        about: id of the document that the text is of.
    """

    messages: tuple[Message, ...]
    text: str
    given: int | None
    tokens: int
    about: str

    def shape(self, _site: Site, /) -> dict[str, Any]:
        """What is asked and what is given."""
        return {
            "messages": list(self.messages),
            "text": self.text,
            "given": self.given,
            "params": asdict(self._params),
        }

    async def write(self, desk: Desk) -> KeptAnswer:
        """What follows the beginning."""
        began = time.perf_counter()
        whole = desk.chat.unended_answer_ids(self.text)
        given = len(whole) if self.given is None else self.given
        ids = [*desk.chat.prompt_ids(self.messages), *whole[:given]]
        request = EngineRequest(
            tuple(ids), self.messages, self._params,
            timeout_seconds=desk.timeout_seconds,
        )  # fmt: skip
        first: float | None = None
        async with aclosing(desk.engine.stream(request)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                first = first or time.perf_counter() - began
                if isinstance(piece, Generation):
                    made = piece
        return KeptAnswer(
            key="",
            text=made.text,
            finish_reason=made.finish_reason,
            prompt_tokens=made.prompt_tokens,
            answer_tokens=made.completion_tokens,
            first_word_seconds=first or 0.0,
            seconds=time.perf_counter() - began,
            together=desk.together,
            expected=desk.chat.tokenizer.decode(whole[given : given + self.tokens]),
            about=(self.about,),
        )

    @property
    def _params(self) -> SamplingParams:
        return SamplingParams(max_new_tokens=self.tokens)


def questions_of(held_out: HeldOut, recipe: Recipe) -> list[Question]:
    """The held-out samples as a caller would ask them; those without passages from memory."""
    evaluation = recipe.evaluation
    return [
        Question(
            query=Query(
                question=sample.instruction,
                history=sample.history,
                max_new_tokens=evaluation.max_new_tokens,
                seed=evaluation.seed,
            ),
            from_memory=not sample.context,
            about=sample.document_id,
            sample=sample.id,
        )
        for sample in held_out.samples
    ]


def answers_of(
    contestant: Contestant, tasks: Sequence[Task], site: Site, advance: Callable[[int], None]
) -> list[KeptAnswer]:
    """What a model writes to each task: kept from before, or written and kept.

    The model is let go of before this returns, so that one model at a time is in memory.

    Raises:
        BadDataError: the model can't be run, or a task can't be answered.
        TryAgainError: the engine or a store fails; what was answered is kept.
    """
    site = site.of_version(contestant.lineage.version, contestant.tags)
    keys = [_key(contestant, task, site) for task in tasks]
    known = {key: site.kept.find(key) for key in dict.fromkeys(keys)}
    missing = {key: task for key, task in zip(keys, tasks, strict=True) if known[key] is None}
    advance(len(keys) - len(missing))
    if missing:

        def answered(answer: KeptAnswer) -> None:
            site.kept.keep(answer)
            known[answer.key] = answer
            advance(1)

        asyncio.run(_answer_all(contestant, missing.items(), site, answered))
    return [answer for key in keys if (answer := known[key]) is not None]


async def _answer_all(
    contestant: Contestant,
    tasks: Iterable[tuple[str, Task]],
    site: Site,
    answered: Callable[[KeptAnswer], None],
) -> None:
    """Load the model, write all, and let go of the model."""
    folder, settings = contestant.weights(), site.settings
    place = EngineSite(settings.threads or os.cpu_count() or 1, settings.home.resolve() / "engines")
    engine = open_engine(folder, site.recipe.serving, place)
    try:
        desk = _desk(contestant, engine, folder, site)
        try:
            await _write_all(desk, tasks, answered)
        finally:
            desk.chain.close()
            desk.memory.close()
    finally:
        await engine.close()


def _desk(contestant: Contestant, engine: Engine, folder: Path, site: Site) -> Desk:
    def chain(*, from_memory: bool) -> Chain:
        return load_chain(
            site.recipe,
            engine,
            folder,
            site.settings,
            contestant.lineage,
            embedder=site.embedder(),
            from_memory=from_memory,
        )

    return Desk(
        engine=engine,
        chat=ChatFormat.shared(folder),
        chain=chain(from_memory=False),
        memory=chain(from_memory=True),
        together=slots_of(site.recipe.serving),
        timeout_seconds=site.recipe.serving.answer_timeout_seconds,
    )


async def _write_all(
    desk: Desk, tasks: Iterable[tuple[str, Task]], answered: Callable[[KeptAnswer], None]
) -> None:
    """Write all, as many at once as the engine has slots for; the first fault ends it."""
    slots = asyncio.Semaphore(desk.together)

    async def write(key: str, task: Task) -> None:
        async with slots:
            made = await task.write(desk)
        answered(made.model_copy(update={"key": key}))

    try:
        async with asyncio.TaskGroup() as group:
            for key, task in tasks:
                group.create_task(write(key, task))
    except ExceptionGroup as faults:
        raise faults.exceptions[0] from None


async def _timed(chain: Chain, query: Query) -> tuple[Answer, float, float]:
    """An answer with the seconds to its first word and to its end."""
    began = time.perf_counter()
    first: float | None = None
    async with aclosing(chain.stream(query)) as parts:
        async for part in parts:
            if first is None and part.text:
                first = time.perf_counter() - began
            if part.answer:
                whole = time.perf_counter() - began
                return part.answer, whole if first is None else first, whole
    raise BadDataError("the chain ended without an answer")


def _key(contestant: Contestant, task: Task, site: Site) -> str:
    """SHA-256 (first 32 hex digits) of everything that decides what is written."""
    parts = {
        "format": FORMAT,
        "weights": contestant.digest,
        "engine": site.engine,
        "task": type(task).__name__,
        **task.shape(site),
    }
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
