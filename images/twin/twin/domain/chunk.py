"""Chunks: the passages of a document that are embedded and retrieved."""

import uuid
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from twin.domain.document import NAMESPACE


class Chunk(BaseModel):
    """A passage with everything an answer needs to cite it.

    ``embedded_text`` (title and heading path, then text) is what the embedder sees;
    ``text`` is what the author wrote.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    document_id: str
    revision: str
    author_id: str
    ordinal: int = Field(ge=0, description="position within the document, from 0")
    url: str
    title: str
    headings: tuple[str, ...] = ()
    text: str
    token_count: int = Field(
        ge=1, description="tokens of embedded_text by the embedder's tokenizer"
    )
    chunker: str = Field(description="version of the chunker and its settings")
    kind: str = "article"
    source: str = ""
    language: str | None = None
    published: datetime | None = None

    @property
    def embedded_text(self) -> str:
        """The passage in its context: document title and heading path, then the text."""
        path = " > ".join((self.title, *self.headings))
        return f"{path}\n{self.text}"


def chunk_id(document_id: str, revision: str, ordinal: int, chunker: str) -> str:
    """UUIDv5 of what makes the chunk what it is, so that a rebuild gives the same ids."""
    return str(uuid.uuid5(NAMESPACE, f"{document_id}\n{revision}\n{ordinal}\n{chunker}"))
