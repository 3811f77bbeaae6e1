"""Documents that hang together: what is said of one is not independent of the other."""

from collections.abc import Collection, Iterable, Iterator

Group = tuple[str, ...]
"""Ids of documents that hang together, sorted."""


def grouped(document_ids: Collection[str], together: Iterable[Collection[str]]) -> Iterator[Group]:
    """All documents, those that belong together in one group, which may take several steps.

    Args:
        document_ids: of all documents; others in ``together`` are passed over.
        together: documents that hang together.
    """
    leader = {document_id: document_id for document_id in document_ids}

    def lead(document_id: str) -> str:
        while leader[document_id] != document_id:
            document_id = leader[document_id]
        return document_id

    for group in together:
        leads = sorted({lead(document_id) for document_id in group if document_id in leader})
        leader.update(dict.fromkeys(leads[1:], leads[0]) if leads else {})
    members: dict[str, list[str]] = {}
    for document_id in sorted(leader):
        members.setdefault(lead(document_id), []).append(document_id)
    for ids in members.values():
        yield tuple(ids)
