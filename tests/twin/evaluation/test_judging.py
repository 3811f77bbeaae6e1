"""The judge in an evaluation, over a real HTTP endpoint: what it says, and what if it does not."""

import json
import time

import pytest

from tests.openai_server import openai_server, refuses, says
from tests.twin.evaluation.test_people_pairs import COMPARISONS, annotated
from tests.twin.rag.test_judge import by, longer
from twin.domain.result import JobResult
from twin.domain.sample import InstructSample, Split
from twin.evaluation.checks import Verdict
from twin.evaluation.held_out import hold_out
from twin.evaluation.judging import ask_judge, judge_doubts, preference_checks
from twin.evaluation.people_pairs import task_of, write_tasks
from twin.evaluation.transcripts import Transcript
from twin.job import Job
from twin.recipes import Recipe
from twin.stores.files import open_files

DOCUMENTS = 12
LONG, SHORT = "A longer answer to it.", "Short."


@pytest.fixture
def held_out():
    samples = [
        InstructSample(
            id=f"s{number}",
            split=Split.TEST,
            instruction=f"What of {number}?",
            context=(f"Passage {number}.",) if number % 2 else (),
            answer=f"The author's {number}.",
            document_id=f"d{number}",
            revision="r",
            chunk_id=f"c{number}",
            title="T",
            url="https://example.org",
        )
        for number in range(DOCUMENTS)
    ]
    groups = {sample.document_id: sample.document_id for sample in samples}
    return hold_out(samples, groups, "Ada", max_samples=99, seed=1)


def transcripts(better=9):
    """The candidate's answers are the longer ones on so many questions."""
    scored = ((-1.0, 1),) * DOCUMENTS
    mine = [LONG] * better + [SHORT] * (DOCUMENTS - better)
    theirs = [SHORT] * better + [LONG] * (DOCUMENTS - better)
    return {
        "candidate": Transcript(answers=tuple(mine), scored=scored),
        "base": Transcript(answers=tuple(theirs), scored=scored),
        "champion": Transcript(answers=tuple(mine), scored=scored),
    }


@pytest.fixture
def people(tmp_path):
    """Verdicts of people who prefer the longer answer, as the judge does, but for some."""
    export = []
    for number, pair in enumerate(COMPARISONS * 2):
        length = " and more" * 3
        first, second = (
            (pair.first + length, pair.second) if number % 2 else (pair.first, pair.second + length)
        )
        task = task_of(
            type(pair)(f"{pair.question} {number}", pair.passages, first, second), f"d{number % 20}"
        )
        liked = "mine" if bool(number % 2) != (number in {3, 8, 9, 14}) else "theirs"
        export.append(annotated(task, liked))
    path = tmp_path / "people.json"
    write_tasks(path, export)
    return path


def job_of(settings, url, **judging):
    recipe = Recipe.model_validate(
        {
            "name": "ada",
            "author": {"id": "ada", "name": "Ada"},
            "sources": [{"kind": "folder", "name": "texts", "path": "texts"}],
            "judge": {"base_url": url, "model": "a-judge", "retries": 0, "concurrency": 1},
            "evaluation": {
                "judge": {k: str(v) if k == "calibration" else v for k, v in judging.items()}
            },
        }
    )
    return Job(recipe, settings, "r1", JobResult(job="evaluation", recipe="ada", run_id="r1"))


def ask(settings, held_out, *answers, said=None, **judging):
    with openai_server(*answers) as endpoint:
        job = job_of(settings, endpoint.url, **judging)
        report = ask_judge(job, held_out, said or transcripts(), open_files(settings))
    return report, job.recipe.evaluation.gate, endpoint.bodies


def test_win_rates_over_base_and_champion_with_intervals_over_documents(settings, held_out):
    report, gate, bodies = ask(settings, held_out, by(longer))
    base, champion = report.preferences
    assert (base.opponent, base.wins, base.ties, base.losses, base.unread) == ("base", 9, 0, 3, 0)
    assert (base.rate.value, base.rate.groups) == (0.75, DOCUMENTS)
    assert 0.4 < base.rate.low < 0.75 < base.rate.high <= 1
    assert (champion.opponent, champion.ties, champion.rate.value) == ("champion", 12, 0.5)
    assert base.corrected is None
    assert "nobody has compared the judge with people" in report.doubt
    assert preference_checks(report, gate) == judge_doubts(report) == ()
    shown = [json.loads(body["messages"][1]["content"]) for body in bodies]
    memory = next(each for each in shown if each["question"] == "What of 0?")
    assert memory["passages"] == ["The author's 0."]
    again, _, bodies = ask(settings, held_out, by(longer))
    assert (again, bodies) == (report, []), "replies are kept"


