"""Keys that callers of the endpoint present: what one may do, and its text.

The text is shown to a person once; of it only the SHA-256 is kept, which tells nobody the key since
it is drawn from 256 bits of chance.
"""

import hashlib
import secrets
import string
import uuid
import zlib
from datetime import datetime
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from twin.domain.profile import Profile

#: What scanners for secrets in repositories look for.
PREFIX = "twin_"
ALPHABET = string.digits + string.ascii_letters
RANDOM_CHARACTERS = 43
CHECKSUM_CHARACTERS = 6


class Right(StrEnum):
    """What a key may do."""

    ASK = "ask"
    """Ask the twins of the key."""
    FEEDBACK = "feedback"
    """Say what was good or bad about an answer."""
    ADMIN = "admin"
    """Read what concerns all callers, such as metrics."""


class KeyLimits(BaseModel):
    """How much a caller may ask. Of a key, None means the deployment's default and 0 no limit."""

    model_config = ConfigDict(frozen=True)

    requests_per_minute: int | None = Field(default=None, ge=0)
    tokens_per_day: int | None = Field(default=None, ge=0)
    """Read and written, from midnight to midnight, UTC."""
    concurrent_requests: int | None = Field(default=None, ge=0)

    def over(self, defaults: "KeyLimits") -> "KeyLimits":
        """These where they are given, else the defaults."""
        given = self.model_dump(exclude_none=True)
        return KeyLimits.model_validate({**defaults.model_dump(), **given})

    @property
    def any(self) -> bool:
        """Whether anything is limited."""
        return any(self.model_dump().values())


class Secret(BaseModel):
    """A key's text as it is kept, and until when it opens; None: as long as the key does."""

    model_config = ConfigDict(frozen=True)

    digest: str
    created: datetime
    expires: datetime | None = None


class ApiKey(BaseModel):
    """A key. Rotating it changes its secrets; identity, rights, limits and counts stay."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(default_factory=lambda: f"key-{uuid.uuid4().hex[:12]}")
    name: str
    secrets: tuple[Secret, ...]
    twins: tuple[str, ...] | None = None
    """Registered models that it opens; None: all."""
    rights: tuple[Right, ...]
    limits: KeyLimits = KeyLimits()
    profile: Profile | None = None
    """How whoever has the key likes to be answered."""
    created: datetime
    created_by: str
    expires: datetime | None = None
    revoked: datetime | None = None

    @classmethod
    def stored(cls, record: dict[str, object]) -> Self:
        """A key as a store has it."""
        return cls.model_validate({**record, "id": record["_id"]})

    def is_live(self, now: datetime) -> bool:
        """Whether it opens anything at this moment."""
        return self.revoked is None and (self.expires is None or now < self.expires)

    def opens(self, secret: Secret, now: datetime) -> bool:
        """Whether a secret of this key opens at this moment."""
        return self.is_live(now) and (secret.expires is None or now < secret.expires)


def new_key_text() -> str:
    """A key's text: the prefix, what chance gives, and a checksum that tells typing errors."""
    body = PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_CHARACTERS))
    return body + _checksum(body)


def is_mistyped(text: str) -> bool:
    """Whether a text begins as our keys do and is none: cut off, or with a wrong letter."""
    body, checksum = text[:-CHECKSUM_CHARACTERS], text[-CHECKSUM_CHARACTERS:]
    length = len(PREFIX) + RANDOM_CHARACTERS + CHECKSUM_CHARACTERS
    return text.startswith(PREFIX) and (len(text) != length or checksum != _checksum(body))


def key_digest(text: str) -> str:
    """What is kept of a key's text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _checksum(text: str) -> str:
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(CHECKSUM_CHARACTERS):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
