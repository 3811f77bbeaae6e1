"""What leaves in an answer: links to hosts that nobody allowed, keys, personal data and abuse.

The same for a whole answer and for a stream, however an engine cuts its text into pieces: what is
not complete yet is held back, a few words at most.
"""

import json
import re
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace

import structlog
from opentelemetry.trace import Span

from twin.domain.answer import Passage
from twin.models.language_model import Generation
from twin.recipes.guardrails import GuardrailsSection, RemovedKind
from twin.text.injection import injections
from twin.text.links import defang, host_of, hosts_in
from twin.text.personal_data import EMAIL, KEY, PHONE, RULES
from twin.text.phones import phone_numbers
from twin.text.toxicity import PHRASE, PHRASE_GOES_ON, WORD

#: Attribute of a generation's span: a JSON object of what was removed, by kind.
CLEANED = "twin.guardrails.cleaned"
REDACTED = "[removed]"
#: Where an address or key surely ends: before and after a blank, or a letter that neither may hold.
#: So it is the same, however an engine cuts its text into pieces.
_BORDER = re.compile(r"(?<=[^\x21-\x7e])|(?=[^\x21-\x7e])")
#: Shorter than any address or key.
SHORTEST = 5
KEY_RULES = tuple(rule for rule in RULES if rule.kind == KEY)
#: No address is longer; a text without any border is looked at in such parts.
LONGEST_PART = 2_000
#: A private key may be longer, a number or a phrase is shorter.
LONGEST_KEY, LONGEST_NUMBER = 8_000, 60
#: The end of a text that may go on with a key's, a number's or a phrase's next word.
_KEY_GOES_ON = re.compile(
    r"(?:-----BEGIN(?:(?!-----END [A-Z ]{0,40}-----)[\s\S])*|(?i:\bBearer)\s?|"
    r"(?i:aws_secret_access_key)[\"']?\s{0,3}[=:]?\s{0,3}[\"']?|-----END [A-Z ]{0,40})\Z"
)
_NUMBER_GOES_ON = re.compile(
    r"(?:(?<![\w.])[+(]?\d[\d()./-]*(?: [\d()./-]*)*|"
    r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}[A-Z0-9]{0,30}(?: [A-Z0-9]{0,4})*)\Z"
)

log = structlog.get_logger("twin.rag")


def allowed_hosts(passages: Sequence[Passage], others: Iterable[str]) -> frozenset[str]:
    """Hosts that an answer may lead to: of its sources, of what they link to, and these others.

    A passage that talks to the model has no say in where the answer leads.
    """
    hosts = {host.lower() for host in others}
    for passage in passages:
        hosts.add(host_of(passage.url))
        shown = "\n".join((passage.title, *passage.headings, passage.text))
        if not injections(shown, quoted=True):
            hosts |= hosts_in(passage.text)
    return frozenset(hosts - {""})


def without_keys(text: str) -> tuple[str, int]:
    """A text without keys and tokens that are known by their own letters, and how many it held."""
    removed = 0
    for rule in KEY_RULES:
        for match in reversed(list(rule.looks(text))):
            text = text[: match.start()] + REDACTED + text[match.end() :]
            removed += 1
    return text, removed


def was_cleaned(text: str) -> bool:
    """Whether a guard has taken something out of an answer, by what it leaves there."""
    return any(mark in text for mark in (REDACTED, "[:]", "[.]"))


@dataclass(frozen=True)
class Leaving:
    """What may leave in an answer.

    Attributes:
        hosts: that it may lead to.
        removed: kinds of personal data that may not.
        question: addresses and numbers in it may.
        sources: these and words in them may: they are the author's own.
    """

    hosts: frozenset[str]
    removed: frozenset[RemovedKind] = frozenset(GuardrailsSection().removed)
    question: str = ""
    sources: str = ""

    @classmethod
    def of(
        cls, question: str, passages: Sequence[Passage], hosts: Iterable[str],
        section: GuardrailsSection,
    ) -> "Leaving":  # fmt: skip
        """What may leave in the answer to a question, from these passages."""
        sources = "\n".join(passage.text for passage in passages)
        removed = frozenset(section.removed)
        return cls(allowed_hosts(passages, hosts), removed, question, sources)


@dataclass
class AnswerGuard:
    """Cleans an answer piece by piece; what is not complete yet is held back.

    Attributes:
        leaving: what may be in it.
        counts: what was removed so far, by kind: links, keys, personal, toxic.
    """

    leaving: Leaving
    counts: Counter[str] = field(default_factory=Counter)
    _unit: str = field(default="", repr=False)
    _held: str = field(default="", repr=False)

    def feed(self, piece: str) -> str:
        """What may be shown now."""
        *ready, self._held = _BORDER.split(self._held + piece)
        if len(self._held) > LONGEST_PART:
            ready, self._held = [*ready, self._held], ""
        return "".join(map(self._joined, ready))

    def end(self) -> str:
        """What was held back, complete now."""
        ready, self._unit, self._held = self._unit + self._held, "", ""
        return self._clean(ready)

    def _joined(self, part: str) -> str:
        """A part with what it may go on from; "" while it may itself go on."""
        self._unit += part
        if _goes_on(self._unit):
            return ""
        ready, self._unit = self._unit, ""
        return self._clean(ready)

    def _clean(self, part: str) -> str:
        if len(part) < SHORTEST and part.isascii():
            return self._without_abuse(part)
        cleaned, links = defang(part, self.leaving.hosts)
        if KEY in self.leaving.removed:
            cleaned, keys = without_keys(cleaned)
            self.counts["keys"] += keys
        self.counts["links"] += links
        return self._without_abuse(self._without_personal_data(cleaned))

    def _without_personal_data(self, text: str) -> str:
        spans = [
            (*match.span(), rule.kind)
            for rule in RULES
            if rule.kind != KEY and rule.kind in self.leaving.removed
            for match in rule.looks(text)
            if rule.holds is None or rule.holds(match[0])
        ]
        if PHONE in self.leaving.removed and not spans:
            spans = [(*span, PHONE) for span in phone_numbers(text, None)]
        begun = len(text)  # of the span removed last: what two countries share comes twice
        for start, end, kind in sorted(set(spans), reverse=True):
            if end > begun:
                continue
            said = text[start:end]
            given = said in self.leaving.question or said in self.leaving.sources
            if given and kind in (EMAIL, PHONE):
                continue
            text, begun = text[:start] + REDACTED + text[end:], start
            self.counts["personal"] += 1
        return text

    def _without_abuse(self, text: str) -> str:
        for rule in (WORD, PHRASE):
            for match in reversed(list(rule.finditer(text))):
                if match[0] in self.leaving.sources:
                    continue
                text = text[: match.start()] + REDACTED + text[match.end() :]
                self.counts["toxic"] += 1
        return text


def _goes_on(text: str) -> bool:
    """Whether the end of a text may be half of something that is removed as a whole."""
    if _KEY_GOES_ON.search(text):
        return len(text) < LONGEST_KEY
    return len(text) < LONGEST_NUMBER and bool(
        _NUMBER_GOES_ON.search(text) or PHRASE_GOES_ON.search(text)
    )


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
        whole = AnswerGuard(guard.leaving)
        yield replace(piece, text=whole.feed(piece.text) + whole.end())
    found = {name: count for name, count in guard.counts.items() if count}
    if found:
        span.set_attribute(CLEANED, json.dumps(found))
        log.warning("guardrails have cleaned an answer", **found)
