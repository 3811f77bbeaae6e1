"""The questions of an evaluation in MLflow: written once, however often a job is killed."""

import uuid

import pytest
from mlflow import MlflowClient
from mlflow.tracing.client import TracingClient

from twin.domain.errors import TryAgainError
from twin.stores.question_traces import AnsweredQuestion, log_questions
from twin.stores.tracking import tracking_run


def asked(number: int, **fields) -> AnsweredQuestion:
    return AnsweredQuestion(
        **{
            "sample": f"s{number}",
            "document": f"d{number}",
            "question": f"What of {number}?" + " x" * 600 * (number % 2),
            "passages": ("A passage.",),
            "expected": "What the author wrote.",
            "answer": f"Answer {number}.",
            "others": {"base": "Another."},
            "scores": {"rouge_l": number / 10},
            **fields,
        }
    )


def test_a_job_that_is_done_again_leaves_each_question_once(settings, mlflow_url):
    live = settings.model_copy(update={"mlflow_tracking_uri": mlflow_url})
    name = uuid.uuid4().hex
    with tracking_run(live, experiment=name, name="evaluation") as run:
        run.log_questions("some questions", [asked(number) for number in range(3)])
        run.log_questions("some questions", [asked(number, answer="Anew.") for number in (0, 1)])
    client = MlflowClient(mlflow_url)
    experiment = client.get_experiment_by_name(name).experiment_id
    found = client.search_traces(locations=[experiment], run_id=run.id)
    assert sorted(each.data.spans[0].outputs for each in found) == ["Answer 2.", "Anew.", "Anew."]
    assert all(len(each.info.assessments) == 2 for each in found)
    assert {each.info.assessments[0].value for each in found} >= {"What the author wrote."}
    (dataset,) = client.search_datasets([experiment])
    records, _ = TracingClient(mlflow_url).store._load_dataset_records(dataset.dataset_id)
    assert len(records) == 3
    assert records[0].expectations == {"expected_response": "What the author wrote."}


def test_mlflow_that_is_away_is_a_reason_to_try_again(settings):
    away = settings.model_copy(update={"mlflow_tracking_uri": "http://127.0.0.1:1"})
    with pytest.raises(TryAgainError, match="does not answer"):
        log_questions(away, "1", "r", "d", [asked(1)])
