"""What a rollout writes of a model, as far as the page shows it: ``rollouts/<model>.json``.

Written by the jobs (``twin.domain.rollout.RolloutState``), which Airflow's environment does not
have. A test reads what they write by these classes.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

Action = Literal["pause", "resume", "abort", "rollback"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Version(_Part):
    """A model version that runs, or ran; ``name`` says in which configuration, if not its first."""

    version: str
    name: str = ""

    @property
    def called(self) -> str:
        """Its name; in what older code has written it has none but its number."""
        return self.name or self.version


class Lease(_Part):
    """Who changes what serves, and until when unless it is renewed."""

    run_id: str
    expires: datetime


class Progress(_Part):
    """Where a rollout is, and what its analysis says, a line for each metric."""

    version: str
    step: str
    since: datetime
    figures: tuple[str, ...] = ()


class Event(_Part):
    """One line of a model's history."""

    time: datetime
    run_id: str
    event: str
    version: str
    message: str = ""


class Row(_Part):
    """A running version as the page lists it; ``share`` in percent."""

    version: str
    share: int
    role: str


class RolloutState(_Part):
    """What should be in service for one model; ``versions`` has the settled one first."""

    model: str
    generation: int = 0
    versions: tuple[Version, ...] = ()
    weights: dict[str, int] = {}
    shadow: int = 0
    previous: Version | None = None
    warm: Version | None = None
    warm_until: datetime | None = None
    awaits: str | None = None
    lease: Lease | None = None
    wish: str | None = None
    progress: Progress | None = None
    history: tuple[Event, ...] = ()

    def is_under_way(self, now: datetime) -> bool:
        """Whether a job changes what serves, or did so half a minute ago."""
        return self.lease is not None and self.lease.expires > now

    def is_paused(self, now: datetime) -> bool:
        """Whether the rollout under way stands still until a person says otherwise."""
        return self.is_under_way(now) and self.wish == "pause"

    @property
    def is_half_done(self) -> bool:
        """Whether a version is being brought in; without a lease, by a job that is no more.

        Of a first one nothing has any traffic until it has all.
        """
        return len(self.versions) > 1 or self.shadow > 0 or bool(self.versions and not self.weights)

    @property
    def brought(self) -> str | None:
        """The version that is being brought in."""
        if self.progress is not None:
            return self.progress.version
        return self.versions[-1].called if self.is_half_done else None

    def rows(self) -> Iterator[Row]:
        """The running versions, the settled one first."""
        known = {item.called for item in self.versions}
        for place, item in enumerate(self.versions):
            role = "serves" if place == 0 and item.called in self.weights else "is brought in"
            yield Row(version=item.called, share=self.weights.get(item.called, 0), role=role)
        if self.warm is not None and self.warm.called not in known:
            yield Row(version=self.warm.called, share=0, role="kept warm")

    def actions(self, now: datetime) -> dict[Action, str]:
        """What a person may do now; each with the version that it is about."""
        brought = self.brought or ""
        if self.is_under_way(now):
            if self.wish == "abort":
                return {}
            first: Action = "resume" if self.wish == "pause" else "pause"
            return {first: brought, "abort": brought}
        if self.is_half_done:
            return {"abort": brought}
        return {"rollback": self.previous.called} if self.previous else {}
