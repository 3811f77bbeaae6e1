"""The small JSON result that every job leaves behind."""

from pydantic import BaseModel, Field


class Counts(BaseModel):
    """Items a job took in, gave out, left alone, and could not use."""

    read: int = 0
    written: int = 0
    skipped: int = 0
    failed: int = 0


class JobResult(BaseModel):
    """What a job did. ``detail`` carries a stage's own figures."""

    job: str
    recipe: str
    run_id: str
    status: str = "done"
    message: str = ""
    counts: Counts = Field(default_factory=Counts)
    failures: dict[str, str] = Field(
        default_factory=dict, description="failed or skipped item to reason, the first 50"
    )
    ids: dict[str, str] = Field(default_factory=dict)
    uris: dict[str, str] = Field(default_factory=dict)
    detail: dict[str, object] = Field(default_factory=dict)
    seconds: float = 0.0
    peak_memory_mb: float = 0.0
