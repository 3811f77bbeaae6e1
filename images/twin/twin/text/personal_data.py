"""Personal data in texts: what counts as such, and where it stands.

E-mail addresses, phone numbers, keys, card and account numbers, and the names that a recipe lists;
the author's own public name is none. In code only keys and tokens are looked for: numbers there
are not people's.

The rules are patterns with a checksum where there is one, and for phone numbers those of every
country. They stand here once: the chunker notes by them what a passage holds, and the redactor of
training texts replaces what they find.
"""

import hashlib
import re
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from twin.text.account_numbers import (
    CARD_PATTERN,
    IBAN_PATTERN,
    has_card_checksum,
    has_iban_checksum,
)
from twin.text.phones import phone_numbers

PersonalDataKind = Literal[
    "EMAIL_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD", "IBAN_CODE", "SECRET_KEY", "PERSON"
]

EMAIL: PersonalDataKind = "EMAIL_ADDRESS"
PHONE: PersonalDataKind = "PHONE_NUMBER"
CARD: PersonalDataKind = "CREDIT_CARD"
IBAN: PersonalDataKind = "IBAN_CODE"
KEY: PersonalDataKind = "SECRET_KEY"
PERSON: PersonalDataKind = "PERSON"

VERSION = 2
"""Raised whenever something else would be found in the same text; so is the `MAKER` of
`twin.datasets.make`, since then something else is redacted."""


@dataclass(frozen=True)
class Rule:
    """How items of one kind are written.

    Attributes:
        kind: what they are.
        name: which of that kind.
        pattern: of an item.
        cue: a pattern that is quick to look for, and without which there is no item.
        flags: that both are compiled with.
        holds: tells an item from what only looks like one; None where nothing can.
    """

    kind: PersonalDataKind
    name: str
    pattern: str
    cue: str
    flags: re.RegexFlag = re.MULTILINE
    holds: Callable[[str], bool] | None = None

    def looks(self, text: str) -> Iterator[re.Match[str]]:
        """What looks like an item, in order, its checksum not asked for."""
        if self._compiled_cue.search(text):
            yield from self._compiled.finditer(text)

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, self.flags)

    @cached_property
    def _compiled_cue(self) -> re.Pattern[str]:
        return re.compile(self.cue, self.flags)


class Find(NamedTuple):
    """Where an item stands in a text, and of which kind it is; not what it says."""

    start: int
    end: int
    kind: str


#: Letters of addresses: Latin ones with accents, Greek, Cyrillic. What may not stand before them is
#: said, since \b sees no border between a letter and Chinese.
_LETTER = "A-Za-z\u00c0-\u04ff"
_EMAIL = (
    rf"(?<![{_LETTER}0-9._%+-])[{_LETTER}0-9._%+-]{{1,64}}"
    rf"@(?:[{_LETTER}0-9-]{{1,63}}\.)+[{_LETTER}]{{2,24}}(?![{_LETTER}])"
    # A remote of git or scp names a path on a host: git@github.com:me/x.git
    r"(?!:[A-Za-z0-9_-]{0,100}[/.~][A-Za-z0-9_~/-])"
)
_START, _END = r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])"

#: What no name and no number may go on with: letters, marks and digits of scripts that set words
#: apart. They are listed since \w counts Chinese letters as part of the word beside them.
_WORD = (
    r"A-Za-z0-9_\u00c0-\u0559\u0591-\u05bd\u05bf-\u05f2\u0610-\u061a\u0620-\u0669\u066e-\u06d3"
    r"\u06d5-\u0963\u0966-\u0dff\u0f00-\u1fff"
)
_BLANK = r"\x00-\x20\x7f-\xa0\u2000-\u200f\u2028-\u202f\u3000"

#: Credentials by the form that their makers gave them: cue and pattern.
_KEYS = {
    "AWS access key": ("AKIA|ASIA", rf"{_START}(?:AKIA|ASIA)[0-9A-Z]{{16}}{_END}"),
    "AWS secret key": (
        "(?i:_secret_access_key)",
        r"(?i:aws_secret_access_key)[\"']?[ \t\n]{0,3}[=:][ \t\n]{0,3}[\"']?"
        r"[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])",
    ),
    "GitHub token": (
        "gh[pousr]_|github_pat_",
        rf"{_START}(?:gh[pousr]_[A-Za-z0-9]{{36,255}}|github_pat_[A-Za-z0-9_]{{22,255}}){_END}",
    ),
    "GitLab token": ("glpat-", rf"{_START}glpat-[A-Za-z0-9_-]{{20,}}"),
    "Slack token": ("xox[abprs]-", rf"{_START}xox[abprs]-[A-Za-z0-9-]{{10,}}"),
    "API key": ("[spr]k[-_]", rf"{_START}(?:sk|pk|rk)[-_](?:[a-z]+[-_])*[A-Za-z0-9_-]{{20,}}"),
    "Google API key": ("AIza", rf"{_START}AIza[0-9A-Za-z_-]{{35}}"),
    "Hugging Face token": ("hf_", rf"{_START}hf_[A-Za-z0-9]{{30,}}{_END}"),
    "npm token": ("npm_", rf"{_START}npm_[A-Za-z0-9]{{36}}{_END}"),
    "PyPI token": ("pypi-", rf"{_START}pypi-[A-Za-z0-9_-]{{50,}}"),
    "SendGrid key": (r"SG\.", rf"{_START}SG\.[A-Za-z0-9_-]{{22}}\.[A-Za-z0-9_-]{{43}}"),
    # Each of its parts has an end, or a run of such beginnings would be read once for each.
    "JSON Web Token": (
        r"\.eyJ",
        rf"{_START}eyJ[A-Za-z0-9_-]{{8,2000}}\.eyJ[A-Za-z0-9_-]{{8,8000}}\.[A-Za-z0-9_-]{{8,}}",
    ),
    "bearer token": (
        "Bearer ",
        rf"{_START}Bearer (?=[A-Za-z._~+/-]*\d)[A-Za-z0-9._~+/-]{{20,}}=*",
    ),
    "password in a URL": (
        "://",
        rf"://[^{_BLANK}/:@?#]{{1,64}}:[^{_BLANK}/@?#]{{3,128}}@[^{_BLANK}/?#]{{1,255}}",
    ),
    "private key": (
        "-----BEGIN ",
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    ),
}

