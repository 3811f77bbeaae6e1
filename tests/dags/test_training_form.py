"""The field of a form that gives one run of training, or of samples, its own values."""

import itertools
import json
import re
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, TriggerRule
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.exceptions import ParamValidationError

from include.jobs import JobOperator
from include.pipelines import GPU_POOL
from include.recipe_files import SCHEMA
from include.sample_form import (
    AS_IN_RECIPE,
    KINDS,
    MOST_SHARDS,
    NO_TEACHER,
    VALUES,
    shards_of,
)
from include.training_form import KEYS, MAX_RANK, METHODS
from tests.airflow_environment import ROOT

STEPS = ("check", "sft", "pairs", "dpo", "package")


@pytest.fixture(scope="module")
def training() -> DAG:
    return DagBag(ROOT / "dags" / "training.py").dags["training"]


def options(dag: DAG, **params: Any) -> list[list[str]]:
    """What each of the steps is told, besides the recipe, as Airflow renders it."""
    steps = [task for task in dag.tasks if isinstance(task, JobOperator)]
    assert [task.job for task in steps] == [f"training {step}" for step in STEPS]
    given = {**dag.params.dump(), **params}
    template, macros = dag.get_template_env(), dag.user_defined_macros
    return [
        [
            text
            for option in task.options
            if (text := template.from_string(option).render(params=given, **macros))
        ]
        for task in steps
    ]


@pytest.mark.parametrize(
    ("params", "values"),
    [
        ({"steps": 12}, "training.sft.max_steps=12"),
        ({"learning_rate": 2e-5}, "training.sft.learning_rate=2e-05"),
        ({"rank": 8}, "training.lora.rank=8"),
        ({"base_model": "owner/model@v1"}, "training.base_model=owner/model@v1"),
        ({"method": "dora"}, "training.method=dora"),
        ({"set": " training.seed=12, training.dpo.enabled=false"},
         "training.seed=12, training.dpo.enabled=false"),
        (
            {"steps": 3, "rank": 8, "method": "full", "set": "training.seed=2"},
            "training.sft.max_steps=3,training.lora.rank=8,training.method=full,training.seed=2",
        ),
    ],
)  # fmt: skip
def test_all_steps_are_told_the_same(training: DAG, params: dict, values: str) -> None:
    assert options(training, **params) == [[f"--set={values}"]] * len(STEPS)


def test_a_run_that_an_asset_sets_off_trains_as_the_recipe_says(training: DAG) -> None:
    assert options(training) == [[]] * len(STEPS)


