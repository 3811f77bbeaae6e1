"""When a candidate that has been measured is due again."""

from datetime import UTC, datetime, timedelta

import pytest

from twin.domain.errors import NothingToDo
from twin.evaluation import contest as contests
from twin.evaluation.contest import (
    ASKED,
    ASKED_BY,
    GATE,
    HOLD,
    PROMOTE,
    QUESTION_OPEN,
    REJECT,
    REJECTED,
    Contest,
)
from twin.recipes import Recipe
from twin.stores.registry import TRIAL, ModelVersion


def recipe(*, asks: bool) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "toy",
            "author": {"id": "ann", "name": "Ann"},
            "sources": [{"name": "site", "kind": "folder", "path": "."}],
            "evaluation": {"gate": {"require_approval": asks}},
        }
    )


def is_due(tags: dict[str, str], *, asks: bool = True, run_id: str = "r1") -> bool:
    candidate = ModelVersion("twin-toy", "2", "s3://b/w", "d2", "run", tags)
    contest = Contest(
        candidate=candidate, champion=None, reference=None, dataset_version="s1", key="this"
    )
    try:
        contests._refuse_if_settled(contest, recipe(asks=asks), run_id)
    except NothingToDo:
        return False
    return True


@pytest.mark.parametrize("verdict", [PROMOTE, HOLD])
def test_a_person_is_asked_about_what_is_not_rejected(verdict: str) -> None:
    assert is_due({GATE: verdict})
    assert not is_due({GATE: verdict}, asks=False)
    assert not is_due({GATE: verdict, TRIAL: "training.epochs=2"})


@pytest.mark.parametrize("tags", [{GATE: REJECT}, {}])
def test_nobody_is_asked_about_anything_else(tags: dict[str, str]) -> None:
    assert not is_due(tags)


def test_a_rejection_holds_for_what_was_measured() -> None:
    assert not is_due({GATE: HOLD, REJECTED: "this"})
    assert is_due({GATE: HOLD, REJECTED: "another"}), "against another champion, say"


@pytest.mark.parametrize(
    ("asked_by", "ago", "due"),
    [
        ("r1", timedelta(0), True),
        ("r0", timedelta(0), False),
        ("r0", QUESTION_OPEN - timedelta(minutes=1), False),
        ("r0", QUESTION_OPEN + timedelta(minutes=1), True),
    ],
)
def test_a_question_is_open_for_others_until_its_time_is_over(
    asked_by: str, ago: timedelta, due: bool
) -> None:
    asked = (datetime.now(UTC) - ago).isoformat()
    assert is_due({GATE: PROMOTE, ASKED: asked, ASKED_BY: asked_by}) == due
