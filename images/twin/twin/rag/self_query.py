"""Filters read from a question by rules: date, kind, platform, language, author.

Only phrases that speak of the texts themselves are read ("posts from 2023 about …", "since March
2024", "what did you write in 2022 on …"); a year that is merely mentioned is a word like any
other. A rule may narrow a search and nothing else: it creates nothing, asks no store, and what it
does not know stays in the question.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from twin.stores.index import FILTER_FIELDS, ChunkFilter

_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
_MONTH = "(?:" + "|".join(f"{name}|{name[:3]}\\.?" for name in _MONTHS) + ")"
_DAY = r"(?:\d{4}-\d{2}-\d{2})"
_MOMENT = rf"(?:{_DAY}|\d{{4}}-\d{{2}}|{_MONTH}\s+(?:19|20)\d{{2}}|(?:19|20)\d{{2}})(?![\w-])"

#: Words for texts, and the kinds that they ask for; an empty one asks for any.
KINDS: Mapping[str, tuple[str, ...]] = {
    "texts?": (),
    "writings?": (),
    "pieces?": (),
    "articles?": ("article",),
    "essays?": ("article",),
    "blog posts?": ("article", "post"),
    "posts?": ("article", "post"),
    "repositor(?:y|ies)": ("code",),
    "code": ("code",),
    "transcripts?": ("transcript",),
    "talks?": ("transcript",),
    "videos?": ("transcript",),
}
LANGUAGES: Mapping[str, str] = {
    "english": "en",
    "german": "de",
    "french": "fr",
    "spanish": "es",
    "italian": "it",
    "portuguese": "pt",
    "dutch": "nl",
    "polish": "pl",
    "russian": "ru",
    "chinese": "zh",
    "japanese": "ja",
    "korean": "ko",
    "arabic": "ar",
    "hebrew": "he",
}
PLATFORMS: Mapping[str, str] = {
    "medium": "medium",
    "substack": "substack",
    "linkedin": "linkedin",
    "github": "github",
    "youtube": "youtube",
}

_TEXTS = "(?:" + "|".join(KINDS) + ")"
_WROTE = r"(?:wrote|write|written|writing|said|say|published|publish|posted|post)"
_LANGUAGE = "(?:" + "|".join(LANGUAGES) + ")"
_PLATFORM = "(?:" + "|".join(PLATFORMS) + ")"


_BETWEEN = rf"\b(?:between|from)\s+({_MOMENT})\s+(?:and|to|until|till)\s+({_MOMENT})"


def _start(moment: str) -> datetime:
    return _span(moment)[0]


def _end(moment: str) -> datetime:
    return _span(moment)[1]


_STARTS = {
    rf"\b(?:since|as of|starting(?: in)?)\s+({_MOMENT})": _start,
    rf"\b(?:from|in)\s+({_MOMENT})\s+(?:onwards?|or later)\b": _start,
    rf"\bafter\s+({_MOMENT})": _end,
}
_ENDS = {
    rf"\b(?:before|prior to)\s+({_MOMENT})": _start,
    rf"\b(?:until|till|up to)\s+({_MOMENT})": _end,
}


@dataclass(frozen=True)
class Understood:
    """What is searched for, and among which chunks; ``filter`` is None where nothing was read."""

    text: str
    filter: ChunkFilter | None = None


def understand(question: str, authors: Mapping[str, str] | None = None) -> Understood:
    """Take the filters out of a question.

    Args:
        question: as asked.
        authors: names to ids of the authors there are.

    The text searched for is the question without the phrases that became filters, or all of it
    if no word would be left.
    """
    reading = _Reading(question)
    reading.dates()
    reading.languages()
    reading.platforms()
    reading.authors(authors or {})
    reading.kinds()
    return reading.result()


class _Reading:
    def __init__(self, question: str) -> None:
        self.question = question
        self.rest = question
        self.equal: dict[str, tuple[str, ...]] = {}
        self.start: datetime | None = None
        self.end: datetime | None = None
        #: Whether a phrase has shown that the question is about some of the texts.
        self.about_texts = bool(re.search(rf"\b(?:{_TEXTS}|{_WROTE})\b", question, re.IGNORECASE))

    def dates(self) -> None:
        if found := self._take(_BETWEEN):
            self.start, self.end = _start(found[1]), _end(found[2])
            return
        for pattern, moment_of in _STARTS.items():
            if found := self._take(pattern):
                self.start = moment_of(found[1])
        for pattern, moment_of in _ENDS.items():
            if found := self._take(pattern):
                self.end = moment_of(found[1])
        if not (self.start or self.end) and self.about_texts:
            self._date_of_texts()

    def _date_of_texts(self) -> None:
        """A moment without "since" or "before", which only beside a word for texts is a date."""
        found = self._take(rf"\b(?:from|in|of|during)\s+({_MOMENT})") or (
            self._take(rf"\b({_MOMENT})(?=\s+{_TEXTS}\b)")
        )
        if found:
            self.start, self.end = _span(found[1])

    def languages(self) -> None:
        found = self._take(rf"\b({_LANGUAGE})(?=(?:[ -]language)?\s+{_TEXTS}\b)") or (
            self._take(rf"\b(?:{_WROTE}|{_TEXTS})\s+in\s+({_LANGUAGE})\b")
        )
        if found:
            self._set("language", (LANGUAGES[found[1].lower()],))

    def platforms(self) -> None:
        found = self._take(rf"\b({_PLATFORM})(?=\s+{_TEXTS}\b)")
        if not found and self.about_texts:
            found = self._take(rf"\b(?:on|from|in)\s+(?:(?:your|my|the)\s+)?({_PLATFORM})\b")
        if found:
            self._set("platform", (PLATFORMS[found[1].lower()],))

    def authors(self, known: Mapping[str, str]) -> None:
        for name, id_ in known.items():
            own = re.escape(name)
            if self._take(rf"\b{_TEXTS}(?P<keep>\s+(?:written\s+)?(?:by|from|of)\s+{own})\b") or (
                self._take(rf"\bwhat\s+(?:did|has|does)\s+{own}\s+{_WROTE}\b")
            ):
                self._set("author_id", (id_,))

    def kinds(self) -> None:
        """Of the words for texts the first counts, where it stands as what is asked for."""
        words = "|".join(f"(?:{word})" for word in KINDS)
        asked = r"^\W*(?:(?:show|find|list|give)\s+(?:me\s+)?)?(?:all\s+|any\s+|your\s+|the\s+)*"
        pattern = rf"{asked}({words})\s+(?:about|on|that|which|mentioning|discussing)\b"
        if found := re.search(pattern, " ".join(self.rest.split()), re.IGNORECASE):
            kinds = next(v for word, v in KINDS.items() if re.fullmatch(word, found[1].lower()))
            if kinds:
                self._set("kind", kinds)
            self.rest = " ".join(self.rest.split())[found.end() :]

    def result(self) -> Understood:
        start, end = self.start, self.end
        if start and end and start >= end:
            return Understood(self.question)
        if not (self.equal or start or end):
            return Understood(self.question)
        text = " ".join(self.rest.split()).strip(" ,;:")
        text = re.sub(r"^(?:about|on)\s+", "", text)
        words = re.search(r"[^\W_]{2}", text)
        chosen = ChunkFilter(self.equal, published_from=start, published_before=end)
        return Understood(text if words else self.question, chosen)

    def _set(self, field: str, values: tuple[str, ...]) -> None:
        """Only of fields that chunks can be filtered by."""
        if field in FILTER_FIELDS:
            self.equal[field] = values

    def _take(self, pattern: str) -> re.Match[str] | None:
        """Find a phrase and cut it out; of one with a part named keep, only that part."""
        found = re.search(pattern, self.rest, re.IGNORECASE)
        if found:
            start, end = found.span("keep" if "keep" in found.groupdict() else 0)
            self.rest = f"{self.rest[:start]} {self.rest[end:]}"
        return found


def _span(moment: str) -> tuple[datetime, datetime]:
    """The first moment of a day, month or year, and that of the next one.

    A day that no calendar has counts as its month, a month that none has as its year.
    """
    numbers = [int(part) for part in re.findall(r"\d+", moment)]
    named = re.match(r"[a-z]{3}", moment.lower())
    if named:
        month = next(n for n, name in enumerate(_MONTHS, 1) if name.startswith(named[0]))
        numbers = [numbers[0], month]
    year, month, day = (*numbers, 0, 0)[:3]
    if day:
        try:
            first = datetime(year, month, day, tzinfo=UTC)
        except ValueError:
            return _span(f"{year}-{month:02d}")
        return first, datetime.fromtimestamp(first.timestamp() + 86_400, tz=UTC)
    if 1 <= month <= 12:
        following = (year + month // 12, month % 12 + 1)
        return datetime(year, month, 1, tzinfo=UTC), datetime(*following, 1, tzinfo=UTC)
    return datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
