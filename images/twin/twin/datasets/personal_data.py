"""Personal data in training texts: replaced by typed placeholders.

What a model was trained on it may say to anyone, so e-mail addresses, phone numbers, keys, card
and account numbers go, and the names that a recipe lists; the author's own public name stays.
In code only keys and tokens are replaced: numbers there are not people's.

What is found are the items of `twin.text.personal_data`, by which the index notes what its
passages hold.
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

from twin.domain.chunk import Chunk
from twin.recipes import PersonalDataSection
from twin.text.personal_data import PersonalDataDetector, redacted


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
        text, title = (self.text(part, chunk.language) for part in (chunk.text, chunk.title))
        headings = tuple(self.text(heading, chunk.language) for heading in chunk.headings)
        if (text, title, headings) == (chunk.text, chunk.title, chunk.headings):
            return chunk
        return chunk.model_copy(update={"text": text, "title": title, "headings": headings})

    def text(self, text: str, language: str | None = None) -> str:
        """The text with ``[EMAIL_ADDRESS]`` and the like in place of personal data."""
        if not self.knobs.redact:
            return text
        without, counts = redacted(text, self._detector, self.knobs.kinds, language)
        self.counts.update(counts)
        return without

    @cached_property
    def _detector(self) -> PersonalDataDetector:
        return PersonalDataDetector(self.knobs.names, self.author_name)
