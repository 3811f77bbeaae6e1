"""How a record of the warehouse shows what a crawl brought that has not ended well yet.

A document that is new is ``held`` back: its status says so, and no later stage reads it. Of one
that stands, the text that was read before stands on, and what it is to become is kept beside it
under ``coming`` (the new text itself is in ``revisions``). ``held`` says whose crawl let it wait:
once that ends well, or a person says so, `twin.stores.held_documents` lets it through.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twin.domain.document import PUBLISHED_VALUES, DocumentStatus

Record = dict[str, Any]

#: What is not to come with the new text: that of a document as it stands.
_STAYS = ("content", "status", "also_at", "first_seen")
#: A record of which nothing waits.
NOTHING_HELD: Record = {"coming": None, "held": None}


@dataclass(frozen=True)
class Holder:
    """The crawls of one source, by whose end what they bring is judged."""

    author_id: str
    source: str

    @property
    def note(self) -> Record:
        """As records have it."""
        return {"author": self.author_id, "source": self.source}


def newest(stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a document is to become, without the text of it: where nothing waits, what it is."""
    return {**stored, **(stored.get("coming") or {})}


def held_back(stored: Mapping[str, Any] | None, wanted: Record, holder: Holder) -> Record:
    """What to store of a document that its crawl may not show yet.

    Args:
        stored: the record as it is; None if there is none.
        wanted: what it would be if nothing were held back.
        holder: whose crawl brings it.
    """
    if stored is None or stored["status"] not in PUBLISHED_VALUES:
        held = {"status": DocumentStatus.HELD.value, "coming": None, "held": holder.note}
        return {**wanted, **held}
    if wanted["revision"] == stored["revision"]:
        return {**wanted, **NOTHING_HELD}
    coming = {key: value for key, value in wanted.items() if key not in _STAYS}
    return {"coming": coming, "held": holder.note}
