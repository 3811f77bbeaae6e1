"""The whole evaluation, on models that really differ, with real stores."""

import json
import subprocess
import sys
import time
from datetime import datetime, timedelta

import pytest
import yaml
from mlflow import MlflowClient

from tests.forked_twin import run_twin
from twin.domain.errors import BadDataError, NothingToDo, TryAgainError
from twin.evaluation.approval_text import evidence
from twin.evaluation.authorship import METHODS, TOGETHER
from twin.evaluation.checks import Verdict
from twin.evaluation.evaluate import evaluate
from twin.evaluation.promotion import promote, reject
from twin.evaluation.report import Decision, read_report
from twin.recipes import StyleSection
from twin.stores.files import open_files
from twin.stores.registry import CHAMPION, PREVIOUS, REFERENCE, Registry


def test_a_candidate_that_learned_is_promoted(unmeasured):
    """The report says why, and is in the file store and in the run."""
    world = unmeasured
    world.package("trained")
    job = world.job()
    evaluate(job)
    assert world.alias(CHAMPION) == "1"
    assert job.result.detail["promoted"] is True
    assert job.counts.read == 8
    says_why(world.report("1"))
    is_published(world, job)
    with pytest.raises(NothingToDo, match=r"version 1 of .* is champion already"):
        evaluate(world.job())


def says_why(report):
    assert report.decision is Decision.PROMOTED
    assert report.verdict is Verdict.PROMOTE
    assert report.reasons[0].startswith("first version: perplexity falls by")
    assert (report.documents, len(report.groups)) == (8, 8)
    assert sum(group.samples for group in report.groups) == 8
    assert report.proof.left_out == {}
    assert report.proof.text.startswith("none of the 8 test documents is in the training set of")
    figures = {figure.name: figure for figure in report.figures}
    perplexity = figures["perplexity"]
    assert perplexity.values["candidate"].high < perplexity.values["base"].low
    assert perplexity.gains["base"].low > 0.02
    assert "champion" not in perplexity.values
    assert figures["style_similarity"].values["author"].value > 0.5
    assert report.retrieval.recall.value > 0.8
    assert report.lineage["dataset_version"] == "d1"
    assert report.answered_by == "transformers"
    assert set(report.apart) == {"from memory", "from passages"}
    assert set(report.apart["from passages"]["ROUGE-L"]) == {"candidate", "base"}
    assert "Faithfulness" not in report.apart["from memory"]
    assert set(report.speed) == {"candidate", "base"}
    assert report.flat()["candidate.seconds"] == report.speed["candidate"].seconds.value > 0
    assert report.memorised.extraction.passages == 2
    assert {"no personal data", "no training text by heart"} <= {c.name for c in report.checks}
    assert len(report.side_by_side) == 8
    assert all(set(shown.answers) == {"candidate", "base"} for shown in report.side_by_side)


def is_published(world, job):
    files = open_files(world.settings)
    folder = f"reports/{world.recipe.model_name}/1"
    names = {
        "report.json",
        "report.md",
        "report.html",
        "answers.json",
        "figures.png",
        "gains.png",
        "passages.png",
    }
    assert names <= set(files.names(folder))
    assert files.read_bytes(f"{folder}/gains.png").startswith(b"\x89PNG")
    text = files.read_text(f"{folder}/report.md")
    assert text.startswith(f"# {world.recipe.model_name} version 1: promoted to champion")
    assert "falls by" in text
    assert "![" in text
    client = MlflowClient(world.settings.mlflow_tracking_uri)
    run_id = job.result.uris["mlflow_run"].rsplit("/", 1)[1]
    assert {item.path for item in client.list_artifacts(run_id, "report")} == {
        f"report/{name}" for name in names
    }
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["candidate.perplexity"] < run.data.metrics["base.perplexity"]
    assert run.data.tags["decision"] == "promoted"
    tags = world.version("1").tags
    assert tags["gate"] == "promote"
    assert tags["evaluation_run"] == job.result.uris["mlflow_run"]
    assert tags["evaluation_report"] == job.result.uris["report"]
    page = f"{job.result.uris['mlflow_run']}/artifacts/report/report.html"
    assert tags["evaluation_page"] == job.result.detail["page"] == page


