"""Documents of the warehouse, and every text that each has had.

A revision is written before the document that shows it, so that a kill between the two loses
nothing and the next upsert finishes the work.
"""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twin.domain.crawl import Change
from twin.domain.document import STANDING, Document, DocumentStatus, Revision
from twin.domain.errors import TryAgainError
from twin.stores.holding import NOTHING_HELD, Holder, held_back, newest
from twin.stores.warehouse_connection import (
    RECORDS_PER_ANSWER,
    Record,
    WarehouseConnection,
    slices,
    storable,
)

#: What a document must still have for it to be written: what it had when it was read.
_GUARDS = ("revision", "status")
ATTEMPTS = 20
LONGEST_PAUSE_SECONDS = 0.05
#: `STANDING` as queries have it.
STANDING_VALUES = sorted(status.value for status in STANDING)


@dataclass(frozen=True)
class Upsert:
    """A document as it was read.

    Attributes:
        document: its ``status`` must be live.
        fetched: digest of the bytes it was made from, see `Warehouse.fetched_digests`.
    """

    document: Document
    fetched: str | None = None


@dataclass(frozen=True)
class Noted:
    """What is about to become of a document.

    Attributes:
        before: the revision that stands so far.
    """

    document: Document
    change: Change
    before: str | None


class Documents(WarehouseConnection):
    """Documents and their history."""

    def upsert(self, document: Document, fetched: str | None = None) -> Change:
        """Store a document as it stands now, see `upsert_all`."""
        return self.upsert_all([Upsert(document, fetched)])[0]

    def upsert_all(
        self,
        upserts: Sequence[Upsert],
        note: Callable[[Sequence[Noted]], None] = lambda _noted: None,
        holder: Holder | None = None,
    ) -> list[Change]:
        """Store documents as they stand now; atomic per document.

        The ``first_seen`` of each is kept from the first time, its ``last_changed`` from the last
        time its text changed. A document that was gone is live again.

        Args:
            upserts: in any order; of several for one document the later ones come later.
            note: told what is about to change; called before the documents are written, so that
                a kill in between leaves a note too many and never one too few.
            holder: whose crawl has to end well before what is new is live (see
                `twin.stores.holding`); None: it is at once.

        Returns:
            What changed, for each.
        """
        changes: dict[int, Change] = {}
        waiting = dict(enumerate(upserts))
        with self.plain_errors():
            for _ in range(ATTEMPTS):
                while waiting:
                    now = _first_of_each(waiting)
                    done = self._try_upserts(now, note, holder)
                    changes |= done
                    waiting = {key: one for key, one in waiting.items() if key not in done}
                    if len(done) < len(now):
                        break
                else:
                    return [changes[key] for key in range(len(upserts))]
                # By chance, so that two crawls do not meet again and again.
                time.sleep(random.uniform(0, LONGEST_PAUSE_SECONDS))  # noqa: S311 - no secret
        blocked = next(iter(waiting.values())).document.id
        raise TryAgainError(f"document {blocked} keeps being changed by another crawl")

    def _try_upserts(
        self,
        upserts: Mapping[int, Upsert],
        note: Callable[[Sequence[Noted]], None],
        holder: Holder | None,
    ) -> dict[int, Change]:
        """One attempt, of one upsert a document; returns those that no other crawl was in the
        way of."""
        ids = [one.document.id for one in upserts.values()]
        found = self.collection("documents").find({"_id": {"$in": ids}}, {"content": 0})
        before = {stored["_id"]: stored for stored in found}
        known = before if holder is None else {id_: newest(one) for id_, one in before.items()}
        changes = {
            key: _change(known.get(one.document.id), one.document) for key, one in upserts.items()
        }
        self._keep_revisions(
            [upserts[key].document for key, change in changes.items()
             if change in {Change.ADDED, Change.CHANGED}]
        )  # fmt: skip
        noted = [
            Noted(one.document, changes[key], known.get(one.document.id, {}).get("revision"))
            for key, one in upserts.items()
            if changes[key] is not Change.UNCHANGED
        ]
        if noted:
            note(noted)
        added = [key for key, change in changes.items() if change is Change.ADDED]
        refused = self.add_new("documents", [_new_record(upserts[key], holder) for key in added])
        missed = {added[position] for position in refused}
        news = {
            one.document.id: _news(before[one.document.id], one, changes[key], holder)
            for key, one in upserts.items()
            if one.document.id in before
        }
        late = self._update(before, {identity: new for identity, new in news.items() if new})
        missed |= {key for key, one in upserts.items() if one.document.id in late}
        return {key: change for key, change in changes.items() if key not in missed}

    def _update(self, before: Mapping[str, Record], news: Mapping[str, Record]) -> set[str]:
        """Bring documents up to date, each unless it was changed since it was read.

        By one command, because the server remembers each for when it is sent again, and the
        embedded one goes through all that it remembers with every further one.

        Returns:
            Ids of those that were changed since.
        """
        from pymongo import UpdateOne

        if not news:
            return set()
        writes = [
            UpdateOne(
                {"_id": identity, **{key: before[identity][key] for key in _GUARDS}}, {"$set": new}
            )
            for identity, new in news.items()
        ]
        if self.collection("documents").bulk_write(writes, ordered=False).matched_count == len(
            writes
        ):
            return set()
        # Which of them, the answer does not say; what is as it is to be needs no second attempt.
        found = self.collection("documents").find({"_id": {"$in": list(news)}}, {"content": 0})
        now = {stored["_id"]: stored for stored in found}
        return {identity for identity, new in news.items() if not _holds(now.get(identity), new)}

    def _keep_revisions(self, documents: Sequence[Document]) -> None:
        records = []
        for document in documents:
            revision = Revision(
                document_id=document.id,
                revision=document.revision,
                title=document.title,
                content=document.content,
                seen=document.last_changed,
            )
            key = revision_key(document.id, document.revision)
            records.append({"_id": key, **revision.model_dump()})
        self.add_new("revisions", records)

    def document(self, document_id: str) -> Document | None:
        """The document of this id, live or gone."""
        with self.plain_errors():
            stored = self.collection("documents").find_one({"_id": document_id})
        return document_of(stored) if stored else None

    def standing_of(self, document_ids: Iterable[str]) -> list[Document]:
        """Those of these documents that stand (`STANDING`), without their text."""
        items = []
        with self.plain_errors():
            for some in slices(document_ids):
                query = {"_id": {"$in": some}, "status": {"$in": STANDING_VALUES}}
                found = self.collection("documents").find(query, {"content": 0})
                items += [document_of({**stored, "content": ""}) for stored in found]
        return items

    def documents_at(self, *urls: str) -> list[Document]:
        """Documents of these canonical URLs: one an author and URL."""
        with self.plain_errors():
            found = self.collection("documents").find({"url": {"$in": sorted(urls)}}).sort("_id", 1)
            return [document_of(stored) for stored in found]

    def live_documents(
        self, author_id: str, document_ids: Iterable[str] | None = None
    ) -> Iterator[Document]:
        """Live documents of an author with their text, ordered by id; of these ids, if given."""
        queries = [_live(author_id)]
        if document_ids is not None:
            queries = [{**_live(author_id), "_id": {"$in": some}} for some in slices(document_ids)]
        with self.plain_errors():
            for query in queries:
                for stored in self.collection("documents").find(query).sort("_id", 1):
                    yield document_of(stored)

    def live_revisions(self, author_id: str) -> dict[str, str]:
        """Document id to revision of an author's live documents; reads no text."""
        with self.plain_errors():
            found = self.collection("documents").find(
                _live(author_id), {"revision": 1}, batch_size=RECORDS_PER_ANSWER
            )
            return {stored["_id"]: stored["revision"] for stored in found}

    def live_count(self, author_id: str) -> int:
        """How many live documents an author has."""
        with self.plain_errors():
            return self.collection("documents").count_documents(_live(author_id))

    def summaries(
        self, author_id: str | None = None, status: DocumentStatus | None = None
    ) -> Iterator[Document]:
        """Documents without their text (``content`` is empty), by author, newest first."""
        query: Record = {} if author_id is None else {"author_id": author_id}
        if status is not None:
            query["status"] = status.value
        with self.plain_errors():
            found = self.collection("documents").find(query, {"content": 0})
            for stored in found.sort([("author_id", 1), ("published", -1), ("url", 1)]):
                yield document_of({**stored, "content": ""})

    def revisions(self, document_id: str) -> list[Revision]:
        """Every text that a document has had, by when it was first seen."""
        with self.plain_errors():
            found = self.collection("revisions").find({"document_id": document_id}).sort("seen", 1)
            return [Revision.model_validate(stored) for stored in found]


