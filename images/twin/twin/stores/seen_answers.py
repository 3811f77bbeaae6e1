"""What monitoring reads of the warehouse's `answers`: figures and questions, no passages.

Besides `twin.stores.answer_records`, which serves the callers themselves.
"""

import heapq
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from twin.domain.feedback import Feedback
from twin.domain.seen_answer import SeenAnswer
from twin.stores.answer_records import ANSWERS
from twin.stores.warehouse import Warehouse
from twin.stores.warehouse_connection import IDS_PER_COMMAND

#: Slices of a window; each gives its first answers, so that every hour of a day is among them.
SLICES = 24
#: Answers whose callers are looked at for each one that is read: what a look costs is bounded, and
#: a caller has to give this many times its share of a slice before others lose places to it.
CALLERS_SEEN = 40

_FIELDS = {
    "caller": 1,
    "created": 1,
    "feedback": 1,
    "history": 1,
    "answer.question": 1,
    "answer.answer": 1,
    "answer.grounded": 1,
    "answer.refused": 1,
    "answer.sentences.supported": 1,
    "answer.model_version": 1,
    "answer.prompt_tokens": 1,
    "answer.completion_tokens": 1,
    "answer.sources.title": 1,
}
#: Answers that may have failed; `SeenAnswer.failed` decides.
_DOUBTFUL = {
    "$or": [
        {"answer.refused": True},
        {"answer.grounded": False},
        {"answer.sentences.supported": False},
        {"given": {"$ne": None}},
    ]
}


class SeenAnswers:
    """Every method raises `TryAgainError` if the warehouse is away."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def prepare(self) -> None:
        """Create the index of its queries, if it is not there."""
        with self._warehouse.plain_errors():
            self._warehouse.collection(ANSWERS).create_index([("answer.model", 1), ("created", 1)])

    def sampled(self, model: str, since: datetime, until: datetime, most: int) -> list[SeenAnswer]:
        """Answers of a window, spread evenly over its time and callers: the same ones each time.

        Where a slice has more than are read, its callers take turns.

        Args:
            model: registered model.
            since: the window's beginning.
            until: its end, which is not in it.
            most: answers that are read.
        """
        step = (until - since) / SLICES
        each = max(most // SLICES, 1)
        found: list[SeenAnswer] = []
        for number in range(SLICES):
            begin = since + number * step
            end = until if number == SLICES - 1 else begin + step
            found += self._in_turn(
                {"answer.model": model, "created": {"$gte": begin, "$lt": end}}, each
            )
        return found

    def count(self, model: str, since: datetime, until: datetime) -> int:
        """How many answers of a window are kept."""
        query = {"answer.model": model, "created": {"$gte": since, "$lt": until}}
        with self._warehouse.plain_errors():
            return self._warehouse.collection(ANSWERS).count_documents(query)

    def judged(self, model: str, since: datetime) -> list[SeenAnswer]:
        """Answers that got feedback since a moment, by when they got it."""
        return self._read({"answer.model": model, "given": {"$gte": since}}, "given")

    def failed(self, model: str, since: datetime, most: int) -> list[SeenAnswer]:
        """The newest answers since a moment that were refused, without a source, or found bad.

        Where there are more than are looked at, their callers take turns.

        Args:
            model: registered model.
            since: when the oldest was given.
            most: answers that are looked at.
        """
        query = {"answer.model": model, "created": {"$gte": since}, **_DOUBTFUL}
        found = self._in_turn(query, most, newest=True)
        return [each for each in found if each.failed]

    def _in_turn(
        self, query: dict[str, Any], most: int, *, newest: bool = False
    ) -> list[SeenAnswer]:
        """The first answers of each caller, then the second ones, until there are so many; by when
        they were given.
        """
        given: Counter[str] = Counter()
        turns: list[tuple[int, int, str]] = []
        with self._warehouse.plain_errors():
            answers = self._warehouse.collection(ANSWERS)
            found = answers.find(query, {"caller": 1}).sort("created", -1 if newest else 1)
            for place, record in enumerate(found.limit(most * CALLERS_SEEN)):
                turns.append((given[record["caller"]], place, record["_id"]))
                given[record["caller"]] += 1
        places = {id_: place for _, place, id_ in heapq.nsmallest(most, turns)}
        ids, read = list(places), list[SeenAnswer]()
        for start in range(0, len(ids), IDS_PER_COMMAND):
            read += self._read({"_id": {"$in": ids[start : start + IDS_PER_COMMAND]}})
        return sorted(read, key=lambda each: places[each.id])

    def _read(self, query: dict[str, Any], order: str = "created") -> list[SeenAnswer]:
        with self._warehouse.plain_errors():
            return list(_seen(self._warehouse.collection(ANSWERS).find(query, _FIELDS).sort(order)))


def _seen(found: Any) -> Iterator[SeenAnswer]:
    for record in found:
        answer = record["answer"]
        checked = answer.get("sentences") or []
        supported = not checked or any(each.get("supported") for each in checked)
        feedback = record.get("feedback")
        history = record.get("history") or [{}]
        sources = answer.get("sources") or [{}]
        yield SeenAnswer(
            id=record["_id"],
            caller=record["caller"],
            opening=history[0].get("content", answer["question"]),
            created=record["created"],
            version=answer["model_version"],
            question=answer["question"],
            characters=len(answer["answer"]),
            grounded=bool(answer.get("grounded", True)) and supported,
            refused=bool(answer.get("refused", False)),
            prompt_tokens=answer["prompt_tokens"],
            completion_tokens=answer["completion_tokens"],
            feedback=Feedback.model_validate(feedback) if feedback else None,
            nearest=sources[0].get("title", ""),
        )
