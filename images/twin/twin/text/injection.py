"""Texts that talk to the model instead of about something: instructions in questions and pages.

Rules, so that the same text is always judged the same: a hit is a mark and no proof of anything.
They look at a text as it stands and at what is hidden in it (`twin.text.hidden_text`), in the
languages most written (`twin.text.injection_rules`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from twin.text.hidden_text import forms
from twin.text.injection_rules import ASIDE, ASKING, CUES, QUOTED, RULES, SQUEEZED
from twin.text.injection_words import GAP, STEMS, UNSPACED, WAVED

#: Longer texts are looked at in their first and last so many characters.
LONGEST = 20_000
EXCERPT = 80
WAVES = "waves instructions aside"

#: Rules that an honest "How do I …?" meets by its words.
_ASKED_ABOUT = frozenset(
    {WAVES, "asks for what is hidden", "asks for secrets", "sends something away", "another role"}
)
#: In hidden text only what surely is one counts: letters at random meet short patterns.
_HIDDEN_CUES = (
    *("ignor", "disregard", "forget", "overrid", "bypass", "instruc", "instruk", "prompt", "rules"),
    *("system", "reveal", "guideline", "password", "api key", "anweis", "consigne", "istruz"),
    *("инструк", "指令", "指示", "지시"),
)
_EVERYWHERE = {**RULES, **QUOTED}


@dataclass(frozen=True)
class Injection:
    """What a rule has found.

    Attributes:
        rule: its name.
        excerpt: the words, at most some.
        packed: how they were hidden, or "".
    """

    rule: str
    excerpt: str
    packed: str = ""


def _waves(language: str, verbs: str, objects: str) -> re.Pattern[str]:
    word = "" if language in UNSPACED else r"\b"
    pattern = rf"{word}(?:{verbs}){GAP}(?:{objects})|(?:{objects}){GAP}(?:{verbs}){word}"
    return re.compile(pattern)


_WAVES = tuple((STEMS[name], _waves(name, *words)) for name, words in WAVED.items())


@lru_cache(maxsize=4_096)
def injections(text: str, *, quoted: bool = False) -> tuple[Injection, ...]:
    """What in a text talks to the model, each rule at most once.

    Remembered for the last few thousand texts: passages come again and again.

    Args:
        text: of any length; of a long one its ends are read.
        quoted: whether it is shown to the model as a quotation (a page, a title, a correction),
            where an order about the answer is nobody's wish.
    """
    found: dict[str, Injection] = {}
    for packed, said in forms(_ends(text)):
        form = said.lower()
        matches: Iterator[tuple[str, re.Match[str]]]
        if packed == "first letters":
            matches = ((WAVES, match) for match in SQUEEZED.finditer(form))
        elif packed and not _holds(form, _HIDDEN_CUES):
            continue
        else:
            matches = _matches(form, quoted=quoted)
        for name, match in matches:
            found.setdefault(name, Injection(name, match[0].strip()[:EXCERPT], packed))
    return tuple(found.values())


def _matches(form: str, *, quoted: bool) -> Iterator[tuple[str, re.Match[str]]]:
    for name, rule in (_EVERYWHERE if quoted else RULES).items():
        if _holds(form, CUES.get(name, ("",))) and (match := _order(name, rule, form)):
            yield name, match
    if match := _order(WAVES, ASIDE, form):
        yield WAVES, match
        return
    for stems, rule in _WAVES:
        if _holds(form, stems) and (match := rule.search(form)):
            yield WAVES, match
            return


def _holds(form: str, cues: tuple[str, ...]) -> bool:
    return any(cue in form for cue in cues)


def _order(name: str, rule: re.Pattern[str], form: str) -> re.Match[str] | None:
    """The first words that meet a rule and are no question about such words."""
    for match in rule.finditer(form):
        if name not in _ASKED_ABOUT or not _is_asked_about(form, match):
            return match
    return None


def _is_asked_about(form: str, match: re.Match[str]) -> bool:
    begin = 1 + max(form.rfind(mark, 0, match.start()) for mark in ".!?\n")
    asked = ASKING.match(form[begin : match.end()])
    return bool(asked) and not re.search(r"\byour?\b", match[0])


def _ends(text: str) -> str:
    return text if len(text) <= 2 * LONGEST else f"{text[:LONGEST]}\n{text[-LONGEST:]}"
