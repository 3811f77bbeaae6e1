"""What a crawl has stored, whether it has ended well, so that it is live, or not (yet)."""

from collections.abc import Collection

from twin.domain.document import Document, DocumentStatus
from twin.settings import Settings
from twin.stores.held_documents import HeldDocuments
from twin.stores.warehouse import open_warehouse

STANDING = tuple(status for status in DocumentStatus if status is not DocumentStatus.GONE)


def stored_documents(
    settings: Settings, author: str = "tester", states: Collection[DocumentStatus] = STANDING
) -> list[Document]:
    """Documents of an author that stand, each as the crawls saw it last."""
    with open_warehouse(settings) as warehouse:
        held = HeldDocuments(warehouse)
        coming = {item.id: item for item in held.of(author)}
        return [
            coming.get(item.id, item).model_copy(
                update={"status": item.status, "content": held.newest_text(item.id)}
            )
            for status in states
            for item in warehouse.summaries(author, status)
        ]
