"""Which version answers: by pin, or by the weights that the rollout has set."""

import random
import re
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from twin.domain.rollout import NAME, application_name, registered_number
from twin.serving.errors import ApiError
from twin.serving.sticky import Sticky

PINNED = re.compile(rf"(?P<model>.+)-v(?P<version>{NAME})")

#: Of tables that older code has written.
DAYS_KEPT = 30

Percent = Annotated[int, Field(ge=0, le=100)]


class ModelRoute(BaseModel):
    """A model's running versions, by name, with their weights (0: answers only those who pin it).

    ``prompts`` names the prompt that each version is asked by; ``probe_question`` is what a version
    is tried with; ``notice`` is what the page says of who answers. ``generation`` is of the
    rollout's state that the weights come from, ``sticky`` what stays with one version while several
    have weights. ``mirror`` is the version that is being brought in, if one is: ``shadow`` percent
    of the questions are asked of it too, and where it fails a question the settled one is asked.
    """

    model_config = ConfigDict(frozen=True)

    versions: dict[str, Percent]
    max_question_characters: int
    answers_kept_days: int = DAYS_KEPT
    author: str = ""
    prompts: dict[str, str] = Field(default_factory=dict)
    probe_question: str = ""
    notice: str = ""
    generation: int = 0
    sticky: Sticky = "conversation"
    shadow: Percent = 0
    mirror: str | None = None


@dataclass(frozen=True)
class Target:
    """The application that a request goes to; ``pinned``: its caller has named the version."""

    model: str
    version: str
    max_question_characters: int
    answers_kept_days: int = DAYS_KEPT
    pinned: bool = False
    prompt: str = ""

    @property
    def application(self) -> str:
        """Name of the Serve application."""
        return application_name(self.model, self.version)


class RoutingTable(BaseModel):
    """Everything that the router knows; replaced as a whole, so a request sees one state of it."""

    model_config = ConfigDict(frozen=True)

    models: dict[str, ModelRoute] = Field(default_factory=dict)
    allowed: frozenset[str] | None = None
    """Models that whoever asks may ask for; None: all."""

    @classmethod
    def empty(cls) -> Self:
        """The table of a router before its first rollout."""
        return cls()

    def target(self, name: str | None, *, draw: float | None = None) -> Target:
        """The version that answers a request for ``name``: a model, or one pinned.

        ``…-v7-1f3a09bc`` pins version 7 in one configuration; ``…-v7`` the first, and where that
        does not run any more the one with the largest share.

        ``draw`` in [0, 1) decides among weighted versions; drawn at random if not given.

        Raises:
            ApiError: 404 if it is not in service, 400 if no name is given and there are several,
                403 if it is not among those allowed, whether it is in service or not.
        """
        if name is None:
            name = self._only()
        self._check_allowed(name)
        if name in self.models:
            version = self._draw(name, random.random() if draw is None else draw)  # noqa: S311
            return self._target(name, version)
        pinned = PINNED.fullmatch(name)
        found = self._named(pinned["model"], pinned["version"]) if pinned else None
        if pinned and found:
            return self._target(pinned["model"], found, pinned=True)
        raise ApiError.unknown_model(name, sorted(self._served()))

    def sticky(self, name: str | None) -> Sticky:
        """What stays with one version of the model of this name."""
        route = self.models.get(name or next(iter(self._served()), ""))
        return route.sticky if route else "conversation"

    def only(self, models: frozenset[str] | None) -> "RoutingTable":
        """The table as one sees it who may ask for these models alone; None: for all."""
        if models is None:
            return self
        routes = {name: route for name, route in self.models.items() if name in models}
        return RoutingTable(models=routes, allowed=models)

    def names(self) -> list[str]:
        """What may be asked for: every model with traffic, and every running version."""
        pinned = [
            application_name(model, version)
            for model, route in self.models.items()
            for version in route.versions
        ]
        return sorted(self._served() + pinned)

    def applications(self) -> set[str]:
        """Names of all applications that requests may go to."""
        return {
            application_name(model, version)
            for model, route in self.models.items()
            for version in route.versions
        }

    def _check_allowed(self, name: str) -> None:
        if self.allowed is None or name in self.allowed:
            return
        pinned = PINNED.fullmatch(name)
        if pinned is None or pinned["model"] not in self.allowed:
            raise ApiError.forbidden(f"this key may not ask {name!r}", param="model")

    def _only(self) -> str:
        served = self._served()
        if len(served) == 1:
            return served[0]
        if not served:
            raise ApiError.unknown_model("", [])
        raise ApiError(
            400,
            f"several models are in service, name one: {', '.join(sorted(served))}",
            code="model_required",
            param="model",
        )

    def _served(self) -> list[str]:
        return [model for model, route in self.models.items() if any(route.versions.values())]

    def _versions(self, model: str) -> dict[str, int]:
        route = self.models.get(model)
        return route.versions if route else {}

    def _named(self, model: str, name: str) -> str | None:
        """The running version of this name, or of this number."""
        versions = self._versions(model)
        if name in versions:
            return name
        same = [each for each in versions if registered_number(each) == name]
        return max(same, key=versions.__getitem__, default=None)

    def _draw(self, model: str, draw: float) -> str:
        weights = self._versions(model)
        point = draw * sum(weights.values())
        for version, weight in weights.items():
            if point < weight:
                return version
            point -= weight
        raise ApiError.unknown_model(model, sorted(self._served()))

    def _target(self, model: str, version: str, *, pinned: bool = False) -> Target:
        route = self.models[model]
        return Target(
            model,
            version,
            route.max_question_characters,
            route.answers_kept_days,
            pinned,
            route.prompts.get(version, ""),
        )

    def spare(self, target: Target) -> Target | None:
        """The settled version, for a question that the one that is brought in has failed."""
        route = self.models.get(target.model)
        if route is None or target.pinned or target.version != route.mirror:
            return None
        settled = next((version for version in route.versions if version != route.mirror), None)
        return self._target(target.model, settled, pinned=True) if settled else None

    def mirror(self, target: Target, draw: float) -> Target | None:
        """The version that is asked the same question, if ``draw`` in [0, 1) says so."""
        route = self.models.get(target.model)
        if route is None or route.mirror is None or target.pinned:
            return None
        if target.version == route.mirror or draw * 100 >= route.shadow:
            return None
        return self._target(target.model, route.mirror, pinned=True)
