"""Tracking against a real MLflow server, and what happens when that goes away."""

import functools
import json
import math
import os
import signal
import subprocess
import sys
import uuid
from contextlib import ExitStack

import psutil
import pytest
from mlflow import MlflowClient

from tests import servers
from twin.domain.errors import BadDataError, NothingToDo, TryAgainError
from twin.stores import tracking
from twin.stores.tracking import tracking_run


@pytest.fixture
def live(settings, mlflow_url):
    return settings.model_copy(update={"mlflow_tracking_uri": mlflow_url})


@pytest.fixture
def client(mlflow_url):
    return MlflowClient(tracking_uri=mlflow_url)


@pytest.fixture
def experiment():
    return f"recipe-{uuid.uuid4().hex[:8]}"


def test_a_run_keeps_what_is_logged_to_it(live, client, experiment, tmp_path):
    (tmp_path / "plot.txt").write_text("a plot")
    with tracking_run(
        live, experiment=experiment, name="sft", version="v7", tags={"recipe": "x"}
    ) as run:
        run.log_dataset("x", "v7", "file:///samples/v7", "training")
        run.log_params({"learning_rate": 1e-4, "long": "x" * 10_000})
        for step in range(3):
            run.log_metrics({"loss": 3.0 - step, "accuracy": step / 10}, step)
        run.log_text("# Hello", "report/report.md")
        run.log_artifact(tmp_path / "plot.txt", "report")
        run.set_tags({"gate": "passed"})
    stored = client.get_run(run.id)
    assert stored.info.status == "FINISHED"
    assert stored.info.run_name == f"{experiment} sft v7"
    assert stored.data.tags["mlflow.source.git.commit"] == live.code_version
    (samples,) = stored.inputs.dataset_inputs
    assert (samples.dataset.name, samples.dataset.digest) == ("x", "v7")
    assert json.loads(samples.dataset.source) == {"uri": "file:///samples/v7"}
    assert [(tag.key, tag.value) for tag in samples.tags] == [("mlflow.data.context", "training")]
    assert stored.data.params["learning_rate"] == "0.0001"
    assert len(stored.data.params["long"]) == tracking.MAX_PARAM_CHARACTERS
    assert stored.data.tags.items() >= {"recipe": "x", "gate": "passed"}.items()
    history = client.get_metric_history(run.id, "loss")
    assert [(point.step, point.value) for point in history] == [(0, 3.0), (1, 2.0), (2, 1.0)]
    names = {item.path for item in client.list_artifacts(run.id, "report")}
    assert names == {"report/report.md", "report/plot.txt"}


def test_the_url_leads_people_to_the_run(live, experiment):
    shown = live.model_copy(update={"mlflow_ui_url": "https://mlflow.example.org/"})
    with tracking_run(shown, experiment=experiment, name="sft") as run:
        assert run.url.startswith("https://mlflow.example.org/#/experiments/")
        assert run.url.endswith(f"/runs/{run.id}")


def test_more_points_than_one_request_takes(live, client, experiment):
    with tracking_run(live, experiment=experiment, name="sft") as run:
        for step in range(2_500):
            run.log_metrics({"loss": float(step)}, step)
    assert client.get_run(run.id).data.metrics["loss"] == 2_499.0
    assert len(client.get_metric_history(run.id, "loss")) == 2_500


def test_not_a_number_is_logged_and_infinity_left_out(live, client, experiment):
    with tracking_run(live, experiment=experiment, name="sft") as run:
        run.log_metrics({"loss": math.nan, "norm": math.inf, "rate": 0.5}, 1)
    metrics = client.get_run(run.id).data.metrics
    assert math.isnan(metrics["loss"])
    assert metrics["rate"] == 0.5
    assert "norm" not in metrics


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (NothingToDo, "FINISHED")],
)
def test_how_the_block_ends_is_how_the_run_ends(live, client, experiment, error, status):
    with (
        pytest.raises(error),
        tracking_run(live, experiment=experiment, name="sft") as run,
    ):
        run.log_metrics({"loss": 1.0})
        raise error("as it happens")
    stored = client.get_run(run.id)
    assert stored.info.status == status
    assert stored.data.metrics["loss"] == 1.0


