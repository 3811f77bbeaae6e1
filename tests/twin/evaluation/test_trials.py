"""A version trained with other values than the recipe's is promoted by a person only."""

import pytest

from twin.domain.errors import NothingToDo
from twin.evaluation.evaluate import evaluate
from twin.evaluation.promotion import promote
from twin.stores.audit import Audit
from twin.stores.registry import CHAMPION, TRIAL
from twin.stores.warehouse import open_warehouse


def test_a_trial_that_passes_the_gate_stays_candidate_until_a_person_promotes_it(world):
    world.package("trained", **{TRIAL: "training.sft.max_steps=12"})
    job = world.job()
    evaluate(job)
    assert job.result.detail["decision"] == "trial"
    assert job.result.detail["promoted"] is False
    assert world.alias(CHAMPION) is None
    assert world.version("1").tags["gate"] == "promote"
    with pytest.raises(NothingToDo, match="has been measured against champion none: promote"):
        evaluate(world.job("r2"))
    promote(world.job(), None)
    assert world.alias(CHAMPION) == "1"
    with open_warehouse(world.settings) as warehouse:
        (entry,) = Audit(warehouse).entries(9)
    assert (entry.action, entry.run_id) == ("promoted", "r1")
    assert entry.subject == f"{world.recipe.model_name} version 1"
    assert entry.detail == {"before": "none", "forced": False}


def test_where_a_person_approves_nobody_is_asked_about_a_trial(world):
    world.package("trained", **{TRIAL: "training.sft.max_steps=12"})
    evaluate(world.job(require_approval=True))
    assert "approval_asked" not in world.version("1").tags
    with pytest.raises(NothingToDo, match="has been measured against champion none: promote"):
        evaluate(world.job("r2", require_approval=True))
