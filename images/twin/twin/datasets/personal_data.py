"""Personal data in training texts: found by presidio, replaced by typed placeholders.

What a model was trained on it may say to anyone, so e-mail addresses, phone numbers, keys, card
and account numbers go, and the names that a recipe lists; the author's own public name stays.
In code only keys and tokens are replaced: numbers there are not people's.

Texts are looked through with one regular expression first. Presidio takes seconds to load and is
loaded only if something might be there.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from twin.domain.chunk import Chunk
from twin.recipes import PersonalDataSection

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine, RecognizerResult

EMAIL, PHONE, CARD, IBAN, KEY, PERSON = (
    "EMAIL_ADDRESS",
    "PHONE_NUMBER",
    "CREDIT_CARD",
    "IBAN_CODE",
    "SECRET_KEY",
    "PERSON",
)

#: Letters of addresses: Latin ones with accents, Greek, Cyrillic. What may not stand before them is
#: said, since \b sees no border between a letter and Chinese.
_LETTER = "A-Za-z\u00c0-\u04ff"
_EMAIL = (
    rf"(?<![{_LETTER}0-9._%+-])[{_LETTER}0-9._%+-]{{1,64}}"
    rf"@(?:[{_LETTER}0-9-]{{1,63}}\.)+[{_LETTER}]{{2,24}}(?![{_LETTER}])"
)
_START, _END = r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])"

#: Credentials by the form that their makers gave them.
_KEYS = {
    "AWS access key": rf"{_START}(?:AKIA|ASIA)[0-9A-Z]{{16}}{_END}",
    "AWS secret key": (
        r"(?i:aws_secret_access_key)[\"']?\s{0,3}[=:]\s{0,3}[\"']?[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])"
    ),
    "GitHub token": (
        rf"{_START}(?:gh[pousr]_[A-Za-z0-9]{{36,255}}|github_pat_[A-Za-z0-9_]{{22,255}}){_END}"
    ),
    "GitLab token": rf"{_START}glpat-[A-Za-z0-9_-]{{20,}}",
    "Slack token": rf"{_START}xox[abprs]-[A-Za-z0-9-]{{10,}}",
    "API key": rf"{_START}(?:sk|pk|rk)[-_](?:[a-z]+[-_])*[A-Za-z0-9_-]{{20,}}",
    "Google API key": rf"{_START}AIza[0-9A-Za-z_-]{{35}}",
    "Hugging Face token": rf"{_START}hf_[A-Za-z0-9]{{30,}}{_END}",
    "npm token": rf"{_START}npm_[A-Za-z0-9]{{36}}{_END}",
    "PyPI token": rf"{_START}pypi-[A-Za-z0-9_-]{{50,}}",
    "SendGrid key": rf"{_START}SG\.[A-Za-z0-9_-]{{22}}\.[A-Za-z0-9_-]{{43}}",
    "JSON Web Token": (
        rf"{_START}eyJ[A-Za-z0-9_-]{{8,}}\.eyJ[A-Za-z0-9_-]{{8,}}\.[A-Za-z0-9_-]{{8,}}"
    ),
    "bearer token": rf"{_START}Bearer (?=[A-Za-z._~+/-]*\d)[A-Za-z0-9._~+/-]{{20,}}=*",
    "password in a URL": r"://[^\s/:@?#]{1,64}:[^\s/@?#]{3,128}@[^\s/?#]{1,255}",
    "private key": (
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    ),
}

#: An international number, or one with an area code in brackets, or groups of three and four.
_PHONE = (
    r"(?<![A-Za-z0-9.])\+\d[\d ().-]{6,18}\d\b"
    r"|(?<![A-Za-z0-9(])\(\d{2,5}\)[ ./-]?\d[\d ./-]{4,14}\d\b"
    r"|(?<![A-Za-z0-9_.-])\d{3}[ -]\d{3}[ -]\d{4}\b(?![.-]?\w)"
)
_ACCOUNTS = r"\b(?:\d[ -]?){13,19}\b|\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b"
_MAYBE = re.compile("|".join((_EMAIL, *_KEYS.values(), _PHONE, _ACCOUNTS)))

#: Scripts whose words no blank sets apart, so that a name stands between other letters.
_UNSPACED = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]")

_CODE = re.compile(
    r"^(?:[^\S\n]|>)*(`{3,}|~{3,}).*?(?:^(?:[^\S\n]|>)*\1|\Z)|`[^`\n]+`|^(?: {4}|\t).*$",
    re.MULTILINE | re.DOTALL,
)


@dataclass
class Redactor:
    """Replaces personal data as a recipe wants it.

    ``counts`` has what was replaced so far, by kind.
    """

    knobs: PersonalDataSection
    author_name: str
    counts: Counter[str] = field(default_factory=Counter)

    def chunk(self, chunk: Chunk) -> Chunk:
        """The chunk with its text, title and headings redacted."""
        text, title = self.text(chunk.text), self.text(chunk.title)
        headings = tuple(self.text(heading) for heading in chunk.headings)
        if (text, title, headings) == (chunk.text, chunk.title, chunk.headings):
            return chunk
        return chunk.model_copy(update={"text": text, "title": title, "headings": headings})

    def text(self, text: str) -> str:
        """The text with ``[EMAIL_ADDRESS]`` and the like in place of personal data."""
        if not self.knobs.redact or not (_MAYBE.search(text) or self._names_in(text)):
            return text
        found = self._found(text)
        if not found:
            return text
        from presidio_anonymizer import AnonymizerEngine

        self.counts.update(result.entity_type for result in found)
        operators = {kind: _placeholder(kind) for kind in {item.entity_type for item in found}}
        anonymised = AnonymizerEngine().anonymize(text, found, operators)
        return str(anonymised.text)

    def _found(self, text: str) -> "list[RecognizerResult]":
        """What is there, the longest first where two overlap, without what is to stay."""
        code = [match.span() for match in _CODE.finditer(text)]
        results = self._analyzer.analyze(
            text, language="en", entities=list(self.knobs.kinds), allow_list=[self.author_name]
        )
        kept: list[RecognizerResult] = []
        for result in sorted(results, key=lambda item: (item.start - item.end, item.start)):
            in_code = any(start <= result.start < end for start, end in code)
            if (in_code and result.entity_type != KEY) or self._is_authors(text, result):
                continue
            if all(result.end <= other.start or other.end <= result.start for other in kept):
                kept.append(result)
        return sorted(kept, key=lambda item: item.start)

    def _is_authors(self, text: str, result: "RecognizerResult") -> bool:
        words = self.author_name.casefold().split()
        return result.entity_type == PERSON and (
            text[result.start : result.end].casefold() in {*words, " ".join(words)}
        )

    def _names_in(self, text: str) -> bool:
        folded = text.casefold()
        return any(name.casefold() in folded for name in self.knobs.names)

    @cached_property
    def _analyzer(self) -> "AnalyzerEngine":
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry

        return AnalyzerEngine(
            registry=RecognizerRegistry(
                recognizers=_recognizers(self.knobs.names), supported_languages=["en"]
            ),
            nlp_engine=_blank_engine(),
            supported_languages=["en"],
        )


def _recognizers(names: Sequence[str]) -> list[Any]:
    """Patterns with checksums where there are any; none asks the network or a language model."""
    from presidio_analyzer import Pattern, PatternRecognizer
    from presidio_analyzer.predefined_recognizers import CreditCardRecognizer, IbanRecognizer

    keys = [Pattern(name, pattern, 1.0) for name, pattern in _KEYS.items()]
    # Presidio's own looks up public suffixes on the network, and its phone numbers take any
    # digits for a number of some country: versions, dates and addresses of machines too.
    found: list[Any] = [
        PatternRecognizer(EMAIL, name="e-mail", patterns=[Pattern("e-mail", _EMAIL, 1.0)]),
        PatternRecognizer(KEY, name="key", patterns=keys, global_regex_flags=re.MULTILINE),
        PatternRecognizer(PHONE, name="phone", patterns=[Pattern("phone", _PHONE, 0.6)]),
        CreditCardRecognizer(),
        IbanRecognizer(),
    ]
    unspaced = [name for name in names if _UNSPACED.search(name)]
    if spaced := [name for name in names if name not in unspaced]:
        found.append(PatternRecognizer(PERSON, name="names", deny_list=spaced))
    if unspaced:
        inside = [Pattern(name, re.escape(name), 1.0) for name in unspaced]
        found.append(PatternRecognizer(PERSON, name="names in running text", patterns=inside))
    return found


def _blank_engine() -> Any:
    """Presidio's engine on a pipeline that only cuts words: no language model is installed."""
    import spacy
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    engine = SpacyNlpEngine(models=[{"lang_code": "en", "model_name": "blank"}])
    engine.nlp = {"en": spacy.blank("en")}
    return engine


def _placeholder(kind: str) -> Any:
    from presidio_anonymizer.entities import OperatorConfig

    return OperatorConfig("replace", {"new_value": f"[{kind}]"})
