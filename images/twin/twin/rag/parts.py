# ruff: noqa: RUF001 - letters of several alphabets
"""Questions that need others: those in several parts, and those that go on from an earlier one.

By rules, for every model. A question in several parts ("What is a pod, and how is it given back?")
is searched part by part; a part or a later turn that does not stand alone ("and why?") is searched
with the question that it goes on from. Only what is searched for changes: the model is asked in the
caller's own words.
"""

import re
from collections.abc import Sequence

from twin.domain.conversation import Turn

#: Words that begin a question, in the languages most written.
_ASKING = (
    r"what|which|who|whom|whose|when|where|why|how|is|are|was|were|does|do|did|can|could|should|"
    r"must|may|will|would|has|have|"
    r"was|wer|wen|wem|wann|wo|warum|wieso|wie|welche[rsnm]?|kann|muss|darf|soll|ist|sind|"
    r"que|qui|quand|o[uù]|pourquoi|comment|quel(?:le)?s?|combien|est-ce|"
    r"qu[eé]|qui[eé]n|cu[aá]ndo|d[oó]nde|por qu[eé]|c[oó]mo|cu[aá]l(?:es)?|"
    r"cosa|chi|quando|dove|perch[eé]|come|quale|"
    r"что|кто|когда|где|почему|зачем|как|какой|какая|какие|сколько"
)
_AND = r"and|or|und|oder|et|ou|y|o|e|и|или"
#: Between two parts: a question mark, or a word like "and" before a word that begins a question.
_BORDER = re.compile(
    rf"(?<=[?？;])\s*(?:(?:{_AND}|also|then)\b,?\s+)?|"
    rf"[,;]?\s+(?:{_AND})\s+(?:also\s+|then\s+|if so,?\s+)?(?=(?:{_ASKING})\b\s)",
    re.IGNORECASE,
)
_ASKS = re.compile(rf"(?:[\"'(¿]|\w+,\s)?\s*(?:{_ASKING})\b", re.IGNORECASE)
#: A question that leans on what was said before: it begins like one, or points at it.
_LEANS = re.compile(
    r"\s*(?:and|but|so|also|then|or|und|aber|et|mais|y|pero|e|ma|а|и|но)\b(?!\s*$)|"
    r"\s*(?:why|how so|how|when|where|since when|what else|really|warum|wieso|pourquoi|por qu[eé]|"
    r"perch[eé]|почему|为什么|なぜ|왜)\s*(?:not|nicht|pas|no)?\s*[?？]*\s*$|"
    r"\s*(?:(?:please )?(?:tell me more|more|go on|continue|explain|an example|for example|shorter|"
    r"simpler|longer|again|rephrase|repeat|translate|summari[sz]e)|what about|how about|"
    r"in (?:german|french|english|spanish|italian|other words|simple\w* words|short|detail)|"
    r"thanks?|thank you|ok(?:ay)?|yes|no|und|mehr|weiter|et pour|y para)\b|"
    r".*\b(?:last|previous|your) (?:answer|reply)\b",
    re.IGNORECASE,
)
_POINTS = re.compile(
    r"\b(?:it|its|that|this|these|those|they|them|their|there|he|she|him|her|the same|the former|"
    r"the latter|the first|the second|the other|one|ones|"
    r"es|das|dies\w*|sie|ihn|ihm|dort|dasselbe|"
    r"[çc]a|cela|celui-ci|ils?|elles?|"
    r"eso|esto|ellos?|ellas?|quello|questo|isso|isto|"
    r"это|этого|этот|они|его|её|их)\b|它|这|那|それ|これ|그것",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+")
#: A question with more words than this stands alone even if it points somewhere: into itself.
LEANING_WORDS = 9
#: A part is at least this many words long; less is an aside ("right?").
LEAST_WORDS = 3


def parts_of(question: str, most: int) -> tuple[str, ...]:
    """The questions that a question is made of, each so that it can be searched by itself.

    Args:
        question: as asked.
        most: parts, at least 1; of more, the last ones stay together.

    Returns:
        None or at least two: a question in one part needs nothing.
    """
    said = [part.strip(" ,;") for part in _BORDER.split(question)]
    asked = [part for part in said if _ASKS.match(part) and _length(part) >= LEAST_WORDS]
    if most < 2 or len(asked) < 2:
        return ()
    if len(asked) > most:
        asked = [*asked[: most - 1], " ".join(asked[most - 1 :])]
    return (asked[0], *(_joined(asked[0], part) for part in asked[1:]))


def standalone(question: str, history: Sequence[Turn]) -> str:
    """A later turn as a question that stands alone: with the one that it goes on from, if it leans.

    Args:
        question: of this turn.
        history: earlier turns, oldest first.
    """
    if not leans(question):
        return question
    for turn in reversed(history):
        if turn.role == "user" and turn.content.strip():
            earlier = turn.content.strip()
            before = history[: history.index(turn)]
            return f"{standalone(earlier, before)} {question}"
    return question


def leans(question: str) -> bool:
    """Whether a question needs an earlier one to be understood."""
    if any(_LEANS.match(said) for said in re.split(r"(?<=[.!?？])\s+", question)):
        return True
    return _length(question) <= LEANING_WORDS and bool(_POINTS.search(question))


def _joined(first: str, part: str) -> str:
    return f"{first} {part}" if _POINTS.search(part) and _length(part) <= LEANING_WORDS else part


def _length(text: str) -> int:
    return len(_WORD.findall(text))
