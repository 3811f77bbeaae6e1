"""What is in service: model versions, their shares of traffic, and how it came to that."""

import hashlib
import json
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
#: Of `serving`, what changes how many answer, and no answer: Serve scales what runs.
SIZE_KEYS = frozenset({"replicas", "autoscaling", "version_replicas", "max_queued_requests"})
#: Of these, what makes a shared engine another one, which has to start beside the first.
SHARED_SIZE_KEYS = frozenset({"replicas", "autoscaling"})

#: What a served version is called: its number, and its configuration if it is not the first.
NAME = r"[0-9]+(?:-[0-9a-f]{8})?"


class ServedVersion(BaseModel):
    """A model version with all that a replica needs to answer as it, so that it asks no registry.

    ``recipe`` is the whole recipe as it was when the rollout started. ``weights`` says what lies at
    ``weights_uri``: a whole model, or a LoRA adapter of the base model at ``base_uri``.

    One ``version`` of the registry may be served in several configurations, side by side. ``name``
    tells them apart: 7 is version 7 as it was first served, 7-1f3a09bc the same with the
    configuration of that digest. ``engine`` is the name of the one whose engine writes: its own, or
    one that has run with the same weights and knobs.
    """

    model_config = ConfigDict(frozen=True)

    version: str = Field(pattern=r"^[0-9]+$")
    name: str = Field(default_factory=lambda data: data.get("version", ""), pattern=f"^{NAME}$")
    engine: str = Field(default_factory=lambda data: data.get("name", ""), pattern=f"^{NAME}$")
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

    @property
    def configuration(self) -> str:
        """Digest of all that shapes an answer beside the weights: prompt, retrieval, decoding.

        Of an adapter also how many replicas its engine has, which it shares with others.
        """
        kept = SHARED_SIZE_KEYS if self.weights == "adapter" else frozenset()
        sections = _served_sections(self.recipe, ROLLOUT_KEYS | SIZE_KEYS - kept)
        content = json.dumps(sections, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:8]

    def answers_like(self, other: Self) -> bool:
        """Whether both answer alike: same weights, same configuration."""
        return (*self._weights, self.configuration) == (*other._weights, other.configuration)

    def serves_like(self, other: Self) -> bool:
        """Whether both answer alike, and as many replicas do."""
        mine, others = (_served_sections(item.recipe, ROLLOUT_KEYS) for item in (self, other))
        return (*self._weights, mine) == (*other._weights, others)

    @property
    def _weights(self) -> tuple[str | None, ...]:
        return (self.version, self.weights_digest, self.base_digest)


class RolloutEvent(BaseModel):
    """One line of a model's rollout history.

    ``version`` is the name of what was served, ``configuration`` the digest of its own, which lines
    of older code have not.
    """

    model_config = ConfigDict(frozen=True)

    time: datetime
    run_id: str
    event: str
    version: str
    message: str = ""
    configuration: str = ""

    def is_of(self, served: ServedVersion) -> bool:
        """Whether it is about this version in this configuration."""
        known = self.configuration in ("", served.configuration)
        return known and registered_number(self.version) == served.version


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
    ``weights`` (name of a version to percent) says who answers callers that do not pin a version;
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
        unknown = set(self.weights) - {item.name for item in self.versions}
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
        known = {item.name for item in self.versions}
        kept = (self.warm,) if self.warm and self.warm.name not in known else ()
        return (*self.versions, *kept)

    @property
    def shares(self) -> dict[str, int]:
        """Percent of the traffic of everything that should run, by name: what routers have."""
        return {item.name: self.weights.get(item.name, 0) for item in self.running}

    def serves_as(self, other: Self) -> bool:
        """Whether the same is in service by both: versions, weights and what is mirrored."""
        mine, others = (
            (item.versions, item.weights, item.shadow, item.running) for item in (self, other)
        )
        return mine == others

    def version(self, name: str) -> ServedVersion | None:
        """One of the versions that should run, by its name."""
        return next((item for item in self.versions if item.name == name), None)


def application_name(model: str, version: str) -> str:
    """Name of the Serve application of a served version; also how a caller pins it.

    Args:
        model: registered model.
        version: name of the version (`ServedVersion.name`).
    """
    return f"{model}-v{version}"


def registered_number(name: str) -> str:
    """The registry's version of what is served under a name: 7 of 7-1f3a09bc."""
    return name.partition("-")[0]


def _served_sections(recipe: dict[str, Any], without: frozenset[str]) -> dict[str, Any]:
    sections = {name: recipe.get(name) for name in SERVED_SECTIONS}
    serving = sections["serving"] or {}
    kept = {key: value for key, value in serving.items() if key not in without}
    return {**sections, "serving": kept}
