"""What a crawl leaves behind besides documents: its own record, and the items it could not use."""

import uuid
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from twin.domain.document import NAMESPACE


class Change(StrEnum):
    """What storing a document changed in the warehouse."""

    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    RESTORED = "restored"
    GONE = "gone"
    """No longer where it was published; its history stays."""


class QuarantinedItem(BaseModel):
    """A page or file that could not become a document, with the reason in plain words."""

    model_config = ConfigDict(frozen=True)

    id: str
    author_id: str
    source: str
    url: str
    reason: str
    first_seen: datetime
    last_seen: datetime


class CrawlStatus(StrEnum):
    """How far a crawl of one source got."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class CrawlRecord(BaseModel):
    """One crawl of one source: a record that stays ``running`` was killed."""

    model_config = ConfigDict(frozen=True)

    id: str
    run_id: str
    recipe: str
    author_id: str
    source: str
    started: datetime
    finished: datetime | None = None
    status: CrawlStatus = CrawlStatus.RUNNING
    counts: dict[str, int] = Field(default_factory=dict)
    message: str = ""
    fingerprint: str = Field(
        default="", description="SHA-256 of the source's document ids, revisions and states"
    )


class FetchedPage(BaseModel):
    """What is known of a URL since it was last fetched, so that the next crawl asks for news only.

    Attributes:
        status: of the last answer (RFC 9110); None for what is not fetched over HTTP.
        etag, last_modified: the server's validators of that answer.
        body_digest: SHA-256 of its decompressed body.
        reader: which readers and rules of the recipe made the outcome; others may see it otherwise.
        outcome: stored, skipped, elsewhere or failed.
        reason: why it is no document; where to, if that is elsewhere.
        document_id: the document that it became.
        links: pages of the site that it leads to; None if they were not looked for.
        snapshot: file of the raw snapshot that has this body; None if there is none.
        captured: when that body was fetched, which may have been crawls ago.
        expires: from when on its site does not publish it any more, by its own words.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    author_id: str
    source: str
    url: str
    fetched: datetime
    status: int | None = None
    etag: str | None = None
    last_modified: str | None = None
    body_digest: str = ""
    reader: str = ""
    outcome: str = ""
    reason: str = ""
    document_id: str | None = None
    links: tuple[str, ...] | None = None
    snapshot: str | None = None
    captured: datetime | None = None
    expires: datetime | None = None


class DocumentChange(BaseModel):
    """What one crawl did to one document."""

    model_config = ConfigDict(frozen=True)

    id: str
    crawl_id: str
    author_id: str
    source: str
    document_id: str
    kind: Change
    title: str
    url: str
    before: str | None = Field(default=None, description="revision that it replaced")
    after: str | None = Field(default=None, description="revision that stands since")
    at: datetime


def page_id(author_id: str, source: str, url: str) -> str:
    """UUIDv5 of a fetched URL within its source."""
    return str(uuid.uuid5(NAMESPACE, f"page\n{author_id}\n{source}\n{url}"))


def change_id(crawl: str, document: str) -> str:
    """One record a crawl and document: a retried run continues its own."""
    return f"{crawl}:{document}"


def quarantine_id(author_id: str, source: str, url: str) -> str:
    """UUIDv5 of what was refused, so that refusing it again updates the same item."""
    return str(uuid.uuid5(NAMESPACE, f"quarantine\n{author_id}\n{source}\n{url}"))


def crawl_id(run_id: str, source: str) -> str:
    """One record a run and source; a retried run continues its own."""
    return f"{run_id}:{source}"
