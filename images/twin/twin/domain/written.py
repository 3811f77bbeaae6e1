"""Questions with answers that a person has written, and what a right answer must contain."""

import re
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, model_validator

REGEX_MARK = "re:"
"""A key fact that begins so is a regular expression; any other is looked for as it stands."""


class QuestionKind(StrEnum):
    """What a question asks for."""

    FACT = "fact"
    HOW_TO = "how-to"
    WHY = "why"
    FOLLOW_UP = "follow-up"
    COMPARISON = "comparison"
    CODE = "code"
    TABLE = "table"
    OTHER_LANGUAGE = "other-language"
    UNANSWERABLE = "unanswerable"


class Support(BaseModel):
    """A few words of a document, as they stand in it, from which an answer follows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    document: str = Field(
        min_length=1, description="id, address, title or file name without its ending"
    )
    quote: str = Field(min_length=1, description="verbatim, but for blanks and line breaks")


class Exchange(BaseModel):
    """An earlier question of the conversation and its answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)


class WrittenQuestion(BaseModel):
    """A question with the answer that a person gives to it.

    An unanswerable question has no answer of its own: the right one is the recipe's refusal
    (``retrieval.dont_know``). ``document`` says which document it is split with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: QuestionKind
    question: str = Field(min_length=1)
    answer: str = Field(default="", description="empty for an unanswerable question only")
    document: str = Field(default="", description="for an unanswerable question: what it is near")
    support: tuple[Support, ...] = ()
    facts: tuple[str, ...] = Field(
        default=(), description="each must be in a right answer; re: begins a regular expression"
    )
    history: tuple[Exchange, ...] = Field(default=(), description="oldest first")

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> "WrittenQuestion":
        if self.kind is QuestionKind.UNANSWERABLE:
            self._check_unanswerable()
        else:
            self._check_answer()
        if self.kind is QuestionKind.FOLLOW_UP and not self.history:
            raise ValueError("a follow-up needs its history: the question and answer before it")
        return self

    def _check_unanswerable(self) -> None:
        if self.answer or self.support or self.facts:
            raise ValueError(
                "an unanswerable question has no answer, support or facts: leave them out"
            )
        if not self.document:
            raise ValueError("an unanswerable question needs the document that it is near")

    def _check_answer(self) -> None:
        if not self.answer.strip():
            raise ValueError("the answer is missing; if there is none, the kind is unanswerable")
        if not self.support:
            raise ValueError("support is missing: name a document and quote what answers it")
        if not self.facts:
            raise ValueError("facts are missing: list what a right answer must contain")
        if missing := missing_facts(self.answer, self.facts):
            raise ValueError(f"the answer does not contain its own fact {missing[0]!r}")


def missing_facts(answer: str, facts: tuple[str, ...]) -> list[str]:
    """The facts that an answer does not contain.

    Case and the width of blanks do not matter. A plain fact must stand as whole words: `6` is not
    in `65`.

    Raises:
        ValueError: a regular expression does not compile.
    """
    text = plain(answer)
    return [fact for fact in facts if not _pattern(fact).search(text)]


def is_right(asked: WrittenQuestion, answer: str, refusal: str) -> bool:
    """Whether an answer has every fact and refuses exactly where there is nothing to say.

    Args:
        asked: the question with its facts.
        answer: what a model wrote.
        refusal: the recipe's ``retrieval.dont_know``.
    """
    if asked.kind is QuestionKind.UNANSWERABLE:
        return refuses(answer, refusal)
    return not refuses(answer, refusal) and not missing_facts(answer, asked.facts)


def refuses(answer: str, refusal: str) -> bool:
    """Whether an answer holds the recipe's ``retrieval.dont_know``, whatever its case."""
    return plain(refusal).casefold() in plain(answer).casefold()


def plain(text: str) -> str:
    """Text with single blanks between its words, and none around it."""
    return " ".join(text.split())


def _pattern(fact: str) -> re.Pattern[str]:
    if fact.startswith(REGEX_MARK):
        try:
            return re.compile(fact.removeprefix(REGEX_MARK).strip(), re.IGNORECASE)
        except re.error as error:
            raise ValueError(f"the fact {fact!r} is not a regular expression: {error}") from None
    return re.compile(rf"(?<!\w){re.escape(plain(fact))}(?!\w)", re.IGNORECASE)
