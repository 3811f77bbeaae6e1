"""Instructions out of titles, headings and key phrases: templates, seeded per passage.

No teacher model and no network: what is asked is what the author's own heading says, put the way
a reader might ask it.
"""

import random
import re
from collections.abc import Iterator

from twin.text.words import words as words_of

_QUESTION_WORDS = {"how", "why", "what", "when", "where", "who", "which", "whether"}

#: For a heading that is a question already.
_ASKED = (
    "{question}",
    "{question}",
    "I have a question about “{title}”. {question}",
    "{question} Please answer the way you would in an article.",
    "You wrote “{title}”. {question}",
    "In your experience, {question_inside}",
    "A reader of “{title}” wants to know: {question}",
    "Thinking of {phrase}: {question}",
    "{question} Say something about {phrase}, too.",
)

#: For a heading like "How chunks are cut" or "Why every job is a pod".
_CLAUSES = (
    "Explain {clause}.",
    "Can you explain {clause}?",
    "Tell me {clause}.",
    "In your own words, {clause}?",
    "What would you say to someone who asks {clause}?",
    "I would like to understand {clause}.",
    "Write a passage on {clause}.",
    "Tell me {clause}, with an eye on {phrase}.",
    "Explain {clause}, and what {phrase} has to do with it.",
)

#: For a heading like "Crawling politely".
_DOINGS = (
    "How do you go about {topic}?",
    "What is your approach to {topic}?",
    "What have you learned about {topic}?",
    "Describe {topic} as you practise it.",
    "What would you advise about {topic}?",
    "What do you write about {topic}?",
    "When it comes to {topic}, what do you think of {phrase}?",
    "What part does {phrase} play in {topic}?",
)

#: For any other heading.
_TOPICS = (
    "What do you think about {topic}?",
    "Explain {topic}.",
    "What have you written about {topic}?",
    "How do you see {topic}?",
    "What should I know about {topic}?",
    "Write a passage on {topic}.",
    "Describe {topic} as you would to a colleague.",
    "What is your view of {topic}?",
    "What do you think about {phrase}, as far as {topic} is concerned?",
    "On {topic}: what about {phrase}?",
    "How does {phrase} bear on {topic}?",
)

_SHARED_WORDS = 6
"""An instruction may not repeat this many words of its answer in a row."""


def instructions(
    title: str, headings: tuple[str, ...], key_phrases: list[str], seed: str
) -> Iterator[str]:
    """Ways to ask for a passage, in an order drawn from the seed; all different.

    The innermost heading says what the passage is about; the title takes its place if there is
    none. Templates with a key phrase are used with each of them.
    """
    heading = _clean(headings[-1] if headings else title)
    templates, words = _ways_of_asking(heading, _clean(title))
    asked = [
        _sentence(template.format(**words, phrase=phrase))
        for template in templates
        for phrase in (key_phrases if "{phrase}" in template else [""])
    ]
    asked = list(dict.fromkeys(asked))
    random.Random(seed).shuffle(asked)  # noqa: S311 - varied and repeatable, not secret
    yield from asked


def gives_away(instruction: str, answer: str) -> bool:
    """Whether an instruction repeats a stretch of its answer."""
    asked, told = words_of(instruction.lower()), words_of(answer.lower())
    runs = {tuple(told[i : i + _SHARED_WORDS]) for i in range(len(told) - _SHARED_WORDS + 1)}
    return any(
        tuple(asked[i : i + _SHARED_WORDS]) in runs for i in range(len(asked) - _SHARED_WORDS + 1)
    )


def _ways_of_asking(heading: str, title: str) -> tuple[tuple[str, ...], dict[str, str]]:
    topic = _lower_first(_sentence_case(heading)).rstrip("?.!:")
    first = heading.split(maxsplit=1)[0].lower() if heading else ""
    if heading.endswith("?"):
        words = {"question": heading, "question_inside": _lower_first(heading)}
        return _ASKED, {**words, "title": title}
    if bare := re.fullmatch(r"why ((?:\w+ )?\w+)", heading, re.IGNORECASE):
        # "Why pods" has no verb to explain: the reader asks for the choice.
        question = f"Why do you use {_lower_first(bare[1])}?"
        words = {"question": question, "question_inside": _lower_first(question)}
        return _ASKED, {**words, "title": title}
    if first in _QUESTION_WORDS and " " in heading:
        return _CLAUSES, {"clause": topic}
    if first.endswith("ing") and len(first) > 5:
        return _DOINGS, {"topic": topic}
    return _TOPICS, {"topic": topic}


def _clean(text: str) -> str:
    """A heading as plain words: no Markdown marks, no numbering."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"[*_`#]+", "", text)
    text = re.sub(r"^\d+(\.\d+)*[.)]?\s+", "", text.strip())
    return " ".join(text.split())


def _sentence_case(text: str) -> str:
    """ "Asking the Endpoint" as "Asking the endpoint"; a text not in title case stays."""
    words = text.split()
    long = [word for word in words[1:] if len(word) > 3]
    if len(long) == 0 or not all(word[0].isupper() for word in long):
        return text
    return " ".join([words[0], *(_lower_first(word) for word in words[1:])])


def _lower_first(text: str) -> str:
    """Lower the first letter, except of acronyms, names in capitals and "I"."""
    first = text.split(maxsplit=1)[0] if text else ""
    if len(first) == 1 and first != "A":
        return text
    if any(letter.isupper() or letter.isdigit() for letter in first[1:]):
        return text
    return text[:1].lower() + text[1:]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
