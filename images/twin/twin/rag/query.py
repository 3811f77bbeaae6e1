"""What goes into the chain and what comes out piece by piece, as plain data."""

from pydantic import BaseModel, ConfigDict, Field

from twin.domain.answer import Answer
from twin.domain.conversation import Turn


class Query(BaseModel):
    """A question. What is unset comes from the recipe; the recipe's limits hold in any case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str = Field(min_length=1)
    system: str | None = Field(default=None, description="a caller's own instruction")
    history: tuple[Turn, ...] = Field(default=(), description="earlier turns, oldest first")
    passages: int | None = Field(default=None, ge=1)
    max_new_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int | None = None
    stop: tuple[str, ...] = ()
    json_schema: str | None = Field(
        default=None, description="text of a JSON schema that the answer has to fit"
    )


class AnswerPart(BaseModel):
    """A part of an answer that is streamed: text, or at the end the whole `Answer`.

    ``refused`` text says that the author has not written about it.
    """

    model_config = ConfigDict(frozen=True)

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