def test_the_report_says_whose_hand_the_answers_are(world):
    evaluation = world.recipe.evaluation.model_copy(update={"style": StyleSection()})
    world.recipe = world.recipe.model_copy(update={"evaluation": evaluation})
    world.package("trained")
    evaluate(world.job(max_authorship_gap=1.0))
    report = world.report("1")
    style = report.style
    assert (style.absent, style.language) == ("", "en")
    assert [measure.name for measure in style.measures] == [TOGETHER, *METHODS]
    assert len(style.others) > len(style.left_out) > 8
    for measure in style.measures:
        assert set(measure.scores) == {"candidate", "base", "author"}
        assert measure.separation is not None
        assert measure.separation.auc.value > 0.9
    figures = {figure.name: figure for figure in report.figures}
    assert figures[TOGETHER].values == style.measures[0].scores
    assert figures[TOGETHER].values["author"].value > figures[TOGETHER].values["base"].value
    assert {point.who for point in style.points} == {"candidate", "base", "author", "others"}
    names = [check.name for check in report.checks]
    assert "the author's hand against the author" in names
    assert "the author's hand against base" in names
    assert "style similarity against base" not in names
    assert report.flat()["author.style_grammar"] == style.measures[2].scores["author"].value
    files = open_files(world.settings)
    folder = f"reports/{world.recipe.model_name}/1"
    assert files.read_bytes(f"{folder}/style.png").startswith(b"\x89PNG")
    assert "words by" in files.read_text(f"{folder}/report.md")


def test_a_report_without_others_says_so(world):
    world.package("trained")
    evaluate(world.job(require_approval=True))
    report = world.report("1")
    assert report.style.absent.startswith("not available: the recipe names no texts by others")
    assert report.style.absent in open_files(world.settings).read_text(
        f"reports/{world.recipe.model_name}/1/report.md"
    )
    assert "style similarity against base" in [check.name for check in report.checks]
    with pytest.raises(BadDataError, match="primary is authorship: not available"):
        evaluate(world.job(primary="authorship", require_approval=True), again=True)


def test_a_damaged_candidate_is_rejected_and_the_champion_stays(world):
    world.serve("trained")
    world.package("damaged")
    job = world.job()
    evaluate(job)
    assert world.alias(CHAMPION) == "1"
    assert job.result.status == "done"
    assert job.result.detail["promoted"] is False
    reasons = job.result.detail["reasons"]
    assert any("perplexity rises by" in reason and "against base" in reason for reason in reasons)
    assert any("perplexity" in reason and "against champion" in reason for reason in reasons)
    assert all(reason.endswith("FAILED") for reason in reasons)
    assert world.version("2").tags["gate"] == "reject"
    with pytest.raises(BadDataError, match="the gate rejects version 2"):
        promote(world.job(), None)
    with pytest.raises(NothingToDo, match="measured against champion 1: reject"):
        evaluate(world.job())


def test_a_better_candidate_takes_over_and_the_old_one_is_kept(world):
    world.serve("trained")
    world.package("trained more")
    job = world.job()
    evaluate(job)
    assert (world.alias(CHAMPION), world.alias(PREVIOUS)) == ("2", "1")
    assert world.alias(REFERENCE) == "1"
    assert job.result.detail["reasons"][0].startswith("a real gain: perplexity falls by")
    report = read_report(open_files(world.settings), world.recipe.model_name, "2")
    assert {"candidate", "base", "champion"} <= set(report.figures[0].values)
    assert any("against champion" in check.name for check in report.checks)


def test_a_report_of_another_time_is_named_as_such(world):
    files, name = open_files(world.settings), world.recipe.model_name
    files.write_json(f"reports/{name}/1/report.json", {"schema_version": 1, "model": name})
    with pytest.raises(BadDataError, match="is no report of this version of the system"):
        read_report(files, name, "1")


def test_what_has_been_measured_needs_no_model_again(world):
    """Kept transcripts decide: with the weights gone, other thresholds can still be tried."""
    world.package("damaged")
    evaluate(world.job())
    open_files(world.settings).remove(f"models/{world.recipe.model_name}")
    job = world.job(min_perplexity_gain=-1e15)
    evaluate(job)
    assert job.result.detail["promoted"] is True


def test_the_same_candidate_is_measured_the_same(world):
    world.package("trained")
    evaluate(world.job(require_approval=True))
    files, name = open_files(world.settings), world.recipe.model_name
    first = read_report(files, name, "1")
    files.remove("evaluation")
    evaluate(world.job(require_approval=True), again=True)
    second = read_report(files, name, "1")
    assert second.figures == first.figures
    assert second.side_by_side == first.side_by_side
    assert second.created > first.created


