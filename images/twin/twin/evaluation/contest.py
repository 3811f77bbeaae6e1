"""Who is measured against whom, and whether that has been done already."""

import hashlib
from dataclasses import dataclass

from twin.domain.errors import BadDataError, NothingToDo
from twin.recipes import Recipe
from twin.stores.registry import CANDIDATE, CHAMPION, ModelVersion, Registry

#: Tags that an evaluation leaves on the version.
EVALUATION = "evaluation"
GATE = "gate"
AGAINST = "evaluated_against"
REPORT = "evaluation_report"
RUN = "evaluation_run"

PASSED = "passed"
REFUSED = "refused"


@dataclass(frozen=True)
class Contest:
    """A candidate and whom it must stand up to. ``key`` names everything the outcome depends on."""

    candidate: ModelVersion
    champion: ModelVersion | None
    dataset_version: str
    key: str

    @property
    def against(self) -> str:
        """The champion's version as a tag's value."""
        return self.champion.version if self.champion else "none"


def find_contest(registry: Registry, recipe: Recipe, *, again: bool = False) -> Contest:
    """The contest that is due. Light: two questions to the registry.

    Args:
        registry: where the aliases are.
        recipe: whose model, and how it is to be evaluated.
        again: measure even if the same has been measured before.

    Raises:
        BadDataError: there is no candidate, or it does not say what it was trained on.
        NothingToDo: the candidate serves already, or has been measured against this champion.
    """
    name = recipe.model_name
    candidate = registry.by_alias(name, CANDIDATE)
    if candidate is None:
        raise BadDataError(f"{name} has no candidate: run twin training package first")
    champion = registry.by_alias(name, CHAMPION)
    if champion is not None and champion.weights_digest == candidate.weights_digest:
        raise NothingToDo(f"version {champion.version} of {name} is champion already")
    contest = _contest(candidate, champion, recipe)
    if candidate.tags.get(EVALUATION) == contest.key and not again:
        raise NothingToDo(
            f"version {candidate.version} of {name} has been measured against "
            f"champion {contest.against}: {candidate.tags.get(GATE, 'no verdict')}"
        )
    return contest


def _contest(candidate: ModelVersion, champion: ModelVersion | None, recipe: Recipe) -> Contest:
    dataset_version = candidate.tags.get("dataset_version")
    if not dataset_version:
        raise BadDataError(
            f"version {candidate.version} of {candidate.name} has no tag dataset_version: "
            "its test split cannot be known; run twin training package again"
        )
    parts = (
        candidate.weights_digest,
        champion.weights_digest if champion else "",
        dataset_version,
        recipe.digest("evaluation"),
    )
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return Contest(candidate, champion, dataset_version, key)
