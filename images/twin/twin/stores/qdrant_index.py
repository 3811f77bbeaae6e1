"""The index on a Qdrant server; `twin.stores.qdrant.collections` says what is where."""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from twin.settings import Settings
from twin.stores.index import DENSE, FILTER_FIELDS, SPARSE, IndexSpec, IndexState
from twin.stores.qdrant.collections import QdrantCollections
from twin.stores.qdrant.reader import QdrantReader
from twin.stores.qdrant.writer import QdrantWriter

TIMEOUT_SECONDS = 30

_COLLECTION = re.compile(r"chunks_(?P<recipe>.+)_\d{6}")


class QdrantIndex(QdrantCollections):
    """The index of one recipe on a server."""

    @classmethod
    def at(cls, settings: Settings, recipe: str) -> "QdrantIndex":
        """The index on the server of the settings; nothing is connected yet."""
        from qdrant_client import QdrantClient

        url = settings.index_url or ""
        key = settings.index_api_key
        client = QdrantClient(
            url=url,
            api_key=key.get_secret_value() if key else None,
            timeout=TIMEOUT_SECONDS,
            check_compatibility=False,
        )
        parts = urlsplit(url)
        return cls(client, recipe, f"{parts.hostname}:{parts.port or 6333}")

    def state(self) -> IndexState | None:
        """What is published, or None."""
        with self.plain_errors():
            name = self.current()
            return None if name is None else self.state_of(name)

    def read(self, embedder: str | None = None) -> QdrantReader:
        """A reader that follows what is published (see `Index.read`)."""
        with self.plain_errors():
            return QdrantReader(self, embedder)

    @contextmanager
    def write(
        self, spec: IndexSpec, dimension: int, *, rebuild: bool = False
    ) -> Iterator[QdrantWriter]:
        """A writer on the newest collection of the same spec, else on a new one."""
        with self.plain_errors():
            name = None if rebuild else self._newest_of(spec, dimension)
            name = name or self._create(spec, dimension)
            self._index_payload(name)
            yield QdrantWriter(self, name, spec, dimension)

    def recipes(self) -> list[str]:
        """Names of all recipes that have a collection on the server."""
        with self.plain_errors():
            names = [item.name for item in self.client.get_collections().collections]
        found = (_COLLECTION.fullmatch(name) for name in names)
        return sorted({match["recipe"] for match in found if match})

    def forget(self, document_ids: Collection[str]) -> int:
        """Erase documents from every collection of the recipe.

        The server hides their points at once, and frees the room when it next vacuums.
        """
        erased = 0
        with self.plain_errors():
            current = self.current()
            for name in self.collections():
                spec, dimension = self.spec_of(name)
                writer = QdrantWriter(self, name, spec, dimension)
                states = writer.state.documents
                known = [id_ for id_ in set(document_ids) if id_ in states]
                if name == current:
                    erased = sum(states[id_].chunks for id_ in known)
                writer.delete(known)
        return erased

    def kept(self) -> dict[str, IndexState]:
        """The collections beside the published one."""
        with self.plain_errors():
            current = self.current()
            return {name: self.state_of(name) for name in self.collections() if name != current}

    def purge(self, document_ids: Collection[str]) -> int:
        """Take documents out of the collections beside the published one."""
        ids = set(document_ids)
        holders = [name for name, state in self.kept().items() if ids & state.documents.keys()]
        with self.plain_errors():
            for name in holders:
                QdrantWriter(self, name, *self.spec_of(name)).delete(sorted(ids))
        return len(holders)

    def _newest_of(self, spec: IndexSpec, dimension: int) -> str | None:
        """May be newer than the published one: then a killed build left it, and is gone on with."""
        for name in reversed(self.collections()):
            if self.spec_of(name) == (spec, dimension):
                return name
        return None

    def _create(self, spec: IndexSpec, dimension: int) -> str:
        from qdrant_client import models

        names = self.collections()
        number = int(names[-1].rsplit("_", 1)[1]) + 1 if names else 1
        name = f"{self.alias}_{number:06d}"
        self.client.create_collection(
            name,
            vectors_config={
                DENSE: models.VectorParams(size=dimension, distance=models.Distance.COSINE)
            },
            sparse_vectors_config={SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)},
            metadata={"spec": spec.model_dump(mode="json"), "dimension": dimension},
        )
        return name

    def _index_payload(self, name: str) -> None:
        from qdrant_client import models

        keyword, date = models.PayloadSchemaType.KEYWORD, models.PayloadSchemaType.DATETIME
        fields = dict.fromkeys(("record", *FILTER_FIELDS), keyword) | {"published": date}
        present = self.client.get_collection(name).payload_schema
        for field in fields.keys() - present.keys():
            self.client.create_payload_index(name, field, fields[field], wait=True)
