"""Chunks: the passages of a document that are embedded and retrieved."""

import uuid
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from twin.domain.document import NAMESPACE

FIGURE = "figure"
"""Kind of a chunk that is a picture's description and caption; they are in a passage of the text
too, and it has no neighbours."""


class Quality(BaseModel):
    """Signals of how much of a passage is language, for thresholds that a recipe may set."""

    model_config = ConfigDict(frozen=True)

    words: int = Field(ge=0, description="runs of letters and digits")
    symbol_share: float = Field(description="of its characters without blanks: no letter, no digit")
    worded_share: float = Field(description="of its blank-separated runs: those with a letter")
    repeated_share: float = Field(description="of its lines: those that stood before in it")


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
    kind: str = Field(default="article", description="that of its document, or figure")
    platform: str = "web"
    source: str = ""
    language: str | None = None
    published: datetime | None = None
    section: tuple[int, int] | None = Field(
        default=None, description="first and last ordinal of the chunks of its section"
    )
    chunks_of_document: int | None = Field(
        default=None,
        ge=1,
        description="those of its text; of a figure, so many that none comes after it",
    )
    quality: Quality | None = None
    personal_data: tuple[str, ...] | None = Field(
        default=None,
        description="kind of each item of personal data that title, headings and text hold, "
        "sorted; None: not looked for, by a build before this was noted",
    )

    @property
    def embedded_text(self) -> str:
        """The passage in its context: document title and heading path, then the text."""
        path = " > ".join((self.title, *self.headings))
        return f"{path}\n{self.text}"

    @property
    def previous_id(self) -> str | None:
        """Id of the chunk before this one in the document, if there is one."""
        return self._id_of(self.ordinal - 1) if self.ordinal and self.kind != FIGURE else None

    @property
    def next_id(self) -> str | None:
        """Id of the chunk after this one in the document, if there is one."""
        last = self.chunks_of_document is None or self.ordinal + 1 == self.chunks_of_document
        return None if last else self._id_of(self.ordinal + 1)

    @property
    def section_ids(self) -> list[str]:
        """Ids of the chunks of its section in order, its own among them: its parent, in parts."""
        first, last = self.section or (self.ordinal, self.ordinal)
        return [self._id_of(ordinal) for ordinal in range(first, last + 1)]

    def _id_of(self, ordinal: int) -> str:
        return chunk_id(self.document_id, self.revision, ordinal, self.chunker)


def chunk_id(document_id: str, revision: str, ordinal: int, chunker: str) -> str:
    """UUIDv5 of what makes the chunk what it is, so that a rebuild gives the same ids."""
    return str(uuid.uuid5(NAMESPACE, f"{document_id}\n{revision}\n{ordinal}\n{chunker}"))
