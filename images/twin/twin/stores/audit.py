"""The audit log: who created keys, promoted, rolled back, forgot. In the warehouse's database.

Entries are added and read, and nothing here changes or deletes one.
"""

import getpass
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import structlog
from pydantic import BaseModel, ConfigDict

from twin.domain.errors import TwinError
from twin.settings import Settings
from twin.stores.warehouse import Warehouse, open_warehouse

COLLECTION = "audit"

log = structlog.get_logger("twin")


@dataclass(frozen=True)
class Actor:
    """Who acts: a person or account, and the run that it acted in, if there is one."""

    name: str
    run_id: str | None = None

    @classmethod
    def of(cls, settings: Settings, run_id: str | None = None) -> Self:
        """As the setting TWIN_ACTOR says, else the user of the operating system."""
        return cls(settings.actor or _os_user(), run_id)


class AuditEntry(BaseModel):
    """What somebody did."""

    model_config = ConfigDict(frozen=True)

    time: datetime
    action: str
    subject: str
    """What it was done to: a key's id, a model version, a URL."""
    actor: str
    run_id: str | None = None
    detail: dict[str, Any] = {}


class Audit:
    """The log. Every method raises `TryAgainError` if the warehouse is away."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._entries = warehouse.collection(COLLECTION)

    def record(
        self, action: str, subject: str, actor: Actor, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Add an entry."""
        entry = AuditEntry(
            time=datetime.now(UTC),
            action=action,
            subject=subject,
            actor=actor.name,
            run_id=actor.run_id,
            detail=dict(detail or {}),
        )
        with self._warehouse.plain_errors():
            self._entries.insert_one(entry.model_dump(mode="python"))

    def entries(self, last: int, action: str | None = None) -> list[AuditEntry]:
        """The newest entries, oldest first; of one action, or of all."""
        query = {} if action is None else {"action": action}
        with self._warehouse.plain_errors():
            records = list(self._entries.find(query, {"_id": 0}).sort("time", -1).limit(last))
        return [AuditEntry.model_validate(record) for record in reversed(records)]


def note_action(
    settings: Settings,
    action: str,
    subject: str,
    run_id: str | None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Record what a job has just done elsewhere than in the warehouse.

    A warehouse that is away must not keep anyone from rolling back: the entry is logged instead.
    """
    actor = Actor.of(settings, run_id)
    try:
        with open_warehouse(settings) as warehouse:
            Audit(warehouse).record(action, subject, actor, detail)
    except TwinError as error:
        log.warning(
            "not in the audit log, since the warehouse is away",
            action=action, subject=subject, actor=actor.name, reason=str(error),
        )  # fmt: skip


def _os_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id of a container that has no name
        return "unknown"
