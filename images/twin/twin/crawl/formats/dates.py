"""Dates as pages write them: for machines, in digits, and in the words of any language."""

import re
import unicodedata
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

from twin.crawl.formats.markdown import published

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DATE_IN_WORDS = re.compile(
    r"(?P<day>\d{1,2})(?:st|nd|rd|th)?\.?\s+(?:of\s+)?(?P<month>[A-Za-z]{3,9})\.?,?\s+"
    r"(?P<year>(?:19|20)\d\d)"
    r"|(?P<month2>[A-Za-z]{3,9})\.?\s+(?P<day2>\d{1,2})(?:st|nd|rd|th)?,?\s+(?P<year2>(?:19|20)\d\d)"
)
_YEAR_FIRST = re.compile(
    r"(?<!\d)(?P<year>(?:19|20)\d\d)(?:[-/.]|\s?年\s?|\s?년\s?|\.\s)(?P<month>\d{1,2})"
    r"(?:[-/.]|\s?月\s?|\s?월\s?|\.\s)(?P<day>\d{1,2})(?!\d)"
)
_YEAR_LAST = re.compile(
    r"(?<!\d)(?P<first>\d{1,2})(?P<sign>[./-])\s?(?P<second>\d{1,2})(?P=sign)\s?"
    r"(?P<year>(?:19|20)\d\d)(?!\d)"
)
# A day, a month's name and a year in any order and script, with the little words between them.
_IN_ANY_WORDS = re.compile(
    r"(?<!\d)(?P<day>\d{1,2})(?:er|º|ª|\.|\s?日|-?(?:го|е))?\s+(?:(?:de|d|del|di|da|ta|tháng)['’]?\s+)?"  # noqa: RUF001
    r"(?P<month>[^\W\d_][^\s\d,;()]{1,14}|\d{1,2})\.?,?\s+(?:(?:de|del|năm|do)\s+)?(?P<year>\d{4})(?!\d)"
    r"|(?P<year2>\d{4})\.?\s+(?:m\.\s+)?(?P<month2>[^\W\d_][^\s\d,;()]{1,14})\.?\s+(?P<day2>\d{1,2})(?!\d)"
    r"|(?P<month3>[^\W\d_][^\s\d,;()]{1,14})\.?\s+(?P<day3>\d{1,2})\.?,?\s+(?P<year3>\d{4})(?!\d)"
)
_EPOCH = re.compile(r"\d{10}(?:\d{3})?(?:\.\d+)?")
_OFFSET = re.compile(r"(?:GMT|UTC)\s?(?P<offset>[+-]\d{1,2}:?\d{2})")
_IN_BRACKETS = re.compile(r"\s*\([^)]*\)\s*$")
_JAVASCRIPT = re.compile(
    r"^(?:[A-Za-z]{3},?\s+)?(?P<month>[A-Z][a-z]{2})\s+(?P<day>\d{1,2})\s+(?P<year>\d{4})"
    r"\s+(?P<time>\d\d:\d\d:\d\d)(?:\s+(?P<offset>[+-]\d{4}))?"
)
_BUDDHIST_YEARS = 543
_MONTH_FIRST = frozenset({"en-us", "en_us"})
_LAST_MONTH = 12


def moment_of(text: object, language: str | None = None) -> datetime | None:
    """A time from what pages write, in UTC; None if it is none.

    Args:
        text: ISO 8601, RFC 2822, JavaScript's form, seconds or milliseconds since 1970, digits,
            or words.
        language: tag of the page's language: names of months are those of it.
    """
    if isinstance(text, bool):
        return None
    if isinstance(text, int | float):
        return _of_epoch(float(text))
    if not isinstance(text, str):
        return None
    text = " ".join(text.split())
    if _EPOCH.fullmatch(text):
        return _of_epoch(float(text))
    return _for_machines(text) or date_in(text, language)


def _of_epoch(seconds: float) -> datetime | None:
    if seconds >= 1e11:  # milliseconds
        seconds /= 1000
    try:
        return _sane(datetime.fromtimestamp(seconds, UTC)) if seconds >= 1e8 else None
    except (ValueError, OverflowError, OSError):
        return None


def _for_machines(text: str) -> datetime | None:
    if moment := published(re.sub(r"\s+(?=[+-]\d\d:?\d\d$)", "", text)):
        return _sane(moment)
    plain = _OFFSET.sub(lambda match: match["offset"].replace(":", ""), _IN_BRACKETS.sub("", text))
    if match := _JAVASCRIPT.match(plain):
        plain = f"{match['day']} {match['month']} {match['year']} {match['time']} "
        plain += match["offset"] or "+0000"
    try:
        return _sane(parsedate_to_datetime(plain))
    except (ValueError, TypeError, IndexError):
        return None


def date_in(text: str, language: str | None = None) -> datetime | None:
    """The first date within a line, whose day, month and year are all said."""
    text = "".join(
        str(unicodedata.digit(c)) if c.isdigit() and not c.isascii() and c not in "²³¹" else c
        for c in text
    )
    if match := _YEAR_FIRST.search(text):
        return _at(match["year"], match["month"], match["day"])
    if match := _DATE_IN_WORDS.search(text):
        month = (match["month"] or match["month2"])[:3].lower()
        if month in _MONTHS and (language or "en")[:2] == "en":
            year, day = match["year"] or match["year2"], match["day"] or match["day2"]
            return _at(year, str(_MONTHS.index(month) + 1), day)
    if match := _YEAR_LAST.search(text):
        return _of_digits(match, language)
    if match := _IN_ANY_WORDS.search(text):
        day = match["day"] or match["day2"] or match["day3"]
        year = match["year"] or match["year2"] or match["year3"]
        month = match["month"] or match["month2"] or match["month3"]
        return _in_words(
            int(day), month.strip(".").casefold(), int(year), (language or "")[:2].lower()
        )
    return None


def _of_digits(match: re.Match[str], language: str | None) -> datetime | None:
    """Day and month by the sign between them and the language; None where both orders may be."""
    first, second = int(match["first"]), int(match["second"])
    month_first = match["sign"] != "." and (language or "").lower() in _MONTH_FIRST
    doubtful = match["sign"] != "." and (language or "en").lower() == "en"
    if doubtful and first != second and max(first, second) <= _LAST_MONTH:
        return None
    if month_first or second > _LAST_MONTH:
        first, second = second, first
    return _at(match["year"], str(second), str(first))


@lru_cache(maxsize=4_000)
def _in_words(day: int, month: str, year: int, language: str) -> datetime | None:
    """A date by the library that knows the months of 200 languages."""
    import dateparser

    line = f"{day} {month} {year}"
    for languages in ([language], ["en"]) if language else (None,):
        try:
            found = dateparser.parse(
                line,
                languages=languages,
                settings={"REQUIRE_PARTS": ["day", "month", "year"], "DATE_ORDER": "DMY"},
            )
        except ValueError:  # a language that it does not know
            continue
        # Where it read anything else than the day and year that stand there, it guessed.
        if found is not None and (found.day, found.year) == (day, year) and found.tzinfo is None:
            if language == "th" and year > 2400:
                year -= _BUDDHIST_YEARS
            return _at(str(year), str(found.month), str(day))
    return None


def _at(year: str, month: str, day: str) -> datetime | None:
    try:
        return _sane(datetime(int(year), int(month), int(day), tzinfo=UTC))
    except ValueError:
        return None


def _sane(moment: datetime) -> datetime | None:
    """In UTC; None for the years that only a broken page has."""
    try:
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if 1970 < moment.year < 2100 else None
