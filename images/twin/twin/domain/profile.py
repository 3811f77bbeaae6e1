"""How somebody likes to be answered: the manner, and never what is said.

A profile belongs to a key of the endpoint or comes with a request. It is short, of letters, and
its language is one of a list, so that it can hold no instruction of any length.
"""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

MOST_TONE_CHARACTERS = 60

#: Letters of any script, blanks, and what joins words; no mark of a sentence, a tag or a template.
TONE = r"^[^\W\d_]+(?:[ ,'-]{1,2}[^\W\d_]+)*$"

#: ISO 639-1 codes and what a prompt calls them.
LANGUAGES = {
    "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "ca": "Catalan", "cs": "Czech",
    "da": "Danish", "de": "German", "el": "Greek", "en": "English", "es": "Spanish",
    "et": "Estonian", "fa": "Persian", "fi": "Finnish", "fr": "French", "he": "Hebrew",
    "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian", "id": "Indonesian", "it": "Italian",
    "ja": "Japanese", "ko": "Korean", "lt": "Lithuanian", "lv": "Latvian", "nb": "Norwegian",
    "nl": "Dutch", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian",
    "sk": "Slovak", "sl": "Slovenian", "sr": "Serbian", "sv": "Swedish", "th": "Thai",
    "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip


class Length(StrEnum):
    """How much is said at a time."""

    SHORT = "short"
    MEDIUM = "medium"
    LONG = "long"


class Profile(BaseModel):
    """A manner to be answered in; what is unset is as the author writes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tone: Annotated[str, Field(max_length=MOST_TONE_CHARACTERS, pattern=TONE)] | None = Field(
        default=None, description="in words, as in: warm, for beginners"
    )
    length: Length | None = None
    language: str | None = Field(
        default=None, description=f"of the answer, one of {', '.join(LANGUAGES)}"
    )

    @field_validator("language")
    @classmethod
    def _is_known(cls, code: str | None) -> str | None:
        if code is not None and code not in LANGUAGES:
            raise ValueError(f"must be one of {', '.join(LANGUAGES)}")
        return code

    def over(self, other: "Profile | None") -> Self:
        """This one, and of the other what this one leaves open."""
        if other is None:
            return self
        return self.model_validate({**other.model_dump(), **self.model_dump(exclude_none=True)})