def revision_key(document_id: str, revision: str) -> str:
    """Key of a text in ``revisions``."""
    return f"{document_id}:{revision}"


def _first_of_each(upserts: Mapping[int, Upsert]) -> dict[int, Upsert]:
    """One upsert a document."""
    seen: set[str] = set()
    first = {}
    for key, one in upserts.items():
        if one.document.id not in seen:
            seen.add(one.document.id)
            first[key] = one
    return first


def _new_record(one: Upsert, holder: Holder | None) -> Record:
    wanted = _merged(None, one.document, Change.ADDED)
    record = {"_id": one.document.id, **(held_back(None, wanted, holder) if holder else wanted)}
    record["last_seen"] = one.document.last_changed
    if one.fetched is not None:
        record["fetched"] = one.fetched
    return record


def _news(stored: Mapping[str, Any], one: Upsert, change: Change, holder: Holder | None) -> Record:
    """What of a stored document is to become otherwise."""
    if holder is None:
        wanted = {**_merged(stored, one.document, change), **NOTHING_HELD}
    else:
        wanted = held_back(stored, _merged(newest(stored), one.document, change), holder)
    if one.fetched is not None:
        wanted["fetched"] = one.fetched
    news = {key: value for key, value in wanted.items() if stored.get(key) != value}
    if change is Change.UNCHANGED:
        news.pop("content", None)  # was not read, and is the same
    return news


