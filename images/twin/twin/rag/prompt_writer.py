"""The prompt of a question within the tokens that there are: retrieve, fit, write.

Everything that a caller sends counts: the system text, earlier turns and the question. It is
bounded in characters before it is tokenized, and in tokens before anything reaches the engine.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from opentelemetry.trace import Span

from twin.domain.answer import Passage
from twin.domain.conversation import Turn
from twin.domain.errors import BadDataError
from twin.models.formats.chat_format import ChatFormat
from twin.models.language_model import Message, SamplingParams
from twin.rag.context import fit_context
from twin.rag.guardrails import Guardrails, record_examined, record_shown, redacted
from twin.rag.manner import manner_of
from twin.rag.parts import standalone
from twin.rag.prompt import BUILT_IN, END_MARKS, build_messages, format_passage
from twin.rag.query import Query
from twin.rag.retrieve import Found
from twin.rag.spans import AnswerSpans, record_found, record_passages
from twin.recipes import Recipe, ServingSection
from twin.recipes.prompt import PromptSection

#: Tokens of the prompt that are neither question, history nor passages: its fixed words, marks of
#: turns and numbers of passages, generously. A template that is longer than the built-in one takes
#: so many more.
PROMPT_OVERHEAD_TOKENS = 120

#: Text of more characters than this for each token of its budget is not even tokenized: prose has
#: about four a token, and code with its indents fewer than ten.
CHARACTERS_PER_TOKEN = 16

#: Attribute of the span of a retrieval: the question that was searched for.
SEARCHED = "twin.searched"
#: Turns before the question that it may go on from, and characters of both that are searched for.
FOLLOWED_TURNS, LONGEST_SEARCHED = 6, 2_000


@dataclass(frozen=True)
class Prompt:
    """What the model is shown, as messages and as token ids, and the passages in it.

    ``answerable`` is false where the texts say nothing of the question, or a guardrail refuses it
    with the words of ``refusal``: the model is not asked.
    """

    messages: list[Message]
    ids: tuple[int, ...]
    passages: tuple[Passage, ...]
    params: SamplingParams
    answerable: bool = True
    question: str = ""
    refusal: str | None = None


class Finder(Protocol):
    """Finds the passages that a question is answered from."""

    def find_for(self, query: Query, k: int, /) -> Found:
        """At most ``k`` of them; see `twin.rag.retrieve.Retriever.find_for`."""


class FromMemory:
    """Finds nothing, so that a model answers from what it was trained on."""

    def find_for(self, _query: Query, _k: int, /) -> Found:
        """No passages; the question is to be answered all the same."""
        return Found()


class PromptWriter:
    """Writes the prompts of a recipe for one model. Blocking; safe to share between threads.

    Args:
        recipe: whose author, limits and retrieval these are.
        chat: the model's way to write a conversation.
        retriever: of the recipe's index.
        context_tokens: what the engine takes, prompt and answer together.
        spans: where what was retrieved is noted.
        guardrails: look at what goes in; the recipe's rules if none are given.
    """

    def __init__(
        self,
        recipe: Recipe,
        chat: ChatFormat,
        retriever: Finder,
        *,
        context_tokens: int,
        spans: AnswerSpans,
        guardrails: Guardrails | None = None,
    ) -> None:
        self._author = recipe.author.name
        self._prompt = recipe.prompt
        self._overhead = _overhead(recipe.prompt, chat)
        self._limits = recipe.serving
        # What a rollout asks any author ("What do you write about?") is near no passage, so that
        # a threshold that nobody has looked at must not refuse it.
        found_by_itself = recipe.retrieval.min_score is None
        self._probe = recipe.serving.probe_question if found_by_itself else None
        self._follow_ups = recipe.retrieval.follow_ups
        self._chat = chat
        self._retriever = retriever
        self._context_tokens = context_tokens
        self._spans = spans
        self._guardrails = guardrails or Guardrails(recipe.serving.guardrails)

    def find(self, query: Query) -> Found:
        """The passages for a question, as the query or else the recipe wants them; no keys."""
        if query.given is not None:
            return Found(redacted(query.given))
        found = self._retriever.find_for(query, query.passages or self._limits.passages)
        return replace(found, passages=redacted(found.passages))

    def write(self, query: Query, parent: Span | None = None) -> Prompt:
        """Retrieve and write the prompt.

        Raises:
            BadDataError: question and system text alone are more than the model may be shown.
        """
        limits = self._limits
        params = sampling_params(query, limits)
        most = min(limits.max_prompt_tokens, self._context_tokens - params.max_new_tokens)
        parts = (query.system, manner_of(query.profile), query.question)
        instruction = "\n\n".join(text for text in parts if text)
        asked = self._tokens_asked(instruction, most) + self._overhead
        if asked > most:
            raise _too_long(asked, most)
        with self._spans.span("guardrails", "GUARDRAIL", query.question, parent) as span:
            examined = self._guardrails.examine(query)
            record_examined(span, examined)
        if examined.refused:
            refusal = self._guardrails.refusal
            return Prompt([], (), (), params, answerable=False, refusal=refusal)
        room = most - asked
        history = self._recent(examined.history, min(limits.max_history_tokens, room))
        room -= sum(self._chat.count_tokens(turn.content) for turn in history)
        with self._spans.span("retrieve", "RETRIEVER", query.question, parent) as span:
            searched = self._searched(query, examined.history)
            span.set_attribute(SEARCHED, searched.question)
            found = self.find(searched)
            # A later turn may be about what was said and not about what was written.
            goes_on = bool(history) and (not self._follow_ups or searched != query)
            answerable = found.answerable or goes_on or query.question == self._probe
            budget = min(limits.max_context_tokens, room)
            shown = self._guardrails.shown(found.passages if answerable else ())
            passages = fit_context(shown.passages, budget, self._chat.count_tokens)
            prompt = self._within(most, history, instruction, passages)
            record_found(span, found)
            record_passages(span, prompt[1])
            record_shown(span, shown)
        messages, kept, ids = prompt
        return Prompt(messages, tuple(ids), tuple(kept), params, answerable, query.question)

    def _searched(self, query: Query, history: Sequence[Turn]) -> Query:
        """What is searched for: a later turn as a question that stands alone."""
        if not self._follow_ups:
            return query
        question = standalone(query.question, history[-FOLLOWED_TURNS:])
        return query.model_copy(update={"question": question[-LONGEST_SEARCHED:]})

    def _tokens_asked(self, instruction: str, most: int) -> int:
        if len(instruction) > CHARACTERS_PER_TOKEN * most:
            raise BadDataError(
                f"question and system text have {len(instruction):,} characters: at most "
                f"{CHARACTERS_PER_TOKEN * most:,} are read"
            )
        return self._chat.count_tokens(instruction)

    def _within(
        self, most: int, history: list[Turn], instruction: str, passages: list[Passage]
    ) -> tuple[list[Message], list[Passage], list[int]]:
        """Messages, passages and token ids; what the estimates have missed is left out."""
        while True:
            messages = self._messages(history, instruction, passages)
            ids = self._chat.prompt_ids(messages)
            if len(ids) <= most:
                return messages, passages, ids
            if passages:
                passages = passages[:-1]
            elif history:
                history = history[2:]
            else:
                raise _too_long(len(ids), most)

    def _messages(
        self, history: list[Turn], instruction: str, passages: list[Passage]
    ) -> list[Message]:
        quoted = [format_passage(passage) for passage in passages]
        return build_messages(self._author, instruction, quoted, history, self._prompt)

    def _recent(self, history: Sequence[Turn], budget: int) -> list[Turn]:
        """The newest turns that fit, from a user's turn on and alternating, as templates ask."""
        kept: list[Turn] = []
        for turn in reversed(_alternating(history)):
            if len(turn.content) > CHARACTERS_PER_TOKEN * budget:
                break
            budget -= self._chat.count_tokens(turn.content)
            if budget < 0:
                break
            kept.insert(0, turn)
        return kept[1:] if kept and kept[0].role == "assistant" else kept


