"""Phone numbers, by Google's rules of every country (the library phonenumbers).

A number with its country's prefix is one anywhere. How a country writes numbers without it is
looked for where the text's language is spoken, and only as people write them, group by group
(the library's strict grouping): that leaves page ranges, dates, versions and decimals alone.
"""

import re
from collections.abc import Iterator

_BETWEEN = r"[ \u00a0.()/\u2010-\u2015-]{0,3}"

#: Seven digits with little between them: what costs a look, since the library takes a millisecond.
_DIGITS = re.compile(rf"\d(?:{_BETWEEN}\d){{6,}}")

LONGEST_RUN = 200
"""Characters of digits in a row that are looked at: longer ones are tables and constants."""

_AROUND = 24
"""Characters to each side of them by which the library tells a number from a citation or a sum."""

#: A number without separators is one only where its prefix says so; others are ids and amounts.
_BARE = re.compile(r"[1-9]\d*")

#: Where a language is spoken, as ISO 3166 codes: what most of its writers would leave unprefixed.
#: From CLDR's territories of at least a fifth of the language's speakers, and smaller neighbours.
_REGIONS = {
    "ar": "EG SA AE", "bg": "BG", "bn": "BD", "cs": "CZ", "da": "DK", "de": "DE AT CH", "el": "GR",
    "en": "US GB", "es": "ES MX AR", "et": "EE", "fa": "IR", "fi": "FI", "fr": "FR BE CH",
    "he": "IL", "hi": "IN", "hr": "HR", "hu": "HU", "id": "ID", "is": "IS", "it": "IT CH",
    "ja": "JP", "km": "KH", "ko": "KR", "lo": "LA", "lt": "LT", "lv": "LV", "my": "MM",
    "nb": "NO", "nl": "NL BE", "no": "NO", "pl": "PL", "pt": "BR PT", "ro": "RO", "ru": "RU",
    "sk": "SK", "sl": "SI", "sr": "RS", "sv": "SE FI", "th": "TH", "tr": "TR", "uk": "UA",
    "vi": "VN", "zh": "CN TW HK",
}  # fmt: skip


def phone_numbers(text: str, language: str | None = None) -> Iterator[tuple[int, int]]:
    """Where phone numbers stand, in no order; what two countries share comes twice, or in part.

    Args:
        text: to look in.
        language: of the text (ISO 639-1), for numbers without a country's prefix; not known, they
            are read as English texts have them.
    """
    regions = _REGIONS.get(language or "en", "ZZ").split()
    for run in _DIGITS.finditer(text):
        if run.end() - run.start() > LONGEST_RUN:
            continue
        start = max(0, run.start() - _AROUND)
        window = text[start : run.end() + _AROUND]
        for region in regions:
            for begin, end in _in_window(window, region):
                yield start + begin, start + end


def _in_window(window: str, region: str) -> Iterator[tuple[int, int]]:
    from phonenumbers import Leniency, PhoneNumberMatcher

    for match in PhoneNumberMatcher(window, region, Leniency.STRICT_GROUPING):
        if not _BARE.fullmatch(match.raw_string):
            said = match.raw_string
            is_enclosed = said.startswith("(") and said.count("(") > said.count(")")
            yield match.start + is_enclosed, match.end
