"""What is looked at before a model reads it: questions, earlier turns, schemas and passages.

Every rail has one protocol: rules always, classifier models where the recipe names them
(`twin.rag.text_classifiers`). What they find decides by the recipe's `serving.guardrails`, and is
written on the answer's trace and into the log, by the rule's name and never by its words.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, Protocol

import structlog
from opentelemetry.trace import Span

from twin.domain.answer import Passage
from twin.domain.conversation import Turn
from twin.rag.answer_guard import without_keys
from twin.rag.query import Query
from twin.recipes.guardrails import GuardrailsSection
from twin.text.injection import injections
from twin.text.sentences import sentence_spans
from twin.text.toxicity import is_toxic

#: Attribute of a span: a JSON object of what was met, by where it stands.
MARKED = "twin.guardrails.marked"

Where = Literal["question", "system", "history", "schema", "passage"]
INJECTION, TOXICITY, TOPIC = "injection", "toxicity", "topic"
#: Shown to the model as quotations: there nobody's wish is an order about the answer.
QUOTED = ("passage", "schema")

log = structlog.get_logger("twin.rag")


@dataclass(frozen=True)
class Hit:
    """What a rail has found in a text.

    Attributes:
        rail: injection, toxicity, topic, or a classifier's name.
        rule: which of the rail's.
        refuses: whether the text must not reach the model.
        score: how sure, 0 to 1; rules are.
    """

    rail: str
    rule: str
    refuses: bool
    score: float = 1.0


class Guardrail(Protocol):
    """Looks at texts; safe to share between threads."""

    def hits(self, text: str, where: Where, /) -> Sequence[Hit]:
        """What it finds in a text that stands there; none is the rule."""


class Rules:
    """The deterministic rails: injection, toxicity, topics."""

    def __init__(self, section: GuardrailsSection) -> None:
        self._section = section
        self._topics = tuple(topic.casefold() for topic in section.refused_topics)

    def hits(self, text: str, where: Where) -> list[Hit]:
        """What the rules find; passages are not held against topics and toxicity."""
        refuses = self._section.injection == "refuse" or where == "passage"
        found = [
            Hit(INJECTION, each.rule, refuses) for each in injections(text, quoted=where in QUOTED)
        ]
        if where == "question":
            if is_toxic(text):
                found.append(Hit(TOXICITY, TOXICITY, self._section.toxicity == "refuse"))
            folded = text.casefold()
            found += [Hit(TOPIC, TOPIC, refuses=True) for each in self._topics if each in folded][
                :1
            ]
        return found


@dataclass(frozen=True)
class Examined:
    """What of a question may reach the model.

    Attributes:
        history: the earlier turns that may.
        refused: whether the question may not.
        hits: what was found, by where.
    """

    history: tuple[Turn, ...]
    refused: bool = False
    hits: dict[str, list[Hit]] = field(default_factory=dict)


@dataclass(frozen=True)
class Shown:
    """Passages that may reach the model.

    Attributes:
        passages: best first, without what was cut.
        hits: what was found, by the passage's chunk id.
        left_out: chunk ids of passages that may not.
    """

    passages: tuple[Passage, ...]
    hits: dict[str, list[Hit]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


class Guardrails:
    """All rails of a recipe.

    Args:
        section: what is done with what they find.
        classifiers: models beside the rules.
    """

    def __init__(
        self, section: GuardrailsSection | None = None, classifiers: Sequence[Guardrail] = ()
    ) -> None:
        self._section = section or GuardrailsSection()
        self._rails: tuple[Guardrail, ...] = (Rules(self._section), *classifiers)
        self.refusal = self._section.refusal

    def examine(self, query: Query) -> Examined:
        """Look at everything that a caller sends."""
        hits: dict[str, list[Hit]] = {}
        schema = "\n".join(_strings(json.loads(query.json_schema))) if query.json_schema else ""
        texts: tuple[tuple[Where, str], ...] = (
            ("question", query.question),
            ("system", query.system or ""),
            ("schema", schema),
        )
        for where, text in texts:
            if text and (found := self._hits(text, where)):
                hits[where] = found
        refused = any(hit.refuses for found in hits.values() for hit in found)
        history, in_history = self._harmless(query.history)
        if in_history:
            hits["history"] = in_history
        return Examined(history, refused, hits)

    def shown(self, passages: Sequence[Passage]) -> Shown:
        """Passages as the model may read them: without keys, and without orders to it."""
        kept: list[Passage] = []
        hits: dict[str, list[Hit]] = {}
        left_out: list[str] = []
        for passage in passages:
            found = self._hits(text_of(passage), "passage")
            if found:
                hits[passage.chunk_id] = found
            harmless = self._cut(passage) if found else passage
            if harmless is None:
                left_out.append(passage.chunk_id)
            else:
                kept.append(harmless)
        return Shown(tuple(kept), hits, tuple(left_out))

    def _harmless(self, history: Sequence[Turn]) -> tuple[tuple[Turn, ...], list[Hit]]:
        """Turns without the exchanges that give orders: a caller writes both sides of a history."""
        kept: list[Turn] = []
        hits: list[Hit] = []
        for exchange in _exchanges(history):
            found = [hit for turn in exchange for hit in self._hits(turn.content, "history")]
            hits += found
            if not any(hit.refuses for hit in found):
                kept += exchange
        return tuple(kept), hits

    def _hits(self, text: str, where: Where) -> list[Hit]:
        return [hit for rail in self._rails for hit in rail.hits(text, where)]

    def _cut(self, passage: Passage) -> Passage | None:
        """What is left of a passage; None: nothing may be shown."""
        found = self._hits(text_of(passage), "passage")
        if self._section.passages == "mark" or not any(hit.refuses for hit in found):
            return passage
        if self._section.passages == "leave_out":
            return None
        path = "\n".join((passage.title, *passage.headings))
        if self._refuses(path):
            passage = passage.model_copy(update={"title": passage.url, "headings": ()})
        if self._refuses(passage.text):
            parts = [passage.text[start:end] for start, end in sentence_spans(passage.text)]
            text = "\n".join(part for part in parts if not self._refuses(part))
            passage = passage.model_copy(update={"text": text})
        if not passage.text.strip() or self._refuses(text_of(passage)):
            return None
        return passage

    def _refuses(self, text: str) -> bool:
        return any(hit.refuses for hit in self._hits(text, "passage"))


def redacted(passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """Passages without keys and tokens: what no model reads, none can be made to say."""
    return tuple(
        passage.model_copy(update={"text": text})
        if (text := _without_keys(passage.text)) != passage.text
        else passage
        for passage in passages
    )


@lru_cache(maxsize=4_096)
def _without_keys(text: str) -> str:
    return without_keys(text)[0]


def record_examined(span: Span, examined: Examined) -> None:
    """Write down what a question has met, if anything."""
    if not examined.hits:
        return
    found = {where: _told(hits) for where, hits in examined.hits.items()}
    span.set_attribute(MARKED, json.dumps({**found, "refused": examined.refused}))
    log.warning("guardrails have marked a question", refused=examined.refused, **found)


def record_shown(span: Span, shown: Shown) -> None:
    """Write down what retrieved passages have met, if anything."""
    if not shown.hits:
        return
    passages = {chunk_id: _told(hits) for chunk_id, hits in shown.hits.items()}
    left_out = list(shown.left_out)
    span.set_attribute(MARKED, json.dumps({"passages": passages, "left_out": left_out}))
    log.warning("guardrails have marked passages", passages=passages, left_out=left_out)


def text_of(passage: Passage) -> str:
    """All of a passage that a model is shown."""
    return "\n".join((passage.title, *passage.headings, passage.text))


def _told(hits: Sequence[Hit]) -> list[str]:
    """Names of rules; with the score where one was given by a model."""
    said = (
        each.rule if each.score == 1.0 else f"{each.rail}: {each.rule} ({each.score:.2f})"
        for each in hits
    )
    return list(dict.fromkeys(said))


def _exchanges(history: Sequence[Turn]) -> list[list[Turn]]:
    """The user's turns, each with the replies to it."""
    made: list[list[Turn]] = []
    for turn in history:
        if turn.role == "user" or not made:
            made.append([])
        made[-1].append(turn)
    return made


def _strings(data: Any) -> Iterator[str]:
    """All texts in a JSON value, its keys too."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield str(key)
            yield from _strings(value)
    elif isinstance(data, list):
        for value in data:
            yield from _strings(value)
