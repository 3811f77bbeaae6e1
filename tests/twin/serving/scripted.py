"""Answers that are written down: slow ones, failing ones, hostile ones.

The chain's part only is scripted; routes, streams, keys and the store of feedback before it are the
real ones.
"""

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.twin.answers import answer, passage
from twin.domain.answer import Answer, CheckedSentence, Citation
from twin.rag.query import AnswerPart, Query
from twin.serving.errors import ApiError
from twin.serving.routing import RoutingTable, Target

NOTICE = "A machine <b>speaks</b> here as Ann."
TABLE = {
    "models": {
        "twin-tiny": {
            "versions": {"1": 90, "2": 10},
            "max_question_characters": 4_000,
            "author": "Ann",
            "prompts": {"1": "registry-7", "2": "3"},
            "notice": NOTICE,
        }
    }
}
TEXT = (
    "Every job is a 🐳 **pod of its own**. It was invented on the Moon by nine cats.\n\n"
    "- A pod states what it needs.\n- It never sleeps at night.\n\n```python\npod = 1\n```\n"
)
SOURCE = "On whales. Every job is a 🐳 pod of its own, says Ann. A pod states what it needs."
HOSTILE = (
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>\n\n"
    "Look: <script>window.hacked = 7</script> [a link](javascript:window.hacked=3) "
    "![pixel](https://spy.example/p.png) "
    "<a href='https://spy.example'>there</a> [good](https://ann.example/good)\n\n"
    "<iframe srcdoc='<script>parent.hacked = 4</script>'></iframe>"
    "<svg><style><img src=x onerror=window.hacked=5></style></svg> ⸨0⸨ ⸩7⸩"
)


def sentence(text: str, said: str, quote: str | None = None) -> CheckedSentence:
    start = text.index(said)
    citations = ()
    if quote:
        begin = SOURCE.index(quote)
        citations = (Citation(source=1, start=begin, end=begin + len(quote), quote=quote),)
    return CheckedSentence(
        start=start, end=start + len(said), supported=bool(quote), citations=citations
    )


def sentences(text: str) -> tuple[CheckedSentence, ...]:
    return (
        sentence(text, "Every job is a 🐳 **pod of its own**.",
                 "Every job is a 🐳 pod of its own, says Ann."),
        sentence(text, "It was invented on the Moon by nine cats."),
        sentence(text, "- A pod states what it needs.", "A pod states what it needs."),
        sentence(text, "- It never sleeps at night."),
    )  # fmt: skip


@dataclass
class ScriptedBackend:
    """`twin.serving.backend.Backend` whose answer hangs on the question.

    ``go`` lets a slow answer go on; ``left`` counts the streams that were left or have ended.
    """

    table: RoutingTable = field(default_factory=lambda: RoutingTable.model_validate(TABLE))
    go: threading.Event = field(default_factory=threading.Event)
    asked: list[Query] = field(default_factory=list)
    left: int = 0

    async def answer(self, target: Target, query: Query) -> Answer:
        async for part in self.stream(target, query):
            if part.answer:
                return part.answer
        raise AssertionError("unreachable")

    async def stream(self, target: Target, query: Query) -> AsyncIterator[AnswerPart]:
        self.asked.append(query)
        try:
            async for part in self._parts(target, query.question):
                yield part
        finally:
            self.left += 1

    async def _parts(self, target: Target, question: str) -> AsyncIterator[AnswerPart]:
        text = TEXT.strip()
        if question == "busy":
            raise ApiError.overloaded()
        if question == "hostile":
            text = HOSTILE
        for piece in text.split(" "):
            yield AnswerPart(text=f"{piece} ")
            if question == "fails":
                raise ApiError.unavailable(target.application)
            if question == "breaks":
                raise RuntimeError("the engine is gone")
            if question == "slow":
                while not self.go.is_set():
                    await asyncio.sleep(0.02)
        yield AnswerPart(answer=_answer(target, question, text))


def _answer(target: Target, question: str, text: str) -> Answer:
    identity = f"answer-{time.time_ns()}-{next(_numbers)}"
    more = {"sentences": sentences(text)} if text == TEXT.strip() else {}
    sources = [
        passage("whales", SOURCE, title="On whales", headings=("Pods",)),
        passage("notes", "Nothing of use.", url="folder://notes/a.md"),
    ]
    if question == "hostile":
        trap = "<img src=x onerror=window.hacked=6>"
        sources = [passage("x", trap, title=trap, headings=(trap,), url="javascript:alert(1)")]
    made = answer(identity, text=text, sources=sources, **more)
    return made.model_copy(update={"question": question})


_numbers = itertools.count()
