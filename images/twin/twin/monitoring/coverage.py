"""Of each topic: how much of it is written month by month, and how much readers ask for it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from twin.domain.chunk import Chunk
from twin.domain.seen_answer import SeenAnswer
from twin.domain.sequential import Running
from twin.monitoring.shares import mean_of_units
from twin.recipes.monitoring import TopicsSection

if TYPE_CHECKING:
    from twin.monitoring.topics import Labels, Vectors

Standing = Literal["asked more", "written more", "open"]

DOCUMENTS = 3
"""Documents that stand for a topic."""


class Asked(BaseModel):
    """What readers ask of a topic.

    Attributes:
        callers: who have asked.
        share: of what all callers ask, each caller counting once.
        low: lower end of its interval.
        high: upper end.
        refused: share of these callers' questions whose answer was that it is not written about.
    """

    model_config = ConfigDict(frozen=True)

    callers: int
    share: float = Field(ge=0, le=1)
    low: float
    high: float
    refused: float = Field(ge=0, le=1)


class Topic(BaseModel):
    """What an author writes about.

    Attributes:
        words: that name it.
        documents: title and address of those that have most of it.
        passages: how many there are.
        written: its share of all that is written, by tokens.
        months: its share of each month's passages, by tokens; None: nothing was published.
        asked: None where fewer callers have asked than may be shown.
    """

    model_config = ConfigDict(frozen=True)

    words: tuple[str, ...]
    documents: tuple[tuple[str, str], ...]
    passages: int
    written: float = Field(ge=0, le=1)
    months: tuple[float | None, ...]
    asked: Asked | None = None

    @property
    def standing(self) -> Standing:
        """Whether it is asked for more, or less, than is written of it, beyond chance."""
        if self.asked is None or self.asked.low <= self.written <= self.asked.high:
            return "open"
        return "asked more" if self.asked.low > self.written else "written more"


class Coverage(BaseModel):
    """All topics, the most written first.

    Attributes:
        topics: each with its figures.
        months: as 2026-05, from the first to the last, those without a text among them.
        undated: passages without a date: they are in no month.
        callers: who have asked.
        questions: that were looked at.
        elsewhere: share of what callers ask that is near no passage.
    """

    model_config = ConfigDict(frozen=True)

    topics: tuple[Topic, ...]
    months: tuple[str, ...]
    undated: int
    callers: int
    questions: int
    elsewhere: float = Field(ge=0, le=1)


@dataclass(frozen=True)
class Passages:
    """The author's passages, in one order: chunks, their vectors, the number of their topic."""

    chunks: Sequence[Chunk]
    vectors: "Vectors"
    labels: "Labels"


def cover(
    passages: Passages,
    named: Sequence[tuple[str, ...]],
    asked: Sequence[SeenAnswer],
    topics: Sequence[int],
    section: TopicsSection,
) -> Coverage:
    """Put together what is written and what is asked.

    Args:
        passages: all of the author's.
        named: words of each topic.
        asked: answers to readers' questions.
        topics: topic of each question; -1: it is near no passage.
        section: who must ask before it is shown.
    """
    months = months_between(
        [chunk.published for chunk in passages.chunks if chunk.published is not None]
    )
    tokens = _tokens_by_month(passages)
    of_month = {month: sum(own[month] for own in tokens.values()) for month in (*months, "")}
    total = sum(of_month.values())
    return Coverage(
        topics=tuple(
            Topic(
                words=words,
                documents=_foremost(passages, number),
                passages=int((passages.labels == number).sum()),
                written=sum(tokens[number].values()) / total,
                months=tuple(
                    tokens[number][month] / of_month[month] if of_month[month] else None
                    for month in months
                ),
                asked=_asked(asked, topics, number, section.least_callers),
            )
            for number, words in enumerate(named)
        ),
        months=months,
        undated=sum(chunk.published is None for chunk in passages.chunks),
        callers=len({each.caller for each in asked}),
        questions=len(asked),
        elsewhere=_share(asked, topics, -1).value if asked else 0.0,
    )


def nearest_topics(
    questions: Sequence[Sequence[float]], passages: Passages, least: float
) -> list[int]:
    """The topic of the passage that is nearest to each question; -1 where none is near enough.

    Args:
        questions: their vectors, each of length one.
        passages: of the author.
        least: cosine from which a passage may answer.
    """
    import numpy as np

    found = []
    for question in questions:
        cosines = passages.vectors @ np.asarray(question, dtype=passages.vectors.dtype)
        best = int(cosines.argmax())
        found.append(int(passages.labels[best]) if cosines[best] >= least else -1)
    return found


def months_between(dates: Sequence[datetime]) -> tuple[str, ...]:
    """Every month from the earliest to the latest date, as 2026-05."""
    if not dates:
        return ()
    first, last = min(dates), max(dates)
    numbers = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    return tuple(f"{number // 12:04d}-{number % 12 + 1:02d}" for number in numbers)


def _tokens_by_month(passages: Passages) -> dict[int, dict[str, int]]:
    """Topic to month to tokens; the month is empty where a date is not known."""
    found: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for chunk, label in zip(passages.chunks, passages.labels, strict=True):
        month = f"{chunk.published:%Y-%m}" if chunk.published else ""
        found[int(label)][month] += chunk.token_count
    return found


def _foremost(passages: Passages, number: int) -> tuple[tuple[str, str], ...]:
    """The documents with most tokens of a topic; of equals the first by address."""
    tokens: dict[tuple[str, str], int] = defaultdict(int)
    for chunk, label in zip(passages.chunks, passages.labels, strict=True):
        if label == number:
            tokens[(chunk.title, chunk.url)] += chunk.token_count
    ordered = sorted(tokens, key=lambda each: (-tokens[each], each[1]))
    return tuple(ordered[:DOCUMENTS])


def _asked(
    asked: Sequence[SeenAnswer], topics: Sequence[int], number: int, least: int
) -> Asked | None:
    own = [each for each, topic in zip(asked, topics, strict=True) if topic == number]
    callers = {each.caller for each in own}
    if len(callers) < least:
        return None
    share = _share(asked, topics, number)
    return Asked(
        callers=len(callers),
        share=share.value,
        low=share.low,
        high=share.high,
        refused=mean_of_units((each.caller, float(each.refused)) for each in own).value,
    )


def _share(asked: Sequence[SeenAnswer], topics: Sequence[int], number: int) -> Running:
    """The share of a topic in what callers ask; a caller counts once, however much it asks."""
    pairs = zip(asked, topics, strict=True)
    return mean_of_units((each.caller, float(topic == number)) for each, topic in pairs)