def sampling_params(query: Query, limits: ServingSection) -> SamplingParams:
    """What the caller wishes, within the recipe's limits.

    JSON is bound by its schema alone: a penalty on what was said before would bend its marks, and
    text within it may well be what else ends an answer.
    """
    wished = query.max_new_tokens or limits.max_new_tokens
    free = query.json_schema is None
    return SamplingParams(
        max_new_tokens=min(wished, limits.max_new_tokens),
        # A sampled turn may end before its first word: that is no answer.
        min_new_tokens=1 if free else 0,
        temperature=limits.temperature if query.temperature is None else query.temperature,
        top_p=limits.top_p if query.top_p is None else query.top_p,
        top_k=limits.top_k,
        min_p=limits.min_p,
        beams=limits.beams,
        repetition_penalty=limits.repetition_penalty if free else 1.0,
        seed=query.seed,
        stop=(*query.stop, *END_MARKS) if free else query.stop,
        json_schema=query.json_schema,
    )


def _overhead(prompt: PromptSection, chat: ChatFormat) -> int:
    more = chat.count_tokens(prompt.template) - chat.count_tokens(BUILT_IN.template)
    return PROMPT_OVERHEAD_TOKENS + max(0, more)


def _too_long(tokens: int, most: int) -> BadDataError:
    return BadDataError(
        f"the question has {tokens:,} tokens with its system text and the prompt's own: at most "
        f"{most:,} are read"
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
