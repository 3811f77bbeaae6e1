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


def quarantine_id(author_id: str, source: str, url: str) -> str:
    """UUIDv5 of what was refused, so that refusing it again updates the same item."""
    return str(uuid.uuid5(NAMESPACE, f"quarantine\n{author_id}\n{source}\n{url}"))


def crawl_id(run_id: str, source: str) -> str:
    """One record a run and source; a retried run continues its own."""
    return f"{run_id}:{source}"
