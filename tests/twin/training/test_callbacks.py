"""What goes to MLflow while a model is trained: numbers, speed and memory, each once."""

import math
from types import SimpleNamespace

import pytest

from twin.training import callbacks
from twin.training.callbacks import SECONDS, Reporting, memory_measures
from twin.training.throughput import Meter

#: A training of a thousand operations a token, on two units of 10⁻⁹ TFLOPS for 36 an hour each.
METER = Meter(flops_per_token=1000.0, units=2, peak_tflops=1e-6, price_per_hour=36.0)


class Run:
    """Keeps what it is given."""

    def __init__(self):
        self.points = []

    def log_metrics(self, metrics, step):
        self.points.append((step, metrics))


@pytest.fixture
def reporting():
    run, done = Run(), []
    return Reporting(run, done.append, METER), run, done


def state(step, history=()):
    return SimpleNamespace(global_step=step, log_history=list(history))


def test_speed_is_of_the_tokens_since_the_point_before(reporting, monkeypatch):
    made, run, _ = reporting
    now = [90.0]
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: now[0])
    made.on_train_begin(None, state(0), None)
    clock = iter([100.0, 104.0, 105.0])
    for step, tokens in [(1, 50), (2, 450), (3, 500)]:
        now[0] = next(clock)
        logged = state(step, [{"loss": 1.0, "step": step}])
        made.on_log(None, logged, None, {"loss": 1.0, "num_tokens": tokens})
        [entry] = logged.log_history
        assert entry[SECONDS] == now[0] - 90.0, "a checkpoint has it, for the next attempt"
    speeds = [metrics.get("tokens_per_second") for _, metrics in run.points]
    assert speeds == [None, 100.0, 50.0]
    assert [metrics.get("mfu") for _, metrics in run.points] == [
        None,
        pytest.approx(100.0 * 1000 / 2e6),
        pytest.approx(50.0 * 1000 / 2e6),
    ]
    assert [metrics["cost"] for _, metrics in run.points] == pytest.approx(
        [10 / 3600 * 72, 14 / 3600 * 72, 15 / 3600 * 72]
    )
    assert all(
        0 <= metrics["system/cpu_utilization_percentage"] <= 100 for _, metrics in run.points
    )
    assert all("system/system_memory_usage_percentage" in metrics for _, metrics in run.points)
    assert [step for step, _ in run.points] == [1, 2, 3]
    assert all(0.01 < metrics["memory_gib"] < 100 for _, metrics in run.points)


def test_validation_has_its_name_and_no_speed(reporting):
    made, run, _ = reporting
    made.on_log(None, state(4), None, {"eval_loss": 2.0, "eval_entropy": 0.0, "epoch": 1.0})
    assert run.points == [(4, {"validation_loss": 2.0, "epoch": 1.0})]


def test_what_is_no_number_is_not_sent(reporting):
    made, run, _ = reporting
    made.on_log(None, state(1), None, {"grad_norm": math.nan, "entropy": 0.0, "mode": "x"})
    assert run.points == [(1, {})]


def test_an_earlier_attempts_steps_are_shown_and_sent(reporting):
    made, run, done = reporting
    made.on_train_begin(None, state(5, [{"loss": 3.0, "step": 1}, {"loss": 2.0, "step": 5}]), None)
    made.on_step_end(None, state(6), None)
    assert done == [5, 1]
    assert run.points == [(1, {"loss": 3.0}), (5, {"loss": 2.0})]


def test_seconds_of_an_earlier_attempt_count(reporting, monkeypatch):
    made, run, _ = reporting
    now = [50.0]
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: now[0])
    history = [{"loss": 3.0, "step": 1, SECONDS: 7.0}, {"loss": 2.0, "step": 2, SECONDS: 9.0}]
    made.on_train_begin(None, state(2, history), None)
    now[0] = 51.0
    made.on_log(None, state(3, [*history, {"loss": 1.0, "step": 3}]), None, {"loss": 1.0})
    assert run.points[-1][1][SECONDS] == 10.0


def test_memory_of_this_process():
    assert set(memory_measures()) == {"memory_gib"}
