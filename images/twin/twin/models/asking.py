"""Many questions to a language model, each asked and paid for once: what judge and teacher do.

Replies are kept as they come, by a digest of model, prompt and settings. One that cannot be read is
asked for once more, with another seed; after that it is lost, and costs no other. A budget ends the
asking before it is passed, counting what a killed run may have paid for as paid.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from hashlib import sha256

import structlog

from twin.domain.errors import BadDataError, TryAgainError, TwinError
from twin.models.language_model import (
    Call,
    Generation,
    LanguageModel,
    Message,
    SamplingParams,
    TakesCalls,
)
from twin.models.spending import Spending
from twin.stores.kept_replies import KeptReplies, KeptReply

log = structlog.get_logger("twin")

ATTEMPTS = 2
"""Times that a reply is asked for."""

GIVE_UP = 20
"""Calls in a row without an answer after which the model counts as gone."""

MOST_BEGUN = 10
"""Times that a call may bring nothing, over all runs, before it is asked no more."""

RETRIED_TEMPERATURE = 0.7
"""Of the second attempt, at least: at 0 it would bring the first one's words."""


class Loss(StrEnum):
    """Why there is no reply."""

    UNREADABLE = "a reply that cannot be read"
    REFUSED = "refused by the endpoint"
    SILENT = "no answer"
    UNPAID = "not asked: the budget is spent"


@dataclass(frozen=True)
class Form:
    """How replies are written.

    Attributes:
        version: of the prompts; another one asks all anew.
        max_tokens: of a reply.
        schema: JSON schema that binds it; None for an engine that can't be bound.
        temperature: of the first attempt.
    """

    version: str
    max_tokens: int
    schema: str | None = None
    temperature: float = 0.0

    def params(self, attempt: int) -> SamplingParams:
        """How the reply of an attempt (from 0) is written."""
        warmth = self.temperature
        return SamplingParams(
            max_new_tokens=self.max_tokens,
            temperature=warmth if attempt == 0 else max(warmth, RETRIED_TEMPERATURE),
            seed=attempt,
            json_schema=self.schema,
        )


@dataclass(frozen=True)
class Question:
    """One prompt.

    Attributes:
        messages: of the conversation.
        form: of the reply.
        is_readable: whether a reply is what was asked for.
        about: id of the document that the reply is forgotten with.
    """

    messages: tuple[Message, ...]
    form: Form
    is_readable: Callable[[str], bool]
    about: str = ""


@dataclass(frozen=True)
class Reply:
    """The text of a reply that can be read; else why there is none, and what came instead."""

    text: str = ""
    loss: Loss | None = None
    reason: str = ""


