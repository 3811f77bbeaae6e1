"""What the endpoint has seen of a version's answers, question by question, for whoever compares."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class Observation(BaseModel):
    """One answer, or the failure of one. Holds nothing of what was asked or answered.

    Attributes:
        number: of the observations of one replica of the router, from 1.
        time: when the answer had ended.
        version: that answered, or should have.
        unit: digest of the conversation, or of the caller: answers of one hang together.
        mirrored: the question's own id, where two versions were asked it and one was shown.
        failed: no answer, through no fault of the caller.
        first_seconds: until its first word; None where none came.
        tokens_per_second: after the first word; None where fewer than two came.
        refused: the answer is that the author has not written about it.
        grounded: it comes from passages, and where it was checked a source supports a sentence.
        cleaned: guardrails have taken something out of it.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    time: datetime
    version: str
    unit: str
    mirrored: str = ""
    failed: bool = False
    first_seconds: float | None = None
    tokens_per_second: float | None = None
    refused: bool = False
    grounded: bool = True
    cleaned: bool = False


class Verdict(BaseModel):
    """What a caller thinks of an answer of a version."""

    model_config = ConfigDict(frozen=True)

    version: str
    unit: str
    bad: bool


class RouterReport(BaseModel):
    """What one replica of the router tells of a model.

    Attributes:
        replica: name of the replica, for people; new at each start.
        generation: of the state whose weights it routes by.
        weights: version to percent; None if it knows no such model.
        observations: oldest first.
        verdicts: oldest first.
    """

    model_config = ConfigDict(frozen=True)

    replica: str
    generation: int
    weights: dict[str, int] | None
    observations: tuple[Observation, ...] = ()
    verdicts: tuple[Verdict, ...] = ()


class Gpus(BaseModel):
    """GPUs of all nodes of the cluster that serves, by what Ray has reserved of them."""

    model_config = ConfigDict(frozen=True)

    total: float
    free: float


class RouterReports(BaseModel):
    """What all replicas of the router tell; ``gpus`` is None where that is not known."""

    model_config = ConfigDict(frozen=True)

    replicas: tuple[RouterReport, ...]
    gpus: Gpus | None = None
