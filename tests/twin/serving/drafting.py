"""The endpoint's backend whose drafts the real drafter writes, over a script."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.twin.drafts import ScriptedWriting, drafter
from tests.twin.serving.scripted import TABLE
from twin.domain.answer import Answer
from twin.domain.errors import TryAgainError
from twin.rag.query import AnswerPart, Query
from twin.rag.support import SupportVerifier
from twin.serving.errors import ApiError
from twin.serving.routing import RoutingTable, Target


@dataclass
class DraftingBackend:
    """`twin.serving.backend.Backend` of drafts.

    Attributes:
        breaks: after so many parts of a draft.
        holds: cleared, a draft stops after its first words until it is set.
    """

    known: SupportVerifier
    writing: ScriptedWriting = field(default_factory=ScriptedWriting)
    table: RoutingTable = field(default_factory=lambda: RoutingTable.model_validate(TABLE))
    asked: list[tuple[Target, Query]] = field(default_factory=list)
    breaks: int | None = None
    holds: threading.Event = field(default_factory=threading.Event)
    left: int = 0

    def __post_init__(self):
        self.holds.set()

    async def answer(self, target: Target, query: Query) -> Answer:
        async for part in self.stream(target, query):
            if part.answer:
                return part.answer
        raise AssertionError("unreachable")

    async def stream(self, target: Target, query: Query) -> AsyncIterator[AnswerPart]:
        self.asked.append((target, query))
        writer, number = drafter(self.known), 0
        writer.version = target.version
        try:
            async for part in writer.stream(query, self.writing):
                number += 1
                if self.breaks is not None and number > self.breaks:
                    raise ApiError.unavailable(target.application)
                yield part
                while part.text and not self.holds.is_set():
                    await asyncio.sleep(0.02)
        except TryAgainError:
            raise ApiError.overloaded() from None
        finally:
            self.left += 1
