"""Instructions out of titles, headings and key phrases: templates, seeded per passage.

No teacher model and no network: what is asked is what the author's own heading says. A heading
that is a question is asked as it stands, in a sentence of its own. Any other is quoted: it may be
a noun, a clause, a command or half a sentence, and no template could take it in unquoted and be
right each time. Templates are for one language; passages of another are asked for by none.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from twin.text.words import words as words_of


@dataclass(frozen=True)
class Templates:
    """Ways of asking in one language.

    ``asked`` take a ``{question}``, ``quoted`` a ``{heading}``; both may take the ``{title}`` and
    a ``{phrase}``, in quotation marks.
    """

    asked: tuple[str, ...]
    quoted: tuple[str, ...]


ENGLISH = Templates(
    asked=(
        "{question}",
        "{question}",
        "I have a question about “{title}”. {question}",
        "{question} Please answer the way you would in an article.",
        "You wrote “{title}”. {question}",
        "A reader of “{title}” wants to know: {question}",
        "{question} Say it in your own words.",
        "{question} Please mention “{phrase}”, too.",
        "Somebody who has heard of “{phrase}” asks: {question}",
    ),
    quoted=(
        "What do you write about “{heading}”?",
        "Explain “{heading}” to me.",
        "What would you say to someone who asks about “{heading}”?",
        "What should I know about “{heading}”?",
        "Write a passage on “{heading}”.",
        "Describe “{heading}” as you would to a colleague.",
        "What is your view of “{heading}”?",
        "In “{title}”, what do you say about “{heading}”?",
        "Write about “{heading}”, and mention “{phrase}”.",
        "What do “{heading}” and “{phrase}” have to do with each other?",
    ),
)

TEMPLATES = {"en": ENGLISH}
"""By language, as chunks name theirs (ISO 639-1)."""

_SHARED_WORDS = 6
"""An instruction may not repeat this many words of its answer in a row."""


def has_templates(language: str | None) -> bool:
    """Whether passages of this language can be asked for; an unknown one passes for English."""
    return (language or "en") in TEMPLATES


def instructions(
    title: str,
    headings: tuple[str, ...],
    key_phrases: list[str],
    seed: str,
    language: str | None = None,
) -> Iterator[str]:
    """Ways to ask for a passage, in an order drawn from the seed; all different.

    The innermost heading says what the passage is about; the title takes its place if there is
    none. Templates with a key phrase are used with each of them. None in a language that has no
    templates.
    """
    if not has_templates(language):
        return
    title = _clean(title)
    heading = _clean(headings[-1] if headings else title)
    templates = _ways_of_asking(heading, title, TEMPLATES[language or "en"])
    words = {"question": heading, "heading": _quotable(heading), "title": _quotable(title)}
    asked = [
        template.format(**words, phrase=_quotable(phrase))
        for template in templates
        for phrase in (key_phrases if "{phrase}" in template else [""])
    ]
    asked = list(dict.fromkeys(asked))
    random.Random(seed).shuffle(asked)  # noqa: S311 - varied and repeatable, not secret
    yield from asked


def gives_away(instruction: str, answer: str) -> bool:
    """Whether an instruction repeats a stretch of its answer."""
    return not runs_of(answer).isdisjoint(runs_of(instruction))


def runs_of(text: str) -> set[tuple[str, ...]]:
    """The stretches of a text that an instruction and its answer may not have in common."""
    said = words_of(text.lower())
    return {tuple(said[i : i + _SHARED_WORDS]) for i in range(len(said) - _SHARED_WORDS + 1)}


def _ways_of_asking(heading: str, title: str, templates: Templates) -> tuple[str, ...]:
    ways = templates.asked if heading.endswith("?") else templates.quoted
    if heading == title:  # the article's beginning, before any heading
        return tuple(template for template in ways if "{title}" not in template)
    return ways


def _quotable(text: str) -> str:
    """A text that can stand in quotation marks: those within it become single ones."""
    return text.translate(str.maketrans('“”"', "\u2018\u2019'"))


def _clean(text: str) -> str:
    """A heading as plain words: no Markdown marks, no numbering."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"(?<!\w)[*_`#]+|[*_`#]+(?!\w)", "", text)
    text = re.sub(r"^\d+(\.\d+)*[.)]?\s+", "", text.strip())
    return " ".join(text.split())
