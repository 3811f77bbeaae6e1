"""What is to be done: the warehouse's live documents against those that an index holds."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from twin.domain.document import Document, DocumentStatus
from twin.features.chunker import VERSION, Chunker
from twin.features.curation import Curation, Place, curate
from twin.features.signature import VERSION as SIGNATURE_VERSION
from twin.features.signature import Signature, signature_of
from twin.stores.index import DocumentState, IndexSpec, IndexState
from twin.stores.warehouse import Warehouse

SIGNATURES_PER_WRITE = 200


@dataclass(frozen=True)
class Head:
    """A live document without its text."""

    revision: str
    metadata: str
    place: Place


@dataclass(frozen=True)
class Wanted:
    """How the index should hold a document."""

    head: Head
    left_out: frozenset[int] = frozenset()
    variant: str = ""
    duplicate_of: str | None = None

    def is_held(self, state: DocumentState | None) -> bool:
        """Whether the index holds it so."""
        return state is not None and (
            state.revision == self.head.revision
            and state.metadata == self.head.metadata
            and state.variant == self.variant
            and state.duplicate_of == self.duplicate_of
        )


@dataclass(frozen=True)
class Plan:
    """What has to change in the index, in this order.

    A kill must leave a reason to decide anew over all documents: so what follows from the others
    (``derived``) comes first, then what is ``gone``, and last what ``changed`` itself.
    """

    derived: frozenset[str]
    gone: frozenset[str]
    changed: frozenset[str]
    unchanged: int

    @property
    def is_empty(self) -> bool:
        """Whether the index already matches the warehouse."""
        return not (self.derived or self.changed or self.gone)


def plan(wanted: Mapping[str, Wanted], state: IndexState | None, spec: IndexSpec) -> Plan:
    """Compare with what is indexed; an index of another spec counts for none."""
    indexed = state.documents if state is not None and state.spec == spec else {}
    todo = {id_ for id_, document in wanted.items() if not document.is_held(indexed.get(id_))}
    changed = {id_ for id_ in todo if not _is_same(wanted[id_].head, indexed.get(id_))}
    return Plan(
        derived=frozenset(todo - changed),
        gone=frozenset(indexed.keys() - wanted.keys()),
        changed=frozenset(changed),
        unchanged=len(wanted) - len(todo),
    )


def is_current(heads: Mapping[str, Head], state: IndexState | None, spec: IndexSpec) -> bool:
    """Whether nothing has happened since the index was made, and so nothing is to be decided."""
    if state is None or state.spec != spec or state.documents.keys() != heads.keys():
        return False
    return all(_is_same(head, state.documents[id_]) for id_, head in heads.items())


def _is_same(head: Head, state: DocumentState | None) -> bool:
    return state is not None and (state.revision, state.metadata) == (head.revision, head.metadata)


def read_heads(warehouse: Warehouse, author_id: str, noted_by: str = "") -> dict[str, Head]:
    """The author's live documents by id; reads no text (see `head_of`)."""
    return {
        document.id: head_of(document, noted_by)
        for document in warehouse.summaries(author_id, DocumentStatus.LIVE)
    }


def head_of(document: Document, noted_by: str = "") -> Head:
    """What is known of a document without its text.

    Args:
        document: live.
        noted_by: digest of what notes personal data (`PersonalDataDetector.digest`). By another
            one its chunks are noted anew: under the same ids, and without embedding them again.
    """
    fields = {"url", "kind", "platform", "source", "language", "published"}
    carried = json.dumps(document.model_dump(mode="json", include=fields), sort_keys=True)
    digest = hashlib.sha256(f"{carried}\n{noted_by}".encode()).hexdigest()
    return Head(
        revision=document.revision,
        metadata=digest[:12],
        place=Place(document.source, document.published, document.first_seen),
    )


def curate_author(
    warehouse: Warehouse,
    author_id: str,
    chunker: Chunker,
    heads: Mapping[str, Head],
    *,
    keep: bool = True,
) -> Curation:
    """Decide what is indexed once, over all of the author's live documents.

    Args:
        warehouse: holds the signatures made before, and the texts of which there are none yet.
        author_id: whose documents.
        chunker: cleans them, and has the recipe's settings.
        heads: the live documents.
        keep: whether new signatures are kept in the warehouse for the next time.
    """
    places = {id_: head.place for id_, head in heads.items()}
    signatures = _signatures(warehouse, author_id, chunker, heads, keep)
    return curate(signatures, places, chunker.knobs)


def wanted_of(heads: Mapping[str, Head], curation: Curation) -> dict[str, Wanted]:
    """How the index should hold each document."""
    return {id_: _wanted(id_, head, curation) for id_, head in heads.items()}


def _wanted(document_id: str, head: Head, curation: Curation) -> Wanted:
    if duplicate := curation.duplicates.get(document_id):
        return Wanted(head, duplicate_of=duplicate.of)
    left_out = curation.left_out.get(document_id, frozenset())
    return Wanted(head, left_out, curation.variant(document_id))


def _signatures(
    warehouse: Warehouse,
    author_id: str,
    chunker: Chunker,
    heads: Mapping[str, Head],
    keep: bool,
) -> Iterator[Signature]:
    made_by = f"{SIGNATURE_VERSION}/{VERSION}/{chunker.knobs.emoji}"
    missing = set(heads)
    for record in warehouse.signatures(author_id, made_by):
        head = heads.get(record["_id"])
        if head is not None and head.revision == record["revision"]:
            missing.discard(record["_id"])
            yield _from_record(record)
    fresh = []
    for document in warehouse.live_documents(author_id, missing):
        cleaned = chunker.clean(document.content)
        fresh.append(signature_of(document.id, document.revision, cleaned))
        yield fresh[-1]
        if len(fresh) == SIGNATURES_PER_WRITE:
            _keep(warehouse, author_id, made_by, fresh, keep)
            fresh = []
    _keep(warehouse, author_id, made_by, fresh, keep)


def _keep(
    warehouse: Warehouse, author_id: str, made_by: str, fresh: list[Signature], keep: bool
) -> None:
    if keep:
        warehouse.keep_signatures(author_id, made_by, map(_record, fresh))


def _record(signature: Signature) -> dict[str, Any]:
    return {
        "_id": signature.document_id,
        "revision": signature.revision,
        "text": signature.text,
        "blocks": b"".join(number.to_bytes(8, "little") for number in signature.blocks),
        "words": list(signature.words),
        "minhash": signature.minhash,
    }


def _from_record(record: Mapping[str, Any]) -> Signature:
    raw = bytes(record["blocks"])
    places = range(0, len(raw), 8)
    return Signature(
        document_id=record["_id"],
        revision=record["revision"],
        text=record["text"],
        blocks=tuple(int.from_bytes(raw[place : place + 8], "little") for place in places),
        words=tuple(record["words"]),
        minhash=bytes(record["minhash"]),
    )
