"""The field of a form that gives one run of training, or of samples, its own values."""

import re

import jinja2
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG

from include.jobs import JobOperator
from tests.airflow_environment import ROOT

STEPS = ("sft", "pairs", "dpo", "package")


@pytest.fixture(scope="module")
def training() -> DAG:
    return DagBag(ROOT / "dags" / "training.py").dags["training"]


def options(dag: DAG, value: str | None) -> list[list[str]]:
    """What each of the steps is told, besides the recipe."""
    steps = [task for task in dag.tasks if isinstance(task, JobOperator)]
    assert [task.job for task in steps] == [f"training {step}" for step in STEPS]
    template = jinja2.Environment()
    return [
        [
            text
            for option in task.options
            if (text := template.from_string(option).render(params={"set": value}))
        ]
        for task in steps
    ]


def test_all_steps_are_told_the_same(training: DAG) -> None:
    value = "training.sft.max_steps=12,training.dpo.enabled=false"
    assert options(training, value) == [[f"--set={value}"]] * len(STEPS)
    assert options(training, None) == [[]] * len(STEPS), "a run that an asset sets off has none"


def test_the_form_refuses_what_is_no_assignment(training: DAG) -> None:
    pattern = training.params.get_param("set").schema["pattern"]
    for value in ("training.lora.rank=8", "training.seed=1, training.sft.learning_rate=2e-4"):
        assert re.fullmatch(pattern, value)
    for value in ("", "max_steps=3", "training.sft.max_steps", "--again", "serving.replicas=2"):
        assert not re.search(pattern, value)


@pytest.fixture(scope="module")
def datasets() -> DAG:
    return DagBag(ROOT / "dags" / "datasets.py").dags["datasets"]


def test_samples_are_told_their_own_values(datasets: DAG) -> None:
    [make] = [task for task in datasets.tasks if isinstance(task, JobOperator)]
    [option] = make.options
    template = jinja2.Environment().from_string(option)
    value = "datasets.max_samples=500, datasets.teacher.budget.tokens=100000"
    assert template.render(params={"set": value}) == f"--set={value}"
    assert template.render(params={"set": None}) == ""


def test_the_form_of_samples_takes_values_of_its_section(datasets: DAG) -> None:
    pattern = datasets.params.get_param("set").schema["pattern"]
    for value in ("datasets.max_samples=5", "datasets.teacher=null, datasets.seed=3"):
        assert re.fullmatch(pattern, value)
    for value in ("", "max_samples=3", "datasets.seed", "training.seed=1", "--recipe=other"):
        assert not re.search(pattern, value)
