"""Paths of answers that were given: read again, and judged."""

from typing import Annotated

from fastapi import Body, FastAPI, Path, Request

from twin.domain.feedback import Feedback, KeptAnswer
from twin.serving.answer_book import AnswerBook
from twin.serving.callers import caller_of
from twin.serving.errors import ApiError
from twin.serving.observing import Observations
from twin.serving.openapi import ASKING, READING
from twin.serving.rollout_routes import note_verdict
from twin.serving.schema import FeedbackRequest

AnswerId = Annotated[
    str,
    Path(description="an answer's `id`, or a completion's `answer_id`"),
]

EXAMPLES = {
    "thumb": {"summary": "a thumb", "value": {"thumb": "up"}},
    "correction": {
        "summary": "a better answer",
        "value": {
            "thumb": "down",
            "score": 0.2,
            "correction": "A pod states what it needs and gives it back.",
            "comment": "It spoke of virtual machines.",
        },
    },
}


def add_feedback(app: FastAPI, book: AnswerBook | None, observations: Observations) -> None:
    """Add the paths; without a book no answer is kept."""

    @app.get("/v1/answers/{answer_id}", responses=READING)
    async def kept_answer(answer_id: AnswerId, request: Request) -> KeptAnswer:
        """An answer that this key was given, as it was given, with the feedback on it."""
        return await _kept(book).find(answer_id, caller_of(request))

    @app.post("/v1/answers/{answer_id}/feedback", responses=ASKING)
    async def feedback(
        answer_id: AnswerId,
        given: Annotated[FeedbackRequest, Body(openapi_examples=EXAMPLES)],
        request: Request,
    ) -> KeptAnswer:
        """Judge an answer that this key was given: thumb, score, correction, comment, or several.

        Sent again, it takes the place of what was sent before.
        """
        judged = Feedback.model_validate(given.model_dump())
        caller = caller_of(request)
        kept = await _kept(book).judge(answer_id, caller, judged)
        note_verdict(observations, caller, kept)
        return kept


def _kept(book: AnswerBook | None) -> AnswerBook:
    if book is None:
        raise ApiError(404, "answers are not kept here", code="answer_not_found")
    return book