def test_a_failed_attempt_is_gone_on_with_by_its_key(live, client, experiment):
    with (
        pytest.raises(ValueError),
        tracking_run(live, experiment=experiment, name="sft", key="k") as run,
    ):
        run.log_params({"rank": 16})
        run.log_metrics({"loss": 2.0}, 1)
        raise ValueError
    with tracking_run(live, experiment=experiment, name="sft", key="k") as again:
        again.log_params({"rank": 16, "resumed": True})
        again.log_metrics({"loss": 1.0}, 2)
    assert again.id == run.id
    stored = client.get_run(run.id)
    assert stored.info.status == "FINISHED"
    assert stored.data.params == {"rank": "16", "resumed": "True"}
    assert [point.value for point in client.get_metric_history(run.id, "loss")] == [2.0, 1.0]


def test_another_key_name_or_a_finished_run_is_a_new_run(live, experiment):
    ids = []
    for name, key in [("sft", "a"), ("sft", "a"), ("sft", "b"), ("dpo", "a"), ("sft", None)]:
        with tracking_run(live, experiment=experiment, name=name, key=key) as run:
            ids.append(run.id)
    assert len(set(ids)) == len(ids)


def test_a_known_run_is_reopened_and_an_unknown_one_replaced(live, client, experiment):
    with tracking_run(live, experiment=experiment, name="sft") as run:
        pass
    with tracking_run(live, experiment=experiment, name="sft", run_id=run.id) as again:
        assert client.get_run(run.id).info.status == "RUNNING"
    client.delete_run(run.id)
    with tracking_run(live, experiment=experiment, name="sft", run_id=run.id) as third:
        pass
    with tracking_run(live, experiment=experiment, name="sft", run_id="0" * 32) as fourth:
        pass
    assert again.id == run.id
    assert len({run.id, third.id, fourth.id}) == 3


def test_a_deleted_experiment_is_brought_back(live, client, experiment):
    client.delete_experiment(client.create_experiment(experiment))
    with tracking_run(live, experiment=experiment, name="sft") as run:
        pass
    assert client.get_run(run.id).info.status == "FINISHED"


def test_a_name_that_mlflow_does_not_take_is_bad_data(live, experiment):
    with (
        pytest.raises(BadDataError, match="MLflow refuses"),
        tracking_run(live, experiment=experiment, name="sft") as run,
    ):
        run.log_params({"what?!": 1})


def test_a_server_that_is_down_is_said_before_work_starts(settings):
    with (
        pytest.raises(TryAgainError, match=r"does not answer: is it started \(make up\)\?"),
        tracking_run(settings, experiment="x", name="sft"),
    ):
        pytest.fail("the block must not run")


@pytest.mark.slow
def test_mlflow_killed_in_mid_training(settings, tmp_path, monkeypatch):
    """~25 s for three server starts: shows that training goes on while MLflow is away, that no
    point is lost when it comes back in time, and that exit 75 and then the same run follow if not.
    """
    monkeypatch.setattr(tracking, "SECONDS_BETWEEN_SENDS", 0.0)
    monkeypatch.setattr(tracking, "SECONDS_BETWEEN_ATTEMPTS", 0.0)
    folder, port = tmp_path / "mlflow", servers.free_port()
    live = settings.model_copy(update={"mlflow_tracking_uri": f"http://127.0.0.1:{port}"})
    with ExitStack() as started:
        start = functools.partial(servers.mlflow_server, folder, port)
        started.enter_context(start())
        with (
            pytest.raises(TryAgainError),
            tracking_run(live, experiment="x", name="sft", key="k") as run,
        ):
            run.log_metrics({"loss": 4.0}, 1)
            _kill_server(port)
            run.log_metrics({"loss": 3.0}, 2)
            started.enter_context(start())
            run.log_metrics({"loss": 2.0}, 3)
            assert _points(live, run.id) == {(1, 4.0), (2, 3.0), (3, 2.0)}
            _kill_server(port)
            run.log_metrics({"loss": 1.0}, 4)
        started.enter_context(start())
        with tracking_run(live, experiment="x", name="sft", key="k") as again:
            again.log_metrics({"loss": 1.0}, 4)
        assert again.id == run.id
        assert _points(live, run.id) == {(1, 4.0), (2, 3.0), (3, 2.0), (4, 1.0)}


def _points(settings, run_id):
    history = MlflowClient(settings.mlflow_tracking_uri).get_metric_history(run_id, "loss")
    return {(point.step, point.value) for point in history}


def _kill_server(port):
    """kill -9 to every process of the server that this test started on ``port``."""
    listeners = {
        connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
    }
    os.killpg(os.getpgid(listeners.pop()), signal.SIGKILL)
    servers.wait_until(lambda: not servers.is_open(port), "the end of the server")


def test_importing_the_stores_does_not_import_mlflow():
    code = (
        "import sys, twin.stores.tracking, twin.stores.registry; assert 'mlflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
