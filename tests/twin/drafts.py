"""Drafts by the real drafter and the real verifier, over a chain whose words are written down."""

import asyncio
import json
import math
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.twin.answers import answer, passage
from twin.domain.answer import Answer, Passage
from twin.domain.errors import BadDataError, OverloadedError
from twin.models.embedder import load_embedder
from twin.rag.contradictions import RuleConflicts
from twin.rag.drafting import Drafter
from twin.rag.query import AnswerPart, FoundPassages, Query
from twin.rag.spans import AnswerSpans
from twin.rag.support import SupportVerifier
from twin.recipes import FeaturesSection, Recipe
from twin.settings import Settings
from twin.text.words import words

WHALES = "Every job runs in a pod of its own, which states what it needs and gives it all back."
COSTS = "A pod costs some seconds at its start, which a job of an hour never notices."
ROLLBACK = "I move the alias back to the version before, and then I read the report in peace."
CORPUS = (
    passage("pods", WHALES, headings=("What a pod states",)),
    passage("costs", COSTS, headings=("What it costs",)),
    passage("rollback", ROLLBACK, title="Rolling back"),
)
UNKNOWN = "Paris"
TEXTS = {
    "What a pod states": f"{WHALES} Nine cats have invented it on the moon.",
    "What it costs": "At its start a pod costs seconds, which a long job never notices.",
    "Rolling back": "Move the alias back to the version before.",
}


def recipe(**drafts: object) -> Recipe:
    """A recipe with these knobs of drafts."""
    return Recipe.model_validate(
        {
            "name": "tiny",
            "author": {"id": "ann", "name": "Ann"},
            "sources": [{"name": "texts", "kind": "folder", "path": "texts"}],
            "serving": {"drafts": drafts},
        }
    )


def verifier() -> SupportVerifier:
    """The house's, with the real embedder."""
    return SupportVerifier(load_embedder(FeaturesSection().embedder, Settings()))


@dataclass
class ScriptedWriting:
    """`twin.rag.drafting.Writing`: the text of a section is that of the heading it is asked for.

    Attributes:
        texts: by heading; of one that is not among them a sentence about nothing.
        outline: what the model replies when it is asked for points; None: it can't be bound.
        revised: what it writes when a text is to change.
        late: headings at which the time is over.
        asked: queries with the seconds that they had.
    """

    corpus: Sequence[Passage] = CORPUS
    texts: dict[str, str] = field(default_factory=lambda: dict(TEXTS))
    outline: str | None = None
    revised: str = "Shorter: a pod states what it needs."
    late: tuple[str, ...] = ()
    finish_reason: str = "stop"
    asked: list[tuple[Query, float]] = field(default_factory=list)
    searched: list[Query] = field(default_factory=list)

    async def find(self, query: Query) -> FoundPassages:
        self.searched.append(query)
        wanted = {word.casefold() for word in words(query.question)}

        def shared(each: Passage) -> int:
            text = " ".join((*each.headings, each.title, each.text))
            return len(wanted & {word.casefold() for word in words(text)})

        found = sorted(self.corpus, key=shared, reverse=True)[: query.passages or 2]
        return FoundPassages(
            passages=tuple(found), similarity=0.5, answerable=UNKNOWN not in query.question
        )

    async def stream_part(self, query: Query, *, parent=None, seconds: float = math.inf):
        self.asked.append((query, seconds))
        if query.json_schema is not None:
            if self.outline is None:
                raise BadDataError("the engine does not keep to this JSON schema")
            yield AnswerPart(answer=self._answer(query, self.outline))
            return
        text = self._text(query.question)
        for piece in text.split(" "):
            yield AnswerPart(text=f"{piece} ")
            await asyncio.sleep(0)
        yield AnswerPart(answer=self._answer(query, text))

    def _text(self, question: str) -> str:
        if "<draft>" in question:
            return self.revised
        line = next(line for line in question.splitlines() if line.startswith("Write only"))
        heading = line.partition(": ")[2]
        if heading in self.late:
            raise OverloadedError("no answer began")
        return self.texts.get(heading, "Nobody has ever said a word about this matter before.")

    def _answer(self, query: Query, text: str) -> Answer:
        made = answer(text=text, sources=query.given or (), finish_reason=self.finish_reason)
        return made.model_copy(update={"sources": query.given, "question": query.question})


def drafter(known: SupportVerifier, **drafts: object) -> Drafter:
    return Drafter(recipe(**drafts), known, AnswerSpans("twin-tiny", "1", "1"), RuleConflicts())


def streamed(writer: Drafter, writing: ScriptedWriting, query: Query) -> list[AnswerPart]:
    """All parts of a draft."""

    async def parts() -> list[AnswerPart]:
        async with aclosing(writer.stream(query, writing)) as stream:
            return [part async for part in stream]

    return asyncio.run(parts())


def points(*headings: str) -> str:
    """An outline as a model replies it."""
    return json.dumps({"points": headings})


def dated(document: str, text: str, year: int, **more: object) -> Passage:
    """A passage published in a year."""
    return passage(document, text, published=datetime(year, 1, 1, tzinfo=UTC), **more)
