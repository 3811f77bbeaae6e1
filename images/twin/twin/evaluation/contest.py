"""Who is measured against whom, and whether that has been done already."""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from twin.domain.errors import BadDataError, NothingToDo
from twin.evaluation.own_tasks import tasks_digest
from twin.recipes import Recipe
from twin.stores.files import file_digest
from twin.stores.registry import (
    CHAMPION,
    REFERENCE,
    TRIAL,
    ModelVersion,
    Registry,
)

#: Raise it when the same figures are judged in another way: candidates are then judged anew.
GATE_VERSION = "4"

#: Tags that an evaluation leaves on the version.
EVALUATION = "evaluation"
GATE = "gate"
AGAINST = "evaluated_against"
REPORT = "evaluation_report"
RUN = "evaluation_run"
PAGE = "evaluation_page"
#: When a person was asked to approve the version (ISO 8601), and in which run.
ASKED = "approval_asked"
ASKED_BY = "approval_asked_by"
#: The ``key`` of the contest whose outcome a person did not approve.
REJECTED = "approval_rejected"

#: So long another run does not ask; dags/evaluation.py gives up waiting for the answer then.
QUESTION_OPEN = timedelta(days=7)

#: Values of the tag `GATE` (`twin.evaluation.gate.Verdict`, which is not loaded for so little).
PROMOTE = "promote"
HOLD = "hold"
REJECT = "reject"


@dataclass(frozen=True)
class Contest:
    """A candidate and whom it must stand up to. ``key`` names everything the outcome depends on.

    ``reference`` is the champion by which losses are added up, unless it is the champion itself.
    One that is ``measured`` has been judged already, and only a person's approval is wanting.
    """

    candidate: ModelVersion
    champion: ModelVersion | None
    reference: ModelVersion | None
    dataset_version: str
    key: str
    measured: bool = False

    @property
    def against(self) -> str:
        """The champion's version as a tag's value."""
        return self.champion.version if self.champion else "none"


def find_contest(
    registry: Registry, recipe: Recipe, *, run_id: str, again: bool = False
) -> Contest:
    """The contest that is due. Light: a few questions to the registry.

    Where a person must approve, a candidate that the gate does not reject is due again for the run
    that asked (its retry, when the first answer was lost on the way), and for any run once the
    question has been open for `QUESTION_OPEN`; not after a person has rejected it.

    Args:
        registry: where the aliases are.
        recipe: whose model, and how it is to be evaluated.
        run_id: the run that wants to know; all attempts of a run have the same.
        again: measure even if the same has been measured before.

    Raises:
        BadDataError: there is no candidate, or it does not say what it was trained on.
        NothingToDo: the candidate serves already, or has been measured against this champion.
    """
    name = recipe.model_name
    candidate = registry.take_candidate(name)
    if candidate is None:
        raise BadDataError(f"{name} has no candidate: run twin training package first")
    champion = registry.by_alias(name, CHAMPION)
    if champion is not None and champion.weights_digest == candidate.weights_digest:
        raise NothingToDo(f"version {champion.version} of {name} is champion already")
    reference = registry.by_alias(name, REFERENCE) if champion is not None else None
    contest = _contest(candidate, champion, reference, recipe)
    if candidate.tags.get(EVALUATION) != contest.key or again:
        return contest
    _refuse_if_settled(contest, recipe, run_id)
    return replace(contest, measured=True)


def _refuse_if_settled(contest: Contest, recipe: Recipe, run_id: str) -> None:
    """Raise `NothingToDo` unless a person is to be asked about this measured candidate."""
    tags = contest.candidate.tags
    verdict = tags.get(GATE, "no verdict")
    known = (
        f"version {contest.candidate.version} of {contest.candidate.name} has been measured "
        f"against champion {contest.against}: {verdict}"
    )
    asks = recipe.evaluation.gate.require_approval and TRIAL not in tags
    if verdict not in {PROMOTE, HOLD} or not asks:
        raise NothingToDo(known)
    if tags.get(REJECTED) == contest.key:
        raise NothingToDo(f"{known}, but a person has rejected it")
    asked, asked_by = tags.get(ASKED), tags.get(ASKED_BY)
    if asked is None or asked_by == run_id:
        return
    if datetime.now(UTC) - datetime.fromisoformat(asked) < QUESTION_OPEN:
        raise NothingToDo(
            f"{known}; a person was asked on {asked[:10]} in run {asked_by}: "
            "answer there, or run twin evaluation promote"
        )


def _contest(
    candidate: ModelVersion,
    champion: ModelVersion | None,
    reference: ModelVersion | None,
    recipe: Recipe,
) -> Contest:
    dataset_version = candidate.tags.get("dataset_version")
    if not dataset_version:
        raise BadDataError(
            f"version {candidate.version} of {candidate.name} has no tag dataset_version: "
            "its test split cannot be known; run twin training package again"
        )
    if reference is not None and champion is not None:
        same = reference.weights_digest == champion.weights_digest
        reference = None if same else reference
    parts = (
        GATE_VERSION,
        candidate.weights_digest,
        champion.weights_digest if champion else "",
        reference.weights_digest if reference else "",
        dataset_version,
        recipe.digest("evaluation", "retrieval", *(["judge"] if recipe.judge else [])),
        json.dumps(recipe.serving.shaping, sort_keys=True),
        *_people(recipe),
        *filter(None, [tasks_digest(recipe.evaluation.abilities)]),
    )
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return Contest(candidate, champion, reference, dataset_version, key)


def _people(recipe: Recipe) -> list[str]:
    """Digest of people's verdicts on the judge, where the recipe names a file of them."""
    path = recipe.evaluation.judge.calibration
    return [file_digest(path)] if recipe.judge and path and path.is_file() else []
