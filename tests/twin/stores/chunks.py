"""Small documents with hand-made vectors, for tests of the index."""

import hashlib
import math
from collections.abc import Sequence
from datetime import UTC, datetime

from twin.domain.chunk import Chunk, chunk_id
from twin.stores.index import IndexedDocument, IndexSpec

DIMENSION = 8
SPEC = IndexSpec(embedder="toy@1", chunker="markdown-1:200")


def vector(text: str) -> list[float]:
    """A unit vector that depends on the text alone."""
    digest = hashlib.sha256(text.encode()).digest()[:DIMENSION]
    values = [byte - 127.5 for byte in digest]
    length = math.sqrt(sum(value * value for value in values))
    return [value / length for value in values]


def document(
    name: str,
    texts: Sequence[str],
    *,
    revision: str = "r1",
    spec: IndexSpec = SPEC,
    **fields: object,
) -> IndexedDocument:
    """A document of these passages."""
    chunks = [
        Chunk(
            id=chunk_id(name, revision, ordinal, spec.chunker),
            document_id=name,
            revision=revision,
            author_id="ann",
            ordinal=ordinal,
            url=f"https://example.org/{name}",
            title=f"About {name}",
            text=text,
            token_count=10,
            chunker=spec.chunker,
            published=datetime(2024, 5, 1, tzinfo=UTC),
            **fields,
        )
        for ordinal, text in enumerate(texts)
    ]
    return IndexedDocument(name, revision, chunks, [vector(chunk.text) for chunk in chunks])