def test_corrected_by_people_the_judge_is_a_check_where_the_recipe_says_so(
    settings, held_out, people
):
    report, gate, _ = ask(settings, held_out, by(longer), calibration=people)
    assert (report.calibration.pairs, report.calibration.groups) == (40, 20)
    assert report.calibration.sensitivity.value == pytest.approx(0.9, abs=0.05)
    assert report.calibration.kappa.value == pytest.approx(0.8, abs=0.05)
    assert report.doubt == ""
    base, champion = report.preferences
    assert base.corrected.value > base.rate.value
    assert base.corrected.error > base.rate.error
    assert champion.corrected.value == pytest.approx(0.5, abs=0.05)
    assert preference_checks(report, gate) == ()

    deciding, gate, _ = ask(settings, held_out, by(longer), calibration=people, decides=True)
    against_base, against_champion = preference_checks(deciding, gate)
    assert against_base.name == "judge against base"
    assert against_base.passed
    assert against_champion.threshold == pytest.approx(0.4)
    assert against_champion.otherwise in {Verdict.HOLD, Verdict.REJECT}
    worse, gate, _ = ask(
        settings, held_out, by(longer), said=transcripts(0), calibration=people, decides=True
    )
    lost = preference_checks(worse, gate)[0]
    assert (lost.passed, lost.otherwise) == (False, Verdict.REJECT)
    assert lost.text.endswith("the better end must be at least 40.0%: FAILED")


def junk_to_most(handler):
    """Verdicts on people's pairs, and on few of the others."""
    asked = json.loads(handler.body["messages"][1]["content"])
    readable = asked["passages"] == ["Two.", "Passages."] or "What of 1" in asked["question"]
    (by(longer) if readable else says(["I like both."]))(handler)


def slowly(handler):
    """A group of replies takes longer than the second that the recipe allows."""
    time.sleep(0.05)
    by(longer)(handler)


@pytest.mark.parametrize(
    ("answer", "settings_of_judge", "doubt"),
    [
        (refuses(503), {}, "the judge gave no verdicts: "),
        (refuses(401), {}, "the judge gave no verdicts: "),
        (says(["I like both."]), {}, "gave no reply that can be read to any of"),
        (junk_to_most, {}, "gave no verdict that can be read on"),
        (by(lambda one, two: "tie"), {}, "can't be told from guessing"),
        (slowly, {"max_seconds": 1}, "slower than evaluation.judge.max_seconds"),
        (by(longer), {"calibration": "nowhere.json"}, "nowhere.json is not there"),
    ],
    ids=["down", "refused", "junk", "mostly junk", "useless", "slow", "no verdicts of people"],
)
def test_a_judge_that_is_no_help_holds_the_candidate_only_where_it_decides(
    settings, held_out, people, monkeypatch, answer, settings_of_judge, doubt
):
    monkeypatch.chdir(people.parent)
    asked = {"calibration": people, **settings_of_judge}
    for decides in (False, True):
        report, gate, _ = ask(settings, held_out, answer, decides=decides, **asked)
        assert doubt in report.doubt
        assert preference_checks(report, gate) == ()
        held = judge_doubts(report)
        assert len(held) == decides
        assert not held or held[0].endswith("and the recipe makes the judge decide")


def test_without_a_judge_nobody_is_asked(settings, held_out):
    job = job_of(settings, "http://127.0.0.1:1")
    job.recipe = job.recipe.model_copy(update={"judge": None})
    assert ask_judge(job, held_out, transcripts(), open_files(settings)) is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"evaluation": {"judge": {"decides": True}}}, "decides needs calibration"),
        (
            {"evaluation": {"judge": {"decides": True, "calibration": "x.json"}}, "judge": None},
            "needs a judge: name one",
        ),
    ],
)
def test_a_recipe_whose_judge_cannot_decide_is_refused(settings, fields, said):
    whole = job_of(settings, "http://127.0.0.1:1").recipe.model_dump(mode="json")
    with pytest.raises(ValueError, match=said):
        Recipe.model_validate(whole | fields)


def test_verdicts_of_people_that_change_are_another_contest(settings, people):
    from twin.evaluation.contest import _contest
    from twin.stores.registry import ModelVersion

    version = ModelVersion("twin-ada", "1", "u", "d", "r", {"dataset_version": "d1"})
    recipe = job_of(settings, "http://127.0.0.1:1", calibration=people).recipe
    before = _contest(version, None, None, recipe).key
    assert _contest(version, None, None, recipe).key == before
    people.write_text("[]")
    assert _contest(version, None, None, recipe).key != before
