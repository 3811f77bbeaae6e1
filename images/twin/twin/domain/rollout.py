"""What is in service: model versions, their shares of traffic, and how it came to that."""

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: Percent of a model's traffic; the weights of a model's versions sum to it, or to nothing.
ALL = 100

MAX_EVENTS = 50

#: Sections of a recipe that a replica reads; a change of others is no reason to restart it.
SERVED_SECTIONS = ("name", "author", "features", "prompt", "retrieval", "serving")
#: Of `serving`, what only a rollout reads.
ROLLOUT_KEYS = frozenset({"rollout", "traffic_steps", "step_seconds", "start_timeout_seconds"})


class ServedVersion(BaseModel):
    """A model version with all that a replica needs to answer as it, so that it asks no registry.

    ``recipe`` is the whole recipe as it was when the rollout started. ``weights`` says what lies at
    ``weights_uri``: a whole model, or a LoRA adapter of the base model at ``base_uri``.
    """

    model_config = ConfigDict(frozen=True)

    version: str = Field(pattern=r"^[0-9]+$")
    weights_uri: str
    weights_digest: str
    weights: Literal["merged", "adapter"] = "merged"
    base_uri: str | None = None
    base_digest: str | None = None
    recipe: dict[str, Any]

    @model_validator(mode="after")
    def _adapter_has_its_base(self) -> Self:
        if self.weights == "adapter" and not (self.base_uri and self.base_digest):
            raise ValueError("an adapter needs base_uri and base_digest")
        return self

    @property
    def model_source(self) -> tuple[str, str]:
        """URI and digest of the model with its tokenizer: beside an adapter the base's."""
        if self.weights == "adapter":
            return self.base_uri or "", self.base_digest or ""
        return self.weights_uri, self.weights_digest

    def serves_like(self, other: Self) -> bool:
        """Whether replicas of both would answer alike: same weights, same sections."""
        mine, others = (_served_sections(item.recipe) for item in (self, other))
        return (self.version, self.weights_digest, self.base_digest, mine) == (
            other.version,
            other.weights_digest,
            other.base_digest,
            others,
        )


class RolloutEvent(BaseModel):
    """One line of a model's rollout history."""

    model_config = ConfigDict(frozen=True)

    time: datetime
    run_id: str
    event: str
    version: str
    message: str = ""


class Lease(BaseModel):
    """Who may change what is in service of a model, and until when unless it is renewed.

    ``place`` names the machine, and there the namespace, in which ``pid`` is the holder's process.
    """

    model_config = ConfigDict(frozen=True)

    token: str
    run_id: str
    place: str
    pid: int
    expires: datetime


class Progress(BaseModel):
    """Where a rollout is; ``figures`` are those of its last analysis, as a person reads them."""

    model_config = ConfigDict(frozen=True)

    version: str
    step: str
    since: datetime
    figures: tuple[str, ...] = ()


#: What a person asks of the rollout that is under way.
Wish = Literal["pause", "promote", "abort"]


class RolloutState(BaseModel):
    """What should be in service for one registered model.

    ``versions`` should run, the settled one first and one that is being brought in after it;
    ``weights`` (version to percent) says who answers callers that do not pin a version;
    ``previous`` is what was settled before. ``warm`` runs on without traffic until ``warm_until``,
    so that going back to it is a change of weights. ``shadow`` percent of the questions are asked
    of the version that is being brought in too, whose answers nobody gets. ``generation`` grows
    with each change of what should be in service; each replica of the router tells which it has.

    ``awaits`` is the version that keeps its share until a person has approved it.

    Who holds the ``lease`` alone changes what is in service; anybody may leave a ``wish``, and
    ``progress`` is for whoever looks on.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    generation: int = 0
    versions: tuple[ServedVersion, ...] = ()
    weights: dict[str, int] = Field(default_factory=dict)
    shadow: int = Field(default=0, ge=0, le=ALL)
    previous: ServedVersion | None = None
    warm: ServedVersion | None = None
    warm_until: datetime | None = None
    awaits: str | None = None
    lease: Lease | None = None
    wish: Wish | None = None
    progress: Progress | None = None
    history: tuple[RolloutEvent, ...] = ()

    @model_validator(mode="after")
    def _weights_are_of_versions(self) -> Self:
        unknown = set(self.weights) - {item.version for item in self.versions}
        if unknown:
            raise ValueError(f"weights of versions that should not run: {sorted(unknown)}")
        if self.weights and sum(self.weights.values()) != ALL:
            raise ValueError(f"weights sum to {sum(self.weights.values())}, not {ALL}")
        return self

    @property
    def serving(self) -> ServedVersion | None:
        """The version with the largest share of traffic, if any has one."""
        if not self.weights:
            return None
        largest = max(self.weights, key=lambda version: self.weights[version])
        return self.version(largest)

    @property
    def rollback_target(self) -> ServedVersion | None:
        """What a rollback goes back to: of two that run the settled one, else ``previous``."""
        return self.versions[0] if len(self.versions) > 1 else self.previous

    @property
    def running(self) -> tuple[ServedVersion, ...]:
        """All versions that should run: those of ``versions``, and the warm one."""
        known = {item.version for item in self.versions}
        kept = (self.warm,) if self.warm and self.warm.version not in known else ()
        return (*self.versions, *kept)

    def serves_as(self, other: Self) -> bool:
        """Whether the same is in service by both: versions, weights and what is mirrored."""
        mine, others = (
            (item.versions, item.weights, item.shadow, item.running) for item in (self, other)
        )
        return mine == others

    def version(self, version: str) -> ServedVersion | None:
        """One of the versions that should run."""
        return next((item for item in self.versions if item.version == version), None)


def application_name(model: str, version: str) -> str:
    """Name of the Serve application of a model version; also how a caller pins it."""
    return f"{model}-v{version}"


def _served_sections(recipe: dict[str, Any]) -> dict[str, Any]:
    sections = {name: recipe.get(name) for name in SERVED_SECTIONS}
    serving = sections["serving"] or {}
    kept = {key: value for key, value in serving.items() if key not in ROLLOUT_KEYS}
    return {**sections, "serving": kept}