def test_approval_is_waited_for_and_then_given(world):
    world.package("trained")
    job = world.job(require_approval=True)
    evaluate(job)
    assert world.alias(CHAMPION) is None
    assert job.result.detail["decision"] == "awaiting approval"
    assert job.result.detail["evidence"] == evidence(world.report("1"))
    with pytest.raises(NothingToDo, match=r"a person was asked on .* in run r1"):
        evaluate(world.job("r2", require_approval=True))
    approved = world.job()
    promote(approved, None)
    assert world.alias(CHAMPION) == "1"
    assert approved.result.detail["promoted"] is True
    with pytest.raises(NothingToDo, match="is champion already"):
        promote(world.job(), None)


def test_a_retry_of_the_run_that_asked_tells_it_once_more(world):
    """Airflow may lose the result of a job that ended well; nobody would ever be asked."""
    world.package("trained")
    first = world.job(require_approval=True)
    evaluate(first)
    open_files(world.settings).remove(f"models/{world.recipe.model_name}")
    open_files(world.settings).remove("evaluation")  # nothing could be measured again
    retry = world.job(require_approval=True)
    evaluate(retry)
    assert retry.result.detail == first.result.detail
    assert (retry.result.ids, retry.result.uris) == (first.result.ids, first.result.uris)
    assert retry.result.message == first.result.message


def test_a_question_that_nobody_answered_is_asked_again_in_a_week(world):
    world.package("trained")
    evaluate(world.job("night 1", require_approval=True))
    with pytest.raises(NothingToDo, match="in run night 1"):
        evaluate(world.job("night 2", require_approval=True))
    asked = datetime.fromisoformat(world.version("1").tags["approval_asked"])
    world.tag("1", "approval_asked", (asked - timedelta(days=7)).isoformat())
    later = world.job("night 8", require_approval=True)
    evaluate(later)
    assert later.result.detail["decision"] == "awaiting approval"
    with pytest.raises(NothingToDo, match="in run night 8"):
        evaluate(world.job("night 9", require_approval=True))


def test_a_rejection_is_not_questioned(world):
    world.package("trained")
    with pytest.raises(BadDataError, match="has not been evaluated"):
        reject(world.job(), "1")
    evaluate(world.job(require_approval=True))
    said = world.job()
    reject(said, "1")
    assert said.result.message.endswith("version 1 is rejected; there is no champion yet")
    assert (world.alias(CHAMPION), said.result.detail) == (None, {"promoted": False})
    world.tag("1", "approval_asked", "2020-01-01T00:00:00+00:00")
    for run_id in ("r1", "r2"):
        with pytest.raises(NothingToDo, match="a person has rejected it"):
            evaluate(world.job(run_id, require_approval=True))
    # Whoever measures it again means to be asked again, and a mind may be changed.
    again = world.job(require_approval=True)
    evaluate(again, again=True)
    assert again.result.detail["decision"] == "awaiting approval"
    promote(world.job(), "1")
    assert world.alias(CHAMPION) == "1"
    with pytest.raises(BadDataError, match="is champion"):
        reject(world.job(), "1")


def test_a_rejection_holds_for_what_was_measured_and_not_for_another_gate(world):
    world.package("trained")
    evaluate(world.job(require_approval=True))
    reject(world.job(), "1")
    for _ in range(2):  # once measured anew, once as the retry of the run that asks
        job = world.job("r2", require_approval=True, min_perplexity_gain=0.03)
        evaluate(job)
        assert job.result.detail["decision"] == "awaiting approval"


def test_without_its_report_the_candidate_is_measured_again(world):
    world.package("trained")
    evaluate(world.job(require_approval=True))
    files = open_files(world.settings)
    files.remove("reports")
    job = world.job(require_approval=True)
    evaluate(job)
    assert job.result.detail["decision"] == "awaiting approval"
    assert read_report(files, world.recipe.model_name, "1").version == "1"


def test_approval_of_what_was_measured_against_another_champion(world):
    world.package("trained")
    evaluate(world.job(require_approval=True))
    world.serve("trained more")
    with pytest.raises(TryAgainError, match="measured against champion none, which is 2 now"):
        promote(world.job(), "1")