RULES: tuple[Rule, ...] = (
    Rule(EMAIL, "e-mail", _EMAIL, "@"),
    *(Rule(KEY, name, pattern, cue) for name, (cue, pattern) in _KEYS.items()),
    Rule(CARD, "card", CARD_PATTERN, r"\d\d\d[ -]?\d\d\d", holds=has_card_checksum),
    Rule(IBAN, "account", IBAN_PATTERN, r"[A-Z][A-Z]\d\d[ -]?[A-Z0-9]", holds=has_iban_checksum),
)
"""Of everything but names and phone numbers."""

#: Scripts whose words no blank sets apart, so that a name stands between other letters.
_UNSPACED = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]")

_CODE = re.compile(
    r"^(?:[^\S\n]|>)*(`{3,}|~{3,}).*?(?:^(?:[^\S\n]|>)*\1|\Z)|`[^`\n]+`|^(?: {4}|\t)[^\n]*$",
    re.MULTILINE | re.DOTALL,
)


def rules_of_names(names: Sequence[str]) -> tuple[Rule, ...]:
    """Rules for people: of two names that begin alike the longer one first, in any case."""
    ordered = sorted(names, key=lambda name: (-len(name), name))
    unspaced = [name for name in ordered if _UNSPACED.search(name)]
    spaced = [name for name in ordered if name not in unspaced]
    return (
        *_rule_of_names("names", spaced, rf"(?<![{_WORD}])", rf"(?![{_WORD}])"),
        *_rule_of_names("names in running text", unspaced),
    )


def _rule_of_names(
    name: str, people: Sequence[str], before: str = "", after: str = ""
) -> tuple[Rule, ...]:
    if not people:
        return ()
    either = "|".join(map(re.escape, people))
    flags = re.MULTILINE | re.IGNORECASE
    return (Rule(PERSON, name, f"{before}(?:{either}){after}", either, flags),)


def without_overlaps(text: str, finds: Iterable[Find], author_name: str) -> list[Find]:
    """Of what was found in a text what counts, in order.

    In code only keys do, the author's own name never does, and of two items that overlap the
    longer one does.
    """
    code = [match.span() for match in _CODE.finditer(text)]
    own = author_name.casefold().split()
    kept: list[Find] = []
    for find in sorted(finds, key=lambda item: (item.start - item.end, item.start, item.kind)):
        before = bisect_right(code, (find.start, len(text)))
        in_code = before > 0 and find.start < code[before - 1][1]
        if (in_code and find.kind != KEY) or _is_authors(text, find, author_name, own):
            continue
        place = bisect_right(kept, find)
        clear = place == 0 or kept[place - 1].end <= find.start
        if clear and (place == len(kept) or find.end <= kept[place].start):
            insort(kept, find)
    return kept


def _is_authors(text: str, find: Find, author_name: str, own: list[str]) -> bool:
    said = text[find.start : find.end]
    if find.kind == PERSON and said.casefold() in {*own, " ".join(own)}:
        return True
    return said == author_name


@dataclass(frozen=True)
class PersonalDataDetector:
    """Finds personal data by the rules alone: no library to load, no model, no network.

    Attributes:
        names: of people, as a recipe lists them.
        author_name: whose own name is none of them.
    """

    names: tuple[str, ...] = ()
    author_name: str = ""

    def finds(self, text: str, language: str | None = None) -> list[Find]:
        """What stands in a text, in order.

        Args:
            text: to look in.
            language: its language (ISO 639-1), which tells how phone numbers are written.
        """
        found = [
            Find(*match.span(), rule.kind)
            for rule in self.rules
            for match in rule.looks(text)
            if rule.holds is None or rule.holds(match.group())
        ]
        found += [Find(*span, PHONE) for span in set(phone_numbers(text, language))]
        return without_overlaps(text, found, self.author_name) if found else []

    def counts(self, *texts: str, language: str | None = None) -> Counter[str]:
        """How many items of each kind stand in these texts, all of one language."""
        return Counter(find.kind for text in texts for find in self.finds(text, language))

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """Those of everybody, and those of the names."""
        return (*RULES, *rules_of_names(self.names))

    @cached_property
    def digest(self) -> str:
        """Short name (8 hex digits) of all that decides what is found."""
        text = "\n".join((str(VERSION), self.author_name, *sorted(self.names)))
        return hashlib.sha256(text.encode()).hexdigest()[:8]


def redacted(
    text: str,
    detector: PersonalDataDetector,
    kinds: Collection[str],
    language: str | None = None,
) -> tuple[str, Counter[str]]:
    """A text with ``[EMAIL_ADDRESS]`` and the like in place of personal data.

    Args:
        text: to look in.
        detector: finds it.
        kinds: of it that are replaced.
        language: the text's (ISO 639-1), which tells how phone numbers are written.

    Returns:
        The text, and how many items of each kind were replaced.
    """
    parts, position, counts = [], 0, Counter[str]()
    for find in detector.finds(text, language):
        if find.kind in kinds:
            parts += [text[position : find.start], f"[{find.kind}]"]
            position = find.end
            counts[find.kind] += 1
    return "".join([*parts, text[position:]]), counts
