"""Blind comparison of drafts: two are shown, one is preferred, then it is said what wrote which.

A vote becomes feedback: a thumb up for the draft that is preferred, a thumb down for the other,
half a score for each of a tie. Both answer one question, so that `twin datasets feedback` sees a
pair in them.
"""

import asyncio
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import Body, FastAPI, Path, Request

from twin.domain.answer import Answer
from twin.domain.draft_comparison import LABELS, Arm, DraftComparison, Label, Preferred
from twin.domain.feedback import Feedback
from twin.serving.answer_book import AnswerBook
from twin.serving.asking import Asked, Asking
from twin.serving.callers import caller_of
from twin.serving.draft_routes import TOPIC, check_lengths
from twin.serving.draft_schema import (
    ArmRequest,
    BlindComparison,
    BlindDraft,
    ComparisonRequest,
    VoteRequest,
)
from twin.serving.errors import ApiError
from twin.serving.openapi import ASKING

TIE = Feedback(score=0.5, comment="as good as the other draft, compared blindly")
WON, LOST = Feedback(thumb="up"), Feedback(thumb="down")

ComparisonId = Annotated[str, Path(description="a comparison's `id`")]
EXAMPLES: dict[str, Any] = {
    "seeds": {
        "summary": "the same model twice",
        "value": {"topic": TOPIC, "length": "short", "arms": [{"seed": 1}, {"seed": 2}]},
    },
    "settings": {
        "summary": "a bolder one",
        "value": {"topic": TOPIC, "arms": [{"temperature": 0.2}, {"temperature": 0.9}]},
    },
}
VOTES: dict[str, Any] = {
    "one": {"summary": "A is better", "value": {"preferred": "A"}},
    "tie": {"summary": "neither is", "value": {"preferred": "tie"}},
}


def add_draft_comparisons(app: FastAPI, asking: Asking) -> None:
    """Add ``/v1/drafts/comparisons``."""

    @app.post("/v1/drafts/comparisons", responses=ASKING)
    async def comparisons(
        request: Annotated[ComparisonRequest, Body(openapi_examples=EXAMPLES)], http: Request
    ) -> BlindComparison:
        """Write two drafts of one topic, for a person to say which is better.

        Which is A is drawn; what wrote them is said after the vote.
        """
        book = _book(asking.book)
        asked = [
            replace(asking.asked(http, arm.model, query), identity=uuid.uuid4().hex)
            for arm, query in zip(request.arms, request.queries(), strict=True)
        ]
        for each in asked:
            check_lengths(request, each.target)
            _check_kept(each)
        answers = await _both(asking, asked)
        arms = [_arm(*each) for each in zip(request.arms, answers, strict=True)]
        drawn = _drawn(list(zip(arms, answers, strict=True)))
        comparison = DraftComparison(
            id=uuid.uuid4().hex,
            expires=datetime.now(UTC)
            + timedelta(days=min(each.target.answers_kept_days for each in asked)),
            arms={label: arm for label, (arm, _) in drawn.items()},
        )
        await book.compare(caller_of(http), comparison)
        blind = [_blind(label, answer) for label, (_, answer) in drawn.items()]
        return BlindComparison(id=comparison.id, drafts=(blind[0], blind[1]))

    @app.post("/v1/drafts/comparisons/{comparison}/feedback", responses=ASKING)
    async def vote(
        comparison: ComparisonId,
        given: Annotated[VoteRequest, Body(openapi_examples=VOTES)],
        http: Request,
    ) -> DraftComparison:
        """Say which draft is better; the reply says what wrote which.

        The first vote stands. It becomes feedback on both drafts.
        """
        return await _decided(_book(asking.book), comparison, given.preferred, caller_of(http))


async def _both(asking: Asking, asked: Sequence[Asked]) -> list[Answer]:
    """The drafts of both, written at the same time; where one fails the other is ended."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asking.answer(each)) for each in asked]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


async def _decided(
    book: AnswerBook, identity: str, preferred: Preferred, caller: str
) -> DraftComparison:
    """The comparison with its vote, once both drafts have their feedback.

    Raises:
        ApiError: 400 if another vote stands, 404 if comparison or drafts are gone, 503.
    """
    try:
        decided = await book.decide(identity, caller, preferred)
    except ApiError as error:
        raise _missing() if error.status == 404 else error from None
    if decided.preferred != preferred:
        raise ApiError(
            400,
            f"the vote is {decided.preferred!r} already, and what wrote which was said",
            code="already_decided",
            param="preferred",
        )
    for label, arm in decided.arms.items():
        await book.judge(arm.draft_id, caller, _feedback(label, preferred))
    return decided


def _feedback(label: Label, preferred: Preferred) -> Feedback:
    if preferred == "tie":
        return TIE
    return WON if label == preferred else LOST


def _drawn(pair: list[tuple[Arm, Answer]]) -> dict[Label, tuple[Arm, Answer]]:
    """The two under labels, in an order that nobody can foresee."""
    first = secrets.randbelow(2)
    return dict(zip(LABELS, (pair[first], pair[1 - first]), strict=True))


def _arm(asked: ArmRequest, answer: Answer) -> Arm:
    return Arm(
        draft_id=answer.id,
        model=answer.model,
        model_version=answer.model_version,
        temperature=asked.temperature,
        top_p=asked.top_p,
        seed=asked.seed,
    )


def _blind(label: Label, answer: Answer) -> BlindDraft:
    return BlindDraft(
        label=label,
        answer=answer.answer,
        sources=answer.sources,
        sentences=answer.sentences,
        refused=answer.refused,
        draft=answer.draft,
    )


def _check_kept(asked: Asked) -> None:
    if not asked.target.answers_kept_days:
        raise ApiError(
            400,
            f"{asked.target.model} keeps no answers, so that no vote could be taken: its recipe "
            "has serving.answers_kept_days: 0",
            code="invalid_value",
        )


def _book(book: AnswerBook | None) -> AnswerBook:
    if book is None:
        raise _missing()
    return book


def _missing() -> ApiError:
    return ApiError(
        404,
        "no such comparison for this key: it was never made, is not kept, or has expired",
        code="comparison_not_found",
    )