def test_a_person_may_overrule_the_gate_and_that_is_recorded(world):
    world.package("damaged")
    evaluate(world.job())
    promote(world.job(), "1", force=True)
    assert world.alias(CHAMPION) == "1"
    tags = world.version("1").tags
    assert (tags["gate"], tags["promoted_by_force"]) == ("reject", "r1")


def test_an_unmeasured_or_unknown_version_cannot_be_promoted(world):
    with pytest.raises(BadDataError, match="has no candidate"):
        promote(world.job(), None)
    world.package("trained")
    with pytest.raises(BadDataError, match="has not been evaluated"):
        promote(world.job(), None)
    with pytest.raises(BadDataError, match="has no version 9"):
        promote(world.job(), "9")


def test_without_a_candidate_the_next_step_is_named(world):
    with pytest.raises(BadDataError, match="run twin training package first"):
        evaluate(world.job())


def test_weights_that_are_not_those_registered_are_refused(unmeasured):
    world = unmeasured
    made = world.package("trained")
    folder = (
        world.settings.home / "files" / "models" / world.recipe.model_name / made.weights_digest
    )
    weights = next(folder.glob("*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 0xFF
    weights.write_bytes(content)
    with pytest.raises(BadDataError, match="not the weights that were registered"):
        evaluate(world.job())
    assert world.alias(CHAMPION) is None


def test_a_candidate_without_its_data_set_is_refused(world):
    world.package("trained", dataset_version="gone")
    with pytest.raises(BadDataError, match="no such file"):
        evaluate(world.job())


def test_a_champion_that_moved_meanwhile_is_not_overwritten(world, monkeypatch):
    """Somebody promotes another version by hand while the candidate is being measured."""
    from twin.evaluation import evaluate as module

    world.package("damaged")
    world.package("trained")
    examine = module.examine

    def examine_slowly(*arguments):
        with Registry(world.settings) as registry:
            registry.promote(world.recipe.model_name, "1")
        return examine(*arguments)

    monkeypatch.setattr(module, "examine", examine_slowly)
    with pytest.raises(TryAgainError, match="changed while its candidate was measured"):
        evaluate(world.job())
    assert world.alias(CHAMPION) == "1"
    monkeypatch.undo()
    evaluate(world.job())
    assert world.alias(CHAMPION) == "2"


@pytest.fixture
def twin(world, tmp_path, root):
    """The command line, in the world's stores."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(world.recipe.model_dump(mode="json")))

    def run(*arguments, **environment):
        return run_twin(
            *arguments, "--recipe", recipe,
            env={
                "PATH": "/usr/bin:/bin",
                "TWIN_HOME": str(world.settings.home),
                "TWIN_THREADS": "1",
                "TWIN_MLFLOW_TRACKING_URI": world.settings.mlflow_tracking_uri,
                **environment,
            },
            cwd=root, timeout=120,
        )  # fmt: skip

    return run


def test_the_commands_on_a_terminal(world, twin, tmp_path):
    world.package("trained")
    result = tmp_path / "result.json"
    done = twin("evaluation", "run", "--result", str(result))
    assert done.returncode == 0, done.stderr
    detail = json.loads(result.read_text())["detail"]
    assert detail["promoted"] is True
    shown = twin("evaluation", "report")
    assert shown.returncode == 0, shown.stderr
    assert "Perplexity" in shown.stdout
    assert "promoted to champion" in shown.stdout
    whole = twin("evaluation", "report", "--json", "--model-version", "1")
    assert json.loads(whole.stdout)["model"] == world.recipe.model_name
    started = time.monotonic()
    again = twin("evaluation", "run")
    assert again.returncode == 99
    assert "is champion already" in again.stderr
    assert time.monotonic() - started < 10  # about a second and a half on an idle machine
    assert twin("evaluation", "promote").returncode == 99
    assert twin("evaluation", "report", "--model-version", "7").returncode == 65


def test_mlflow_away_is_one_line_and_exit_75(twin):
    done = twin("evaluation", "run", TWIN_MLFLOW_TRACKING_URI="http://127.0.0.1:1")
    assert done.returncode == 75
    assert "does not answer: is it started (make up)?" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_to_do_imports_nothing_heavy(world):
    """What is heavy comes after the registry has said that there is work."""
    code = (
        "import sys; import twin.evaluation.evaluate;"
        "heavy = {'torch', 'transformers', 'mlflow', 'scipy', 'numpy', 'pyarrow', 'sklearn'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
