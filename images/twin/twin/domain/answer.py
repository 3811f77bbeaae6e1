"""What the endpoint gives back."""

from pydantic import BaseModel, ConfigDict, Field


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


class Answer(BaseModel):
    """An answer with the lineage that explains it."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    id: str
    question: str
    answer: str
    sources: tuple[Passage, ...] = Field(description="passage n of the prompt is the n-th")
    grounded: bool = Field(
        default=True, description="false: the author's texts say nothing of it, nothing was cited"
    )
    model: str = Field(description="registered model, e.g. twin-handbook")
    model_version: str
    trace_id: str
    finish_reason: str = "stop"
    prompt_tokens: int
    completion_tokens: int
