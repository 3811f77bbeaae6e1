"""What the replicas of the router tell the rollout that looks at a new version."""

from datetime import datetime
from typing import Annotated

from fastapi import FastAPI, Query

from twin.domain.feedback import KeptAnswer
from twin.domain.observation import RouterReports, Verdict
from twin.serving.access import ROLLOUTS
from twin.serving.observing import Observations, ObservedBackend
from twin.serving.openapi import refusals
from twin.serving.sticky import unit_of

#: A score below this is a thumb down.
GOOD_SCORE = 0.5


def add_rollouts(app: FastAPI, backend: ObservedBackend) -> None:
    """Add ``/v1/rollouts/{model}``."""

    @app.get(ROLLOUTS + "/{model}", responses=refusals(400, 401, 403, 429, 500, 503))
    async def rollout(
        model: str,
        since: Annotated[
            datetime | None,
            Query(description="from when on answers are told of; none: the weights alone"),
        ] = None,
    ) -> RouterReports:
        """What each replica of the router knows of a model: its weights, and how versions answer.

        Takes the right `admin`. Holds nothing of what was asked or answered.
        """
        return await backend.report(model, since)


def note_verdict(observations: Observations, caller: str, kept: KeptAnswer) -> None:
    """Keep what a caller thinks of an answer, for the rollout."""
    feedback = kept.feedback
    if feedback is None or (feedback.thumb is None and feedback.score is None):
        return
    bad = feedback.thumb == "down" or (
        feedback.thumb is None and feedback.score is not None and feedback.score < GOOD_SCORE
    )
    unit = unit_of("conversation", caller, kept.history, kept.answer.question)
    verdict = Verdict(version=kept.answer.model_version, unit=unit, bad=bad)
    observations.judge(kept.answer.model, verdict)
