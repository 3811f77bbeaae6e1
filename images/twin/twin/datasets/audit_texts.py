"""What an audit looks for in the texts of one row, whatever the other rows are."""

import re
from collections import Counter
from collections.abc import Callable, Sequence

from twin.datasets.audit_rows import Row
from twin.models.formats.families import KNOWN_MARKS
from twin.text.language import SURE, language_of
from twin.text.personal_data import PersonalDataDetector

#: What a template leaves where nothing was filled in. Code may hold braces: it is looked past.
_PLACEHOLDER = re.compile(
    r"\{\{?\s*[a-z][a-z0-9_]{2,30}\s*\}?\}|<(?:insert|your|placeholder)\b[^<>\n]{0,40}>"
    r"|\[(?:insert|your)\b[^\[\]\n]{0,40}\]",
    re.IGNORECASE,
)
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)

#: How instruction-tuned models speak of themselves, and no author does.
_ASSISTANT = re.compile(
    r"\bas an? (?:ai|artificial intelligence|large language|language)\b"
    r"|\bi(?:'m| am) (?:just |only )?an? (?:ai|language model|virtual assistant)\b"
    r"|\bi (?:do not|don't|cannot|can't) have (?:personal|access to real-time)\b"
    r"|\bmy (?:training data|knowledge cutoff)\b"
    r"|\bi(?:'m| am) sorry, but i (?:can't|cannot)\b"
    r"|\bhow (?:can|may) i (?:assist|help) you\b",
    re.IGNORECASE,
)


def holds_placeholder(text: str) -> bool:
    """Whether a text holds what a template leaves where nothing was filled in."""
    return _PLACEHOLDER.search(_CODE.sub(" ", text)) is not None


def holds_special_token(text: str) -> bool:
    """Whether a text holds a special token of a model family, as text.

    Code is looked past: an author may write about chat templates. The house's own engines show no
    text's marks to a model as tokens; another trainer may.
    """
    return KNOWN_MARKS.search(_CODE.sub(" ", text)) is not None


def is_an_assistants(text: str) -> bool:
    """Whether an assistant speaks in place of the author (in English)."""
    return _ASSISTANT.search(text.replace("\u2019", "'")) is not None


def is_unfilled(row: Row) -> bool:
    """Whether a template's placeholder was left in instruction or answer."""
    return any(map(holds_placeholder, (row.instruction, row.answer)))


def has_special_token(row: Row) -> bool:
    """Whether any of its texts holds a special token of a model family."""
    return any(map(holds_special_token, (row.prompt, row.answer, row.rejected or "")))


def speaks_as_assistant(row: Row) -> bool:
    """Whether an assistant answers in place of the author."""
    return is_an_assistants(row.answer)


def holds_personal_data() -> Callable[[Row], bool]:
    """Whether a row's answer or instruction names someone's address, number or key."""
    detector = PersonalDataDetector()
    return lambda row: bool(detector.counts(row.instruction, row.answer))


def is_in_another_language(rows: Sequence[Row]) -> Callable[[Row], bool]:
    """Whether a row's answer is in another language than most of those that can be told."""
    languages = {id(row): _language(row.answer) for row in rows}
    known = Counter(language for language in languages.values() if language)
    most = known.most_common(1)[0][0] if known else None
    return lambda row: languages[id(row)] not in {None, most}


def _language(text: str) -> str | None:
    code, probability = language_of(text)
    return code if probability >= SURE else None
