"""Collections of a Qdrant server, and the aliases on them.

Collections ``chunks_<recipe>_000007`` and an alias ``chunks_<recipe>`` on the one that is
searched; ``chunks_<recipe>_before`` on the last of the embedder before, if there was one. Ordinary
runs change the searched one in place; another embedder or chunker, or a rebuild, fills a new one
beside it and moves the alias. The one before is kept.

Beside its chunks a collection has one point without vectors for each document: its revision and
number of chunks, written when all of them are there. While a document is being replaced the
revision there is empty, so that what a killed writer left is known and done again. One more such
point holds what was found out about the whole.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError, TwinError
from twin.stores.index import DocumentState, IndexSpec, IndexState
from twin.stores.qdrant.points import WHOLE, is_record

if TYPE_CHECKING:
    from qdrant_client import QdrantClient


class QdrantCollections:
    """The collections of one recipe on a server."""

    def __init__(self, client: "QdrantClient", recipe: str, where: str) -> None:
        self.client = client
        self.recipe = recipe
        self.where = where
        self.alias = f"chunks_{recipe}"
        self.alias_before = f"{self.alias}_before"

    def current(self) -> str | None:
        """The collection that the alias names."""
        return self.aliases().get(self.alias)

    def aliases(self) -> dict[str, str]:
        """Names of collections by alias."""
        return {a.alias_name: a.collection_name for a in self.client.get_aliases().aliases}

    def collections(self) -> list[str]:
        """All collections of this recipe, oldest first."""
        names = (item.name for item in self.client.get_collections().collections)
        return sorted(name for name in names if name.startswith(f"{self.alias}_"))

    def spec_of(self, name: str) -> tuple[IndexSpec, int]:
        """Spec and dimension of a collection.

        Raises:
            BadDataError: some other program made it.
        """
        metadata = self.client.get_collection(name).config.metadata or {}
        try:
            return IndexSpec.model_validate(metadata["spec"]), int(metadata["dimension"])
        except (KeyError, ValueError):
            raise BadDataError(
                f"index collection {name} at {self.where} was not made by `twin features build`: "
                "remove it or give the recipe another name"
            ) from None

    def state_of(self, name: str) -> IndexState:
        """The documents that a collection holds; those left unfinished have revision ""."""
        spec, _ = self.spec_of(name)
        documents: dict[str, DocumentState] = {}
        offset = None
        while True:
            records, offset = self.client.scroll(
                name,
                scroll_filter=is_record("document"),
                limit=1_000,
                offset=offset,
                with_payload=True,
            )
            for record in records:
                payload = record.payload or {}
                documents[payload["document_id"]] = DocumentState.model_validate(payload)
            if offset is None:
                found = self.min_score_of(name)
                return IndexState(spec=spec, documents=documents, min_score=found)

    def min_score_of(self, name: str) -> float | None:
        """`IndexState.min_score` of a collection."""
        records = self.client.retrieve(name, [WHOLE], with_payload=True)
        return (records[0].payload or {}).get("min_score") if records else None

    @contextmanager
    def plain_errors(self) -> Iterator[None]:
        """Turn what the client raises into errors that say what to do."""
        from qdrant_client.common.client_exceptions import QdrantException
        from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

        try:
            yield
        except ResponseHandlingException:
            raise TryAgainError(
                f"the index server {self.where} does not answer: is it started, and is "
                "TWIN_INDEX_URL right?"
            ) from None
        except QdrantException:  # the client's only other one: how long to wait
            raise self._refused(429, b"") from None
        except UnexpectedResponse as error:
            raise self._refused(error.status_code or 500, error.content) from None

    def _refused(self, status: int, content: bytes) -> TwinError:
        if status in {401, 403}:
            return BadConfigurationError(
                f"the index server {self.where} refuses the key: set TWIN_INDEX_API_KEY"
            )
        message = f"the index server {self.where} answered {status}"
        # 404: another job has removed the collection meanwhile.
        if status in {404, 429} or status >= 500:
            return TryAgainError(message)
        return BadDataError(f"{message}: {_reason(content):.300}")


def _reason(content: bytes) -> str:
    """What a server says of a request that it refuses, in one line."""
    try:
        text = str(json.loads(content)["status"]["error"])
    except (ValueError, KeyError, TypeError):
        text = content.decode("utf-8", "replace")
    return " ".join(text.split())
