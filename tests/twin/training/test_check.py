"""`twin training check`: what can't be trained is refused before a GPU is asked for."""

import os
from pathlib import Path

import pytest

from tests.forked_twin import run_twin
from tests.twin import corpora
from twin.domain.errors import BadDataError, NothingToDo
from twin.domain.result import JobResult
from twin.job import Job
from twin.models.bases.base_models import pin_base_model
from twin.recipes import load_recipe
from twin.stores.sample_sets import SampleSets
from twin.training.check import run_check
from twin.training.plan import plan_training


def check(world, *changes):
    recipe = load_recipe("ann", Path(world.settings.recipes), changes=changes)
    result = JobResult(job="training check", recipe="ann", run_id="r1")
    run_check(Job(recipe, world.settings, "r1", result, changes))
    return result


def test_what_will_be_trained_is_named_and_nothing_is_written(world, tiny):
    before = set(Path(world.settings.files_root).rglob("*"))
    own, changed = check(world), check(world, "training.lora.rank=4")
    plan = plan_training(world.recipe, world.settings, world.files)
    assert own.uris["adapter"] == world.files.uri(plan.dpo_adapter)
    assert changed.uris["adapter"] != own.uris["adapter"], "a run's own values are another training"
    assert own.ids["dataset_version"] == SampleSets(world.files, "ann").latest().version
    assert own.ids["base_digest"] == pin_base_model(str(tiny), world.settings).digest
    assert own.detail == {"base_model": str(tiny), "changes": []}
    assert changed.detail["changes"] == ["training.lora.rank=4"]
    assert set(Path(world.settings.files_root).rglob("*")) == before
    adapter = world.settings.home / "elsewhere"
    adapter.mkdir(parents=True)
    (adapter / "adapter.txt").write_text("trained")
    world.files.publish_folder(adapter, plan.dpo_adapter)
    with pytest.raises(NothingToDo, match="it is trained already"):
        check(world)
    assert check(world, "training.lora.rank=4").uris == changed.uris


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("training.base_model=gemma3-270", "gemma3-270m"),
        ("training.lora.rank=0", r"training\.lora\.rank = 0: .*greater than or equal to 1"),
        ("training.lora.rank=1025", r"less than or equal to 1024"),
        ("training.sft.learning_rate=0", r"learning_rate = 0: .*greater than 0"),
        ("training.sft.learning_rate=1", r"learning_rate = 1: .*less than 1"),
        ("training.dpo.learning_rate=1", r"learning_rate = 1: .*less than 1"),
        ("training.sft.max_steps=many", r"max_steps = 'many': .*valid integer"),
        ("training.method=lora2", r"method = 'lora2': .*'lora', 'dora', 'qlora' or 'full'"),
    ],
)
def test_a_bad_value_is_bad_data_in_a_line_that_says_what_to_do(world, change, words):
    with pytest.raises(BadDataError, match=words) as refused:
        check(world, change)
    assert refused.value.exit_code == 65
    assert "\n" not in str(refused.value)


def test_the_largest_rank_and_learning_rates_are_taken(world):
    assert check(world, "training.lora.rank=1024", "training.sft.learning_rate=0.99")


def test_the_command_ends_with_65_and_one_line(settings, tiny, tmp_path):
    settings = settings.model_copy(update={"recipes": tmp_path / "recipes"})
    corpora.write_recipe(settings.recipes, tiny)
    command = ["training", "check", "--recipe", "ann", "--set", "training.lora.rank=0"]
    done = run_twin(*command, env={**os.environ, **corpora.environment(settings)})
    assert done.returncode == 65
    assert done.stderr.splitlines()[-1].startswith("twin training check: error: ")
    assert "training.lora.rank = 0" in done.stderr.splitlines()[-1]