def test_the_recipe_reads_what_the_form_writes(training: DAG) -> None:
    """By the schema that its values are checked by."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))["$defs"]
    for field, key in KEYS.items():
        section, name = key.rpartition(".")[::2]
        part = {"training": "Training", "training.sft": "Sft", "training.lora": "Lora"}[section]
        described = schema[f"{part}Section"]["properties"][name]
        asked = training.params.get_param(field).schema
        for limit in ("exclusiveMinimum", "exclusiveMaximum", "maximum"):
            assert described.get(limit) == asked.get(limit), (key, limit)
        assert described["type"] in asked["type"]
    assert schema["TrainingSection"]["properties"]["method"]["enum"] == list(METHODS)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("steps", (None, 1), (0, "5", 1.5)),
        ("learning_rate", (None, 1e-7, 0.999), (0, 1, "1e-4")),
        ("rank", (None, 1, MAX_RANK), (0, MAX_RANK + 1, "8")),
        ("base_model", (None, "gemma3-270m"), ("", "two words", "a,training.seed=1")),
        ("method", (AS_IN_RECIPE, *METHODS), (None, "other")),
    ],
)
def test_the_form_of_training_refuses_what_is_none(
    training: DAG, name: str, good: tuple, bad: tuple
) -> None:
    param = training.params.get_param(name)
    for value in good:
        assert param.resolve(value) == value
    for value in bad:
        with pytest.raises(ParamValidationError):
            param.resolve(value)


def test_a_gpu_is_asked_for_after_the_check_and_by_the_pool_alone(training: DAG) -> None:
    check, *steps = [training.get_task(f"one_model.{step}") for step in STEPS]
    assert (check.profile, check.pool) == ("cpu", "default_pool")
    assert {(step.profile, step.pool) for step in steps} == {("gpu-1", GPU_POOL)}
    assert all(task.deferrable for task in (check, *steps))
    for before, after in itertools.pairwise((check, *steps)):
        assert after.upstream_task_ids - {"which_recipes"} == {before.task_id}
        assert after.trigger_rule == TriggerRule.NONE_FAILED


def test_the_form_refuses_what_is_no_assignment(training: DAG) -> None:
    pattern = training.params.get_param("set").schema["pattern"]
    for value in ("training.lora.rank=8", "training.seed=1, training.sft.learning_rate=2e-4"):
        assert re.fullmatch(pattern, value)
    for value in ("", "max_steps=3", "training.sft.max_steps", "--again", "serving.replicas=2"):
        assert not re.search(pattern, value)


@pytest.fixture(scope="module")
def datasets() -> DAG:
    return DagBag(ROOT / "dags" / "datasets.py").dags["datasets"]


def of_make(datasets: DAG, **params: Any) -> list[str]:
    """Options of the joining job as Airflow renders them, those that are empty left out."""
    make = datasets.get_task("one_sample_set.make")
    assert isinstance(make, JobOperator)
    given = {**datasets.params.dump(), **params}
    template = datasets.get_template_env()
    macros = datasets.user_defined_macros
    return [
        text
        for option in make.options
        if (text := template.from_string(option).render(params=given, **macros))
    ]


def test_a_run_without_a_form_makes_the_recipes_samples_in_one_job(datasets: DAG) -> None:
    assert of_make(datasets) == []
    assert shards_of("ann", datasets.params.dump()) == []


@pytest.mark.parametrize(
    ("params", "values"),
    [
        ({"samples": 500}, "datasets.max_samples=500"),
        ({"teacher": NO_TEACHER}, "datasets.teacher=null"),
        ({"teacher": NO_TEACHER, "tokens": 9, "kinds": ["rewrite"]}, "datasets.teacher=null"),
        ({"tokens": 100_000}, "datasets.teacher.budget.tokens=100000"),
        (
            {"kinds": ["rewrite", "instruction"]},
            "datasets.teacher.kinds.instruction=1,datasets.teacher.kinds.question=0,"
            "datasets.teacher.kinds.rewrite=1",
        ),
        ({"set": " datasets.seed=2, datasets.teacher.temperature=1"},
         "datasets.seed=2, datasets.teacher.temperature=1"),
        ({"samples": 5, "set": "datasets.seed=2"}, "datasets.max_samples=5,datasets.seed=2"),
    ],
)  # fmt: skip
def test_samples_are_told_their_own_values(datasets: DAG, params: dict, values: str) -> None:
    assert of_make(datasets, **params) == [f"--set={values}"]


def test_each_shard_is_a_task_with_the_values_of_the_run(datasets: DAG) -> None:
    given = {**datasets.params.dump(), "shards": 3, "samples": 5}
    shards = shards_of("ann", given)
    assert [shard["options"][0] for shard in shards] == [
        "--shard=1/3",
        "--shard=2/3",
        "--shard=3/3",
    ]
    assert {shard["recipe"] for shard in shards} == {"ann"}
    for shard in shards:
        # Not the values themselves: what is mapped is rendered once more.
        assert shard["options"][1] == VALUES
    assert of_make(datasets, shards=3, samples=5) == ["--set=datasets.max_samples=5", "--shards=3"]


def test_shards_are_joined_also_where_there_are_none(datasets: DAG) -> None:
    [prepare] = [task for task in datasets.tasks if isinstance(task, MappedOperator)]
    make = datasets.get_task("one_sample_set.make")
    assert (prepare.operator_class, prepare.task_id) == (JobOperator, "prepare")
    assert prepare.partial_kwargs["job"] == "datasets prepare"
    assert prepare.task_id in make.upstream_task_ids
    assert make.trigger_rule == TriggerRule.NONE_FAILED


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("shards", (1, MOST_SHARDS), (0, MOST_SHARDS + 1, None, "2")),
        ("samples", (None, 1), (0, "5")),
        ("tokens", (None, 1), (0, 1.5)),
        ("teacher", (AS_IN_RECIPE, NO_TEACHER), (None, "other")),
        ("kinds", ([], None, list(KINDS)), (["passage"], "rewrite")),
    ],
)
def test_the_form_of_samples_refuses_what_is_none(
    datasets: DAG, name: str, good: tuple, bad: tuple
) -> None:
    param = datasets.params.get_param(name)
    for value in good:
        assert param.resolve(value) == value
    for value in bad:
        with pytest.raises(ParamValidationError):
            param.resolve(value)


def test_the_kinds_of_the_form_are_those_of_the_recipe() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert set(schema["$defs"]["TeacherKindsSection"]["properties"]) == set(KINDS)


def test_the_form_of_samples_takes_values_of_its_section(datasets: DAG) -> None:
    pattern = datasets.params.get_param("set").schema["pattern"]
    for value in ("datasets.max_samples=5", "datasets.teacher=null, datasets.seed=3"):
        assert re.fullmatch(pattern, value)
    for value in ("", "max_samples=3", "datasets.seed", "training.seed=1", "--recipe=other"):
        assert not re.search(pattern, value)
