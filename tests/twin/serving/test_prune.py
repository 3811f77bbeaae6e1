"""Traces of answers end with their time, in a real MLflow."""

import uuid
from datetime import UTC, datetime

import pytest
from mlflow import MlflowClient
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.twin import twins
from twin.domain.errors import NothingToDo, TryAgainError
from twin.domain.result import JobResult
from twin.job import Job
from twin.recipes.traces import TracesSection
from twin.serving.prune import prune_traces
from twin.serving.traces import MlflowSpans

DAY = 86_400 * 10**9


@pytest.fixture
def live(settings, mlflow_url):
    return settings.model_copy(update={"mlflow_tracking_uri": mlflow_url})


@pytest.fixture
def recipe(tmp_path):
    name = f"r{uuid.uuid4().hex[:8]}"
    return twins.write_recipe(tmp_path / "recipes").model_copy(update={"name": name})


def job(recipe, settings, days):
    serving = recipe.serving.model_copy(update={"traces": TracesSection(kept_days=days)})
    changed = recipe.model_copy(update={"serving": serving})
    result = JobResult(job="serving prune-traces", recipe=recipe.name, run_id="r")
    return Job(changed, settings, "r", result)


def trace(settings, recipe, name, days_ago):
    """A trace of one span that began so long ago."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(MlflowSpans(settings, recipe.name)))
    began = int(datetime.now(UTC).timestamp() * 1e9) - int(days_ago * DAY)
    provider.get_tracer("test").start_span(name, start_time=began).end(began + 10**6)
    provider.shutdown()


def left(settings, recipe):
    client = MlflowClient(settings.mlflow_tracking_uri)
    experiment = client.get_experiment_by_name(recipe.name)
    found = client.search_traces([experiment.experiment_id], max_results=200)
    now = datetime.now(UTC).timestamp() * 1000
    return sorted(round((now - each.info.request_time) / 86_400_000) for each in found)


def test_only_answers_go_and_only_when_their_time_is_over(live, recipe):
    for days in (0, 6, 8, 40):
        trace(live, recipe, "answer", days)
    trace(live, recipe, "test question", 41)
    done = job(recipe, live, 7)
    prune_traces(done)
    assert done.result.detail["deleted"] == 2
    assert left(live, recipe) == [0, 6, 41]
    with pytest.raises(NothingToDo, match="older than 7 days"):
        prune_traces(job(recipe, live, 7))


def test_more_than_one_requests_worth_goes(live, recipe):
    for _ in range(103):
        trace(live, recipe, "answer", 3)
    done = job(recipe, live, 1)
    prune_traces(done)
    assert done.result.detail["deleted"] == 103
    assert left(live, recipe) == []


def test_kept_for_ever_nothing_goes(live, recipe):
    trace(live, recipe, "answer", 4_000)
    with pytest.raises(NothingToDo, match="for ever"):
        prune_traces(job(recipe, live, 0))
    assert len(left(live, recipe)) == 1


def test_without_an_experiment_or_an_mlflow(live, settings, recipe):
    with pytest.raises(NothingToDo):
        prune_traces(job(recipe, live, 1))
    away = settings.model_copy(update={"mlflow_tracking_uri": "http://127.0.0.1:1"})
    with pytest.raises(TryAgainError):
        prune_traces(job(recipe, away, 1))
