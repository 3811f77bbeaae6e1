"""Documents, and the revisions a document goes through."""

import hashlib
import uuid
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

#: Namespace of every UUIDv5 of the house, so that ids never meet those of another system.
NAMESPACE = uuid.UUID("6d0f0f0e-5a0e-5f6b-9d2a-3c1d5b7e9a41")


class DocumentStatus(StrEnum):
    """Whether the document still stands where it was published."""

    LIVE = "live"
    GONE = "gone"
    DUPLICATE = "duplicate"
    """It stands, but as a cross-post: a live document of the same text has its URL in `also_at`."""
    HELD = "held"
    """It stands, but was brought by a crawl that has not ended well: no later stage reads it."""


#: States of a document that stands where it was published.
STANDING = frozenset({DocumentStatus.LIVE, DocumentStatus.DUPLICATE, DocumentStatus.HELD})
#: Of these, what a crawl that ended well has brought, as queries have it.
PUBLISHED_VALUES = sorted({DocumentStatus.LIVE.value, DocumentStatus.DUPLICATE.value})


class Document(BaseModel):
    """One published text as it stands today.

    ``content`` is Markdown and always the text of ``revision``; older texts are `Revision`s.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    author_id: str
    author_name: str
    source: str = Field(description="name of the recipe's source that it came from")
    url: str = Field(description="canonical URL")
    also_at: tuple[str, ...] = Field(default=(), description="URLs of the same text elsewhere")
    original_url: str | None = Field(
        default=None, description="where the page says that its text was published first"
    )
    platform: str = Field(default="web", description="where it was published: web, medium, …")
    kind: str = Field(default="article", description="article, post, code, transcript, …")
    title: str
    subtitle: str | None = None
    byline: str | None = Field(default=None, description="who wrote it, as the page says")
    published: datetime | None = None
    modified: datetime | None = None
    language: str | None = None
    tags: tuple[str, ...] = ()
    licence: str | None = Field(default=None, description="URL or SPDX name of its licence")
    consent: str | None = Field(default=None, description="on what ground it may be used")
    reserved: tuple[str, ...] = Field(
        default=(), description="uses that the page forbids machines: noai, noindex, tdm, …"
    )
    content: str
    revision: str = Field(description="SHA-256 of the normalised content")
    status: DocumentStatus = DocumentStatus.LIVE
    first_seen: datetime
    last_changed: datetime


class Revision(BaseModel):
    """A text that a document has had, kept for history and lineage."""

    model_config = ConfigDict(frozen=True)

    document_id: str
    revision: str
    title: str
    content: str
    seen: datetime


class Forgotten(BaseModel):
    """A document that was erased on demand, and is never to be stored again.

    Nothing of its text or title is kept, only what it takes to know it when it comes back.
    """

    model_config = ConfigDict(frozen=True)

    id: str = Field(description="id of the document")
    author_id: str
    url: str
    reason: str
    when: datetime


def document_id(author_id: str, canonical_url: str) -> str:
    """UUIDv5 of author and canonical URL: two authors may publish under one URL."""
    return str(uuid.uuid5(NAMESPACE, f"{author_id}\n{canonical_url}"))


def normalise(content: str) -> str:
    """Content as it is hashed: LF line ends, no trailing blanks, one final newline."""
    lines = content.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).strip() + "\n"


def revision_of(title: str, content: str) -> str:
    """SHA-256 (hex) of title and normalised content: what readers see decides, not dates."""
    return hashlib.sha256(f"{title.strip()}\n\n{normalise(content)}".encode()).hexdigest()