class Asker:
    """Asks one model.

    Args:
        model: one that `TakesCalls` answers several at once; any other one by one.
        kept: replies of before, which are not asked for again.
        spending: what may be spent; None for no limit.
    """

    def __init__(
        self, model: LanguageModel, kept: KeptReplies, spending: Spending | None = None
    ) -> None:
        self._model = model
        self._kept = kept
        self._spending = spending
        self._silent: set[str] = set()
        self._silent_in_a_row = 0
        self._fault = ""

    def ask(
        self, questions: Sequence[Question], advance: Callable[[int], None] = lambda _: None
    ) -> list[Reply]:
        """The reply to each question, in their order.

        Args:
            questions: equal ones are asked once.
            advance: is told of so many calls that are done with.

        Raises:
            TryAgainError: the model does not answer.
            BadConfigurationError: it can never be asked.
        """
        distinct = list({self._key(each, 0): each for each in questions}.values())
        for _ in range(ATTEMPTS):
            self._ask_missing(distinct, advance)
        replies = [self._reply(each) for each in questions]
        if self._fault and all(reply.loss for reply in replies):
            raise TryAgainError(f"the model {self._model.id} answers nothing: {self._fault}")
        return replies

    def _ask_missing(self, questions: Sequence[Question], advance: Callable[[int], None]) -> None:
        """Ask what has no readable reply yet, as long as the budget allows."""
        about: dict[str, str] = {}
        wanted: list[Call] = []
        for question in questions:
            if (call := self._missing(question)) is not None:
                wanted.append(call)
                about[call.key] = question.about

        def take(call: Call, found: Generation | TwinError) -> None:
            self._take(call, found, about[call.key])
            advance(1)

        while wanted:
            begun: set[str] = set()
            _answer(self._model, self._payable(wanted, begun, about), take)
            wanted = [call for call in wanted if call.key not in begun]
            if not begun:  # no room, though nothing is held any more for calls on their way
                return

    def _missing(self, question: Question) -> Call | None:
        """The call that is to be made for a question; None where nothing would come of it."""
        for attempt in range(ATTEMPTS):
            key = self._key(question, attempt)
            known = self._kept.find(key)
            if known is not None and known.begun >= MOST_BEGUN:
                return None
            if known is None or not known.is_settled:
                return Call(key, question.messages, question.form.params(attempt))
            if known.refusal or question.is_readable(known.text or ""):
                return None
        return None

    def _payable(
        self, wanted: Sequence[Call], begun: set[str], about: Mapping[str, str]
    ) -> Iterator[Call]:
        """Calls until one would pass the budget; each is noted before it begins."""
        for call in wanted:
            bounds = self._bounds(call)
            if self._spending is not None:
                if not self._spending.hold(*bounds):
                    return
                self._note_begun(call, bounds, about[call.key])
            begun.add(call.key)
            yield call

    def _note_begun(self, call: Call, bounds: tuple[int, int], about: str) -> None:
        payer = self._spending.payer if self._spending else ""
        known = self._kept.find(call.key)
        before = known.begun if known is not None and known.payer == payer else 0
        prompt, answer = bounds
        note = KeptReply(
            key=call.key,
            about=about,
            payer=payer,
            begun=before + 1,
            prompt_bound=prompt,
            answer_bound=answer,
        )
        self._kept.keep(note)

    def _take(self, call: Call, found: Generation | TwinError, about: str) -> None:
        """Keep what came of a call."""
        if isinstance(found, TryAgainError):
            self._silent.add(call.key)
            self._silent_in_a_row += 1
            self._fault = str(found)
            log.warning("no answer", model=self._model.id, reason=str(found))
            if self._silent_in_a_row >= GIVE_UP:
                raise found
            return  # it stays held and noted: nobody knows whether it was paid for
        self._silent.discard(call.key)
        self._silent_in_a_row = 0
        known = self._kept.find(call.key) or KeptReply(key=call.key, about=about)
        settled = known.model_copy(update={"begun": max(0, known.begun - 1)})
        if isinstance(found, TwinError):
            log.warning("refused by the endpoint", model=self._model.id, reason=str(found))
            settled = settled.model_copy(update={"refusal": str(found)})
        else:
            settled = settled.model_copy(
                update={
                    "text": found.text,
                    "prompt_tokens": found.prompt_tokens,
                    "answer_tokens": found.completion_tokens,
                }
            )
        self._kept.keep(settled)
        if self._spending is not None:
            self._spending.settle(*self._bounds(call), settled)

    def _reply(self, question: Question) -> Reply:
        last = Reply(loss=Loss.UNPAID)
        for attempt in range(ATTEMPTS):
            key = self._key(question, attempt)
            known = self._kept.find(key)
            if key in self._silent or (known is not None and not known.is_settled):
                return Reply(loss=Loss.SILENT, reason=self._fault)
            if known is None:
                break
            if known.refusal:
                return Reply(loss=Loss.REFUSED, reason=known.refusal)
            text = known.text or ""
            if question.is_readable(text):
                return Reply(text)
            last = Reply(loss=Loss.UNREADABLE, reason=text)
        return last

    def _bounds(self, call: Call) -> tuple[int, int]:
        prompt = sum(self._model.count_tokens(turn["content"]) for turn in call.messages)
        return prompt, call.params.max_new_tokens

    def _key(self, question: Question, attempt: int) -> str:
        settings = asdict(question.form.params(attempt))
        said = [question.form.version, self._model.id, list(question.messages), settings]
        return sha256(json.dumps(said).encode()).hexdigest()[:24]


def _answer(
    model: LanguageModel,
    calls: Iterator[Call],
    answered: Callable[[Call, Generation | TwinError], None],
) -> None:
    if isinstance(model, TakesCalls):
        model.answer_each(calls, answered)
        return
    for call in calls:
        try:
            found: Generation | TwinError = model.generate(call.messages, call.params)
        except (TryAgainError, BadDataError) as error:
            found = error
        answered(call, found)
