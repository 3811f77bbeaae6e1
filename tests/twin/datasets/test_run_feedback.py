"""`twin datasets feedback`, from a real warehouse: candidates come and go with their answers."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.twin.answers import answer, passage
from tests.twin.datasets.sets import publish, recipe_file, sample
from twin.datasets.gates import Reason
from twin.datasets.run_feedback import make_feedback_pairs
from twin.domain.errors import BadDataError, NothingToDo
from twin.domain.feedback import Feedback, KeptAnswer
from twin.domain.result import JobResult
from twin.domain.sample import Split
from twin.domain.verdict import Decision, Opinion, Verdict, digest_of_pair
from twin.job import Job
from twin.recipes import load_recipe
from twin.stores.answer_records import AnswerRecords
from twin.stores.feedback_pairs import FeedbackPairs
from twin.stores.files import open_files
from twin.stores.verdicts import Verdicts
from twin.stores.warehouse import open_warehouse

SHOWN = passage("d-train", "Every job runs in a pod of its own, and the pod ends with the job.")


@pytest.fixture
def run(stores_settings, tmp_path):
    recipe = load_recipe(str(recipe_file(tmp_path)), tmp_path)

    def run():
        result = JobResult(job="datasets feedback", recipe="ann", run_id="r")
        make_feedback_pairs(Job(recipe, stores_settings, "r", result))
        return result, FeedbackPairs(open_files(stores_settings), "ann").read()

    return run


def judge(settings, name, correction, text="It runs on a ship.", question="Where does it run?"):
    now = datetime.now(UTC)
    given = answer(name, text=text, sources=(SHOWN,)).model_copy(
        update={"model": "twin-ann", "question": question}
    )
    with open_warehouse(settings) as warehouse:
        records = AnswerRecords(warehouse)
        kept = KeptAnswer(answer=given, created=now, expires=now + timedelta(days=1))
        records.add([("caller", kept)])
        records.judge(name, "caller", Feedback(correction=correction), now)


def erase(settings, name):
    with open_warehouse(settings) as warehouse:
        assert AnswerRecords(warehouse).delete(name, "caller", datetime.now(UTC))


def test_candidates_are_made_gated_and_kept_while_their_answers_or_people_keep_them(
    run, stores_settings
):
    with pytest.raises(BadDataError, match="no samples yet"):
        run()
    held = sample("held", Split.TEST, instruction="Which ship does the keeper own?")
    publish(stores_settings, "v1", [sample("a"), held])
    with pytest.raises(NothingToDo, match="0 candidate pairs of 0 judged answers"):
        run()
    judge(stores_settings, "a1", "Every job runs in a pod of its own.")
    judge(stores_settings, "a2", "It sails to Hamburg in the winter.")
    judge(stores_settings, "a3", "None.", question="Which ship does the keeper own?")
    result, pairs = run()
    faults = {each.pair.answer_id: each.fault for each in pairs}
    assert faults["a1"] == ""
    assert faults["a2"].startswith(f"{Reason.UNSUPPORTED.value} (It sails")
    assert faults["a3"].startswith(Reason.HELD_OUT.value)
    assert (result.counts.read, result.counts.written, result.counts.skipped) == (3, 3, 0)
    assert result.detail["faults"] == 2
    assert result.uris["feedback"].endswith("datasets/ann/feedback.json")
    with pytest.raises(NothingToDo, match="3 candidate pairs of 3 judged answers are known"):
        run()
    # Its caller erases two; a person wants one of these.
    second = next(each for each in pairs if each.pair.answer_id == "a2").pair
    opinion = Opinion(person="1", decision=Decision.KEEP)
    verdict = Verdict(
        sample=second.id, seen=digest_of_pair(second), document_id="d-train", opinions=(opinion,)
    )
    Verdicts(open_files(stores_settings), "ann", on_pairs=True).update((), [verdict])
    erase(stores_settings, "a2")
    erase(stores_settings, "a3")
    _, pairs = run()
    assert {each.pair.answer_id for each in pairs} == {"a1", "a2"}
