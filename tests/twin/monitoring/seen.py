"""Answers as monitoring sees them, and measures, made up."""

from datetime import UTC, datetime, timedelta

from twin.domain.monitoring import Measure, Standing
from twin.domain.seen_answer import SeenAnswer

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def answer(caller="ann", *, at=NOW, question="Why?", **more) -> SeenAnswer:
    return SeenAnswer(
        **{
            "id": f"{caller}-{at.timestamp()}-{question}",
            "caller": caller,
            "opening": question,
            "created": at,
            "version": "1",
            "question": question,
            "characters": 100,
            "grounded": True,
            "refused": False,
            "prompt_tokens": 7,
            "completion_tokens": 3,
            **more,
        }
    )


def measure(name="feedback", standing=Standing.GOOD, **more) -> Measure:
    return Measure(**{"name": name, "standing": standing, "says": f"{name} is {standing}", **more})
