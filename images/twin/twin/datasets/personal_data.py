"""Personal data in training texts: found by presidio, replaced by typed placeholders.

What a model was trained on it may say to anyone, so e-mail addresses, phone numbers, keys, card
and account numbers go, and the names that a recipe lists; the author's own public name stays.
In code only keys and tokens are replaced: numbers there are not people's.

What it looks for are the rules of `twin.domain.personal_data`, by which the index notes what its
passages hold. They are tried without presidio first, which takes seconds to load and is loaded only
if something looks like personal data.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from twin.domain.account_numbers import has_iban_checksum
from twin.domain.chunk import Chunk
from twin.domain.personal_data import (
    CARD,
    IBAN,
    Find,
    PersonalDataDetector,
    PersonalDataKind,
    Rule,
    without_overlaps,
)
from twin.recipes import PersonalDataSection

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine, RecognizerResult


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
        if not self.knobs.redact or not self._detector.suspects(text):
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
        results = self._analyzer.analyze(text, language="en", entities=list(self.knobs.kinds))
        found = {Find(item.start, item.end, item.entity_type): item for item in results}
        return [found[find] for find in without_overlaps(text, found, self.author_name)]

    @cached_property
    def _detector(self) -> PersonalDataDetector:
        return PersonalDataDetector(self.knobs.names, self.author_name)

    @cached_property
    def _analyzer(self) -> "AnalyzerEngine":
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry

        return AnalyzerEngine(
            registry=RecognizerRegistry(
                recognizers=_recognizers(self._detector.rules), supported_languages=["en"]
            ),
            nlp_engine=_blank_engine(),
            supported_languages=["en"],
        )


def _recognizers(rules: Sequence[Rule]) -> list[Any]:
    """Patterns with checksums where there are any; none asks the network or a language model."""
    by_kind: dict[PersonalDataKind, list[Rule]] = {}
    for rule in rules:
        by_kind.setdefault(rule.kind, []).append(rule)
    return [_recognizer(kind, of_kind) for kind, of_kind in by_kind.items()]


def _recognizer(kind: PersonalDataKind, rules: Sequence[Rule]) -> Any:
    """Presidio's own for e-mails looks up public suffixes on the network, its phone numbers take
    any digits for a number of some country (versions, dates and addresses of machines too), and
    its accounts are those of fewer countries.
    """
    from presidio_analyzer import Pattern, PatternRecognizer
    from presidio_analyzer.predefined_recognizers import CreditCardRecognizer

    class AccountRecognizer(PatternRecognizer):  # type: ignore[misc] # presidio is untyped
        def validate_result(self, pattern_text: str) -> bool:
            return has_iban_checksum(pattern_text)

    score = 0.3 if kind in {CARD, IBAN} else 1.0  # a checksum that is right makes it 1
    patterns = [Pattern(rule.name, rule.pattern, score) for rule in rules]
    if kind == CARD:
        found: Any = CreditCardRecognizer(patterns=patterns)
    else:
        make = AccountRecognizer if kind == IBAN else PatternRecognizer
        found = make(kind, name=kind, patterns=patterns)
    found.global_regex_flags = rules[0].flags
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