def _holds(stored: Mapping[str, Any] | None, news: Mapping[str, Any]) -> bool:
    """Whether a document, read without its content, has these values: its revision stands for
    the content."""
    return stored is not None and all(
        stored.get(key) == value for key, value in news.items() if key != "content"
    )


def _live(author_id: str) -> Record:
    return {"author_id": author_id, "status": DocumentStatus.LIVE.value}


def document_of(stored: Mapping[str, Any]) -> Document:
    """The document of a record."""
    return Document.model_validate({**stored, "id": stored["_id"]})


def _change(stored: Mapping[str, Any] | None, document: Document) -> Change:
    if stored is None:
        return Change.ADDED
    if stored["revision"] != document.revision:
        return Change.CHANGED
    if stored["status"] not in STANDING_VALUES:
        return Change.RESTORED
    return Change.UNCHANGED


def _merged(stored: Mapping[str, Any] | None, document: Document, change: Change) -> Record:
    """What to store: the document, with the times that its history dictates."""
    wanted = storable(document)
    if stored is not None:
        wanted["first_seen"] = stored["first_seen"]
        if change is not Change.CHANGED:
            wanted["last_changed"] = stored["last_changed"]
        # Whose cross-post it is was found by comparing documents, not by reading this one.
        wanted["also_at"] = stored.get("also_at", [])
        if stored["status"] == DocumentStatus.DUPLICATE.value:
            wanted["status"] = stored["status"]
    return wanted
