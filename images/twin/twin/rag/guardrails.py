"""Rules on what goes into an answer and on what comes out of it.

Questions and passages that talk to the model are marked on the answer's trace and in the log, by
the rule that found it; what they say stays data. Of an answer, addresses that lead where neither
its sources nor the recipe do are made harmless, and keys and tokens are left out that are known by
their own letters.
"""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace

import structlog
from opentelemetry.trace import Span

from twin.domain.answer import Passage
from twin.models.language_model import Generation
from twin.text.injection import injections
from twin.text.links import defang, host_of, hosts_in
from twin.text.personal_data import KEY, RULES

#: Attributes of an answer's spans, each a JSON object of what was found.
MARKED, CLEANED = "twin.guardrails.marked", "twin.guardrails.cleaned"
REDACTED = "[removed]"
#: Where an address or key surely ends: before and after a blank, or a letter that neither may hold.
#: So it is the same, however an engine cuts its text into pieces.
_BORDER = re.compile(r"(?<=[^\x21-\x7e])|(?=[^\x21-\x7e])")
#: Shorter than any address or key.
SHORTEST = 5
KEY_RULES = tuple(rule for rule in RULES if rule.kind == KEY)
#: No address is longer; a text without any border is looked at in such parts.
LONGEST_PART = 2_000

log = structlog.get_logger("twin.rag")


def mark(span: Span, question: str, passages: Sequence[Passage]) -> None:
    """Write down which rules a question and its passages meet, if any."""
    in_question = [one.rule for one in injections(question)]
    in_passages = {
        passage.chunk_id: rules
        for passage in passages
        if (rules := [one.rule for one in injections(_text(passage))])
    }
    if not in_question and not in_passages:
        return
    found = {"question": in_question, "passages": in_passages}
    span.set_attribute(MARKED, json.dumps(found))
    log.warning("guardrails have marked a prompt", question=in_question, passages=in_passages)


def allowed_hosts(passages: Sequence[Passage], others: Iterable[str]) -> frozenset[str]:
    """Hosts that an answer may lead to: of its sources, of what they link to, and these others.

    A passage that talks to the model has no say in where the answer leads.
    """
    hosts = {host.lower() for host in others}
    for passage in passages:
        hosts.add(host_of(passage.url))
        if not injections(_text(passage)):
            hosts |= hosts_in(passage.text)
    return frozenset(hosts - {""})


@dataclass
class AnswerGuard:
    """Cleans an answer piece by piece; what is not complete yet is held back.

    Attributes:
        hosts: that it may lead to.
        links: addresses made harmless so far.
        keys: keys and tokens left out so far.
    """

    hosts: frozenset[str]
    links: int = 0
    keys: int = 0
    _held: str = field(default="", repr=False)

    def feed(self, piece: str) -> str:
        """What may be shown now."""
        *ready, self._held = _BORDER.split(self._held + piece)
        if len(self._held) > LONGEST_PART:
            ready, self._held = [*ready, self._held], ""
        return "".join(map(self._clean, ready))

    def end(self) -> str:
        """What was held back, complete now."""
        ready, self._held = self._held, ""
        return self._clean(ready)

    def _clean(self, part: str) -> str:
        if len(part) < SHORTEST:
            return part
        cleaned, links = defang(part, self.hosts)
        self.links += links
        for rule in KEY_RULES:
            for match in reversed(list(rule.looks(cleaned))):
                cleaned = cleaned[: match.start()] + REDACTED + cleaned[match.end() :]
                self.keys += 1
        return cleaned


async def guarded(
    pieces: AsyncIterator[str | Generation], guard: AnswerGuard, span: Span
) -> AsyncGenerator[str | Generation, None]:
    """An engine's pieces of text and its whole answer, both cleaned in the same way.

    Of an engine that is cut short, the guard has the last word still.
    """
    async for piece in pieces:
        if isinstance(piece, str):
            if shown := guard.feed(piece):
                yield shown
            continue
        if shown := guard.end():
            yield shown
        whole = AnswerGuard(guard.hosts)
        yield replace(piece, text=whole.feed(piece.text) + whole.end())
    if guard.links or guard.keys:
        found = {"links": guard.links, "keys": guard.keys}
        span.set_attribute(CLEANED, json.dumps(found))
        log.warning("guardrails have cleaned an answer", **found)


def was_cleaned(text: str) -> bool:
    """Whether a guard has taken a key or an address out of an answer, by what it leaves there."""
    return any(mark in text for mark in (REDACTED, "[:]", "[.]"))


def _text(passage: Passage) -> str:
    return "\n".join((passage.title, *passage.headings, passage.text))
