"""What goes into the chain and what comes out piece by piece, as plain data."""

from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from twin.domain.answer import Answer, Passage
from twin.domain.conversation import Turn
from twin.domain.draft import DraftTask
from twin.domain.profile import Profile
from twin.rag.expansion import Expansion
from twin.stores.index import ChunkFilter

Values = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], Field(max_length=50)
]


class TextsFilter(BaseModel):
    """Which texts are searched: those for which all conditions hold, each by one of its values."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    authors: Values = Field(default=(), description="author ids")
    platforms: Values = Field(default=(), description="as in medium, github, web")
    sources: Values = Field(default=(), description="names of the recipe's sources")
    kinds: Values = Field(default=(), description="as in article, post, code, transcript")
    languages: Values = Field(default=(), description="as in en, zh")
    documents: Values = Field(default=(), description="document ids")
    published_from: datetime | None = Field(
        default=None, description="included; a date alone is its first moment; UTC if it says none"
    )
    published_before: datetime | None = Field(default=None, description="not included")

    @field_validator("published_from", "published_before")
    @classmethod
    def _in_a_zone(cls, moment: datetime | None) -> datetime | None:
        if moment is None or moment.tzinfo is not None:
            return moment
        return moment.replace(tzinfo=UTC)

    @model_validator(mode="after")
    def _can_hold(self) -> Self:
        begin, end = self.published_from, self.published_before
        if begin and end and begin >= end:
            raise ValueError("published_from must be earlier than published_before")
        return self

    def of_chunks(self) -> ChunkFilter | None:
        """As the index takes it; None if there is no condition."""
        values = {
            "author_id": self.authors,
            "platform": self.platforms,
            "source": self.sources,
            "kind": self.kinds,
            "language": self.languages,
            "document_id": self.documents,
        }
        equal = {field: given for field, given in values.items() if given}
        made = ChunkFilter(equal, self.published_from, self.published_before)
        return None if made == ChunkFilter() else made


class Query(BaseModel):
    """A question. What is unset comes from the recipe; the recipe's limits hold in any case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str = Field(min_length=1)
    system: str | None = Field(default=None, description="a caller's own instruction")
    history: tuple[Turn, ...] = Field(default=(), description="earlier turns, oldest first")
    passages: int | None = Field(default=None, ge=1)
    filter: TextsFilter | None = None
    rerank: bool | None = Field(default=None, description="false: as fused, without the reranker")
    expansion: Expansion | None = None
    sources_first: bool | None = Field(
        default=None, description="a stream's first part holds the sources"
    )
    max_new_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int | None = None
    profile: Profile | None = Field(default=None, description="the manner of the answer")
    stop: tuple[str, ...] = ()
    json_schema: str | None = Field(
        default=None, description="text of a JSON schema that the answer has to fit"
    )
    given: tuple[Passage, ...] | None = Field(
        default=None, description="passages to answer from, in place of a search"
    )
    draft: DraftTask | None = Field(
        default=None, description="asks for a draft; the question says so in words"
    )


class SectionBegins(BaseModel):
    """A section of a draft that is about to be written."""

    model_config = ConfigDict(frozen=True)

    number: int = Field(ge=1, description="from 1")
    heading: str


class AnswerPart(BaseModel):
    """A part of an answer that is streamed: text, or at the end the whole `Answer`.

    ``refused`` text says that the author has not written about it. ``sources`` come first, if the
    query asks for that. A draft begins with its ``outline``, and each ``section`` with its sources.
    """

    model_config = ConfigDict(frozen=True)

    outline: tuple[str, ...] | None = None
    section: SectionBegins | None = None
    sources: tuple[Passage, ...] | None = None
    text: str = ""
    refused: bool = False
    answer: Answer | None = None


class TextsQuery(BaseModel):
    """Texts to be embedded, as passages or as questions.

    ``dimensions`` is the length of vector that is wanted; None: whichever the embedder's is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    texts: tuple[str, ...] = Field(min_length=1)
    questions: bool = False
    dimensions: int | None = None


class EmbeddedTexts(BaseModel):
    """Unit vectors in the order of the texts, by the embedder of this id, and the texts' tokens."""

    model_config = ConfigDict(frozen=True)

    embedder: str
    vectors: list[list[float]]
    tokens: int


class FoundPassages(BaseModel):
    """What a search gives, without an answer."""

    model_config = ConfigDict(frozen=True)

    passages: tuple[Passage, ...] = Field(description="best first")
    similarity: float | None = Field(
        default=None, description="cosine of the likest passage; null where only words were matched"
    )
    answerable: bool = Field(
        description="whether the twin would answer from these; false: the texts are too far from it"
    )
    notes: tuple[str, ...] = Field(
        default=(), description="what was done with the question, e.g. a filter read from its words"
    )
