"""Whole evaluations of second versions: held, promoted for new knowledge, bounded by the first."""

import pytest

from twin.domain.errors import BadDataError, NothingToDo
from twin.domain.sample import Split
from twin.evaluation.checks import Verdict
from twin.evaluation.evaluate import evaluate
from twin.evaluation.promotion import promote, refer
from twin.evaluation.report import Decision
from twin.stores.registry import CHAMPION, REFERENCE, Registry


@pytest.fixture
def served(world):
    """A world whose first version is champion."""
    world.serve("trained")
    return world


def test_an_equal_candidate_is_held_and_a_person_may_promote_it(served):
    served.package("equal")
    job = served.job()
    evaluate(job)
    assert served.alias(CHAMPION) == "1"
    report = served.report("2")
    assert (report.verdict, report.decision) == (Verdict.HOLD, Decision.HELD)
    assert not report.promoted
    assert [check.name for check in report.checks if not check.passed] == ["gain or new knowledge"]
    assert job.result.detail["verdict"] == "hold"
    assert served.version("2").tags["gate"] == "hold"
    with pytest.raises(NothingToDo, match="measured against champion 1: hold"):
        evaluate(served.job())
    said = served.job()
    promote(said, None)
    assert served.alias(CHAMPION) == "2"
    assert said.result.detail["forced"] is False
    assert "promoted_by_force" not in served.version("2").tags


def test_force_is_recorded_where_it_was_needed_only(served):
    served.package("equal")
    evaluate(served.job())
    promote(served.job(), None, force=True)
    assert "promoted_by_force" not in served.version("2").tags


def test_where_a_person_approves_a_held_candidate_is_asked_about_with_its_reasons(served):
    served.package("equal")
    job = served.job(require_approval=True)
    evaluate(job)
    assert job.result.detail["decision"] == "awaiting approval"
    assert job.result.detail["verdict"] == "hold"
    (reason,) = job.result.detail["reasons"]
    assert "documents that the champion has not (0)" in reason
    assert "approval_asked" in served.version("2").tags


def test_new_documents_at_no_loss_are_a_reason_to_promote(served):
    """What an equal candidate is held for, one that knows more is promoted for."""
    served.data_set("d2", {"article-4": Split.TRAIN})
    served.package("equal", dataset_version="d2")
    job = served.job()
    evaluate(job)
    assert served.alias(CHAMPION) == "2"
    report = served.report("2")
    assert report.new_documents == 1
    assert report.reasons[0].startswith("new knowledge at no loss: learned from 1 document(s)")


def test_the_first_champion_stays_the_reference_until_a_person_moves_it(served):
    served.serve("trained more")
    assert (served.alias(CHAMPION), served.alias(REFERENCE)) == ("2", "1")
    served.package("equal")
    evaluate(served.job())
    report = served.report("3")
    assert {"champion", "reference"} <= set(report.figures[0].gains)
    assert any(check.name == "perplexity against reference" for check in report.checks)
    assert {each.role for each in report.proof.sets} == {"candidate", "champion", "reference"}
    assert report.lineage["reference"] == "1"
    said = served.job()
    refer(said, None)
    assert served.alias(REFERENCE) == "2"
    assert said.result.message.endswith("version 2 is the reference champion; before: 1")
    with pytest.raises(NothingToDo, match="is the reference already"):
        refer(served.job(), "2")
    with pytest.raises(BadDataError, match="has no version 9"):
        refer(served.job(), "9")


def test_a_champion_of_before_there_were_references_becomes_the_reference(world):
    world.package("trained")
    world.package("trained more")
    with Registry(world.settings) as registry:
        registry._set_alias(world.recipe.model_name, CHAMPION, "1")
        registry.promote(world.recipe.model_name, "2")
    assert (world.alias(CHAMPION), world.alias(REFERENCE)) == ("2", "1")


def test_test_documents_that_the_champion_was_trained_on_are_left_out(world):
    world.data_set("d0", {"article-5": Split.TRAIN, "article-6": Split.VALIDATION})
    world.serve("trained", dataset_version="d0")
    world.package("trained more")
    evaluate(world.job())
    report = world.report("2")
    assert sum(report.proof.left_out.values()) == 12
    assert set(report.proof.left_out) == {"document in the champion's training set"}
    assert "12 test samples are left out" in report.proof.text
    titles = {each.title for group in report.groups for each in group.documents}
    assert titles == {f"Article {number}" for number in range(7, 13)}
    assert report.verdict is Verdict.HOLD
    assert any("come from 6 group(s) of documents" in reason for reason in report.reasons)
    assert world.alias(CHAMPION) == "1"


def test_where_no_test_sample_is_clean_nothing_is_proved(world):
    world.data_set("d0", {f"article-{number}": Split.TRAIN for number in range(5, 13)} | {
        "article-0": Split.TEST, "article-1": Split.TEST,
    })  # fmt: skip
    world.serve("trained", dataset_version="d0")
    world.package("trained more")
    evaluate(world.job())
    report = world.report("2")
    assert report.verdict is Verdict.HOLD
    assert any("every test sample is known" in reason for reason in report.reasons)
