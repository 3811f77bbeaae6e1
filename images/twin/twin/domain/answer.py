"""What the endpoint gives back."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from twin.domain.draft import Draft


class Passage(BaseModel):
    """A retrieved chunk with its rank (from 1) and score (higher is better)."""

    model_config = ConfigDict(frozen=True)

    rank: int
    score: float
    chunk_id: str
    document_id: str
    revision: str
    url: str
    title: str
    headings: tuple[str, ...] = ()
    text: str
    joined: tuple[str, ...] = Field(
        default=(), description="ids of the chunks around it whose text is shown with it"
    )
    published: datetime | None = Field(default=None, description="null where it is not known")


class Citation(BaseModel):
    """What a source says that supports a sentence of the answer."""

    model_config = ConfigDict(frozen=True)

    source: int = Field(ge=1, description="number of the source: 1 is the first of `sources`")
    start: int = Field(ge=0, description="where the quotation begins in the source's text")
    end: int = Field(ge=0, description="where it ends, in characters (Unicode code points)")
    quote: str = Field(description="the sentence of the source")


class CheckedSentence(BaseModel):
    """A sentence of the answer, checked against the sources."""

    model_config = ConfigDict(frozen=True)

    start: int = Field(ge=0, description="where it begins in the answer")
    end: int = Field(ge=0, description="where it ends, in characters (Unicode code points)")
    supported: bool = Field(description="whether a source says so")
    citations: tuple[Citation, ...] = Field(default=(), description="none if it is not supported")


class Answer(BaseModel):
    """An answer with the lineage that explains it."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    id: str
    question: str
    answer: str
    sources: tuple[Passage, ...] = Field(description="passage n of the prompt is the n-th")
    sentences: tuple[CheckedSentence, ...] = Field(
        default=(),
        description="in order, without those that say too little to be checked; empty where the "
        "answer is that the author has not written about it, and where citations are switched off",
    )
    grounded: bool = Field(
        default=True, description="false: the author's texts say nothing of it, nothing was cited"
    )
    refused: bool = Field(
        default=False, description="the answer is that the author has not written about it"
    )
    model: str = Field(description="registered model, e.g. twin-handbook")
    model_version: str = Field(
        description="name of the version: its number in the registry, with the configuration after "
        "it where that is not the first that it is served with"
    )
    configuration: str = Field(
        default="",
        description="digest of all that shaped the answer beside the weights: prompt, retrieval, "
        "decoding, guardrails; empty in answers kept by older code",
    )
    prompt_version: str = Field(
        default="",
        description="of the words around the question: registry-7 is version 7 in the prompt "
        "registry; empty in answers kept by older code",
    )
    trace_id: str
    finish_reason: str = "stop"
    prompt_tokens: int
    completion_tokens: int
    draft: Draft | None = Field(default=None, description="how it is made up, if it is a draft")
    again: str | None = Field(
        default=None,
        description="id of the earlier answer that this is, given again to a question that asks "
        "the same",
    )
