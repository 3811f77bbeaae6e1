"""Evidence that is wanting: held with the reason, never promoted in silence."""

import json
import shutil

import pytest

from twin.domain.errors import TwinError
from twin.domain.sample import Split
from twin.evaluation.checks import Verdict
from twin.evaluation.evaluate import evaluate
from twin.evaluation.report import Decision
from twin.evaluation.report_markdown import markdown
from twin.recipes import Recipe
from twin.stores.files import open_files
from twin.stores.registry import CHAMPION


def held(world, version, reason):
    report = world.report(version)
    assert report.verdict is Verdict.HOLD, report.reasons
    assert report.decision is Decision.HELD
    assert any(reason in each for each in report.reasons), report.reasons
    assert world.version(version).tags["gate"] == "hold"
    assert world.alias(CHAMPION) != version
    return report


def test_one_item(world):
    section = world.recipe.evaluation.model_copy(update={"max_samples": 1})
    world.recipe = world.recipe.model_copy(update={"evaluation": section})
    world.package("trained")
    job = world.job()
    evaluate(job)
    report = held(world, "1", "come from 1 group(s) of documents")
    assert report.samples == 1
    assert "no interval" in markdown(report)
    assert job.result.detail["promoted"] is False


def test_one_document(world):
    gone = {f"article-{number}": None for number in range(6, 13)}
    world.data_set("d1-small", gone)
    world.package("trained", dataset_version="d1-small")
    evaluate(world.job())
    report = held(world, "1", "one document tells nothing of others")
    assert report.samples == 6


@pytest.mark.nightly
def test_a_second_version_on_few_documents_and_a_first_one_on_the_same(world):
    """A minute. Buys: two evaluations in a row on a set that is too small for the second."""
    world.data_set("few", {f"article-{number}": None for number in range(8, 13)})
    world.package("trained", dataset_version="few")
    evaluate(world.job())
    assert world.alias(CHAMPION) == "1", world.report("1").reasons
    world.package("trained more", dataset_version="few")
    evaluate(world.job())
    report = held(world, "2", "at least 8 are needed")
    assert len(report.groups) == 3
    assert "too few to tell one version from another" in markdown(report)


def test_a_champion_that_cannot_be_loaded(unmeasured):
    world = unmeasured
    made = world.serve("trained")
    folder = world.settings.home / "files/models" / world.recipe.model_name / made.weights_digest
    next(folder.glob("*.safetensors")).unlink()
    world.package("trained more")
    evaluate(world.job())
    report = held(world, "2", "the champion can't be measured")
    assert "champion" not in report.figures[0].values
    assert world.alias(CHAMPION) == "1"


def test_a_champion_of_a_kind_that_nothing_here_loads(world, tmp_path):
    """Its bytes are those registered; the library that loaded it is another by now."""
    folder = shutil.copytree(world.weights["trained"], tmp_path / "strange")
    config = json.loads((folder / "config.json").read_text())
    strange = {"model_type": "nonesuch", "architectures": ["NonesuchForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(config | strange))
    world.weights = world.weights | {"strange": folder}
    world.serve("strange")
    world.package("trained more")
    evaluate(world.job())
    held(world, "2", "the champion can't be measured")
    assert world.alias(CHAMPION) == "1"


def test_a_champion_whose_data_set_is_gone(world):
    world.data_set("d0", {"article-0": None})
    world.serve("trained", dataset_version="d0")
    open_files(world.settings).remove(f"datasets/{world.recipe.name}/d0")
    world.package("trained more")
    evaluate(world.job())
    report = held(world, "2", "nobody can tell what the champion was trained on")
    assert "d0 is gone" in report.proof.text
    assert report.new_documents == 4


def test_a_champion_that_names_no_data_set(world):
    world.serve("trained")
    world.tag("1", "dataset_version", "")
    world.package("trained more")
    evaluate(world.job())
    held(world, "2", "has no tag dataset_version")


def test_a_figure_that_is_no_number(world):
    """As a model's likelihoods are that ran out of range."""
    world.package("trained")
    evaluate(world.job(require_approval=True))
    files = open_files(world.settings)
    for model in files.names("evaluation/scores"):
        for name in files.names(f"evaluation/scores/{model}"):
            kept = files.read_json(f"evaluation/scores/{model}/{name}")
            kept["scores"] = {key: ["NaN", tokens] for key, (_, tokens) in kept["scores"].items()}
            files.write_json(f"evaluation/scores/{model}/{name}", kept)
    job = world.job()
    evaluate(job, again=True)
    held(world, "1", "perplexity against base")
    assert job.result.detail["promoted"] is False
    assert "nan" in markdown(world.report("1"))


def test_weights_that_are_no_numbers(world):
    world.package("no numbers")
    with pytest.raises(TwinError):
        evaluate(world.job())
    assert world.alias(CHAMPION) is None


def test_a_report_that_cannot_be_written(world):
    world.package("trained")
    blocked = world.settings.home / "files" / "reports"
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("in the way")
    with pytest.raises(TwinError):
        evaluate(world.job())
    assert world.alias(CHAMPION) is None
    assert world.version("1").tags["gate"] == "hold"
    world.package("damaged")
    with pytest.raises(TwinError):
        evaluate(world.job(min_perplexity_gain=0.9))
    assert world.version("2").tags["gate"] == "reject"
    blocked.unlink()
    world.package("trained")
    evaluate(world.job())
    assert world.alias(CHAMPION) == "1"
    assert world.report("1").verdict is Verdict.PROMOTE


def test_a_test_split_without_samples(world):
    world.data_set("none", {f"article-{number}": Split.TRAIN for number in range(5, 13)})
    world.package("trained", dataset_version="none")
    with pytest.raises(TwinError, match="has no test samples"):
        evaluate(world.job())
    assert world.alias(CHAMPION) is None


def test_a_judge_that_is_down_where_the_recipe_makes_it_decide(world, tmp_path):
    """Elsewhere the report says so, and the candidate is promoted as without one."""
    pairs = tmp_path / "pairs.json"
    answers = {"question": "Q?", "one": "A", "two": "B"}
    pairs.write_text(json.dumps([{"data": answers, "better": "one"}] * 9))
    whole = world.recipe.model_dump(mode="json")
    whole["judge"] = {"base_url": "http://127.0.0.1:1/v1", "model": "a-judge", "retries": 0}
    for decides in (True, False):
        whole["evaluation"]["judge"] = {"calibration": str(pairs), "decides": decides}
        world.recipe = Recipe.model_validate(whole)
        world.package("trained")
        evaluate(world.job())
        report = world.report("1")
        assert report.judge.doubt.startswith("the judge gave no verdicts: ")
        assert report.judge.doubt in markdown(report)
        if decides:
            held(world, "1", "and the recipe makes the judge decide")
    assert report.verdict is Verdict.PROMOTE
    assert world.alias(CHAMPION) == "1"
