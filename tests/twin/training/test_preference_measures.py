"""What preference training does to pairs that it has not seen, and when it has gone too far."""

import math
from types import SimpleNamespace

import pytest
import torch

from tests import tiny_model
from twin.models.formats.chat_format import ChatFormat
from twin.training.preference_measures import (
    DRIFT,
    DriftLimit,
    PairScores,
    drift_of,
    held_out_measures,
    length_measures,
    score_pairs,
)

ROWS = [
    {"prompt_ids": [9, 10, 11], "chosen_ids": [12, 13, 14, 15], "rejected_ids": [16, 17]},
    {"prompt_ids": [9], "chosen_ids": [20], "rejected_ids": [21, 22, 23]},
    {"prompt_ids": [30, 31], "chosen_ids": [32, 33], "rejected_ids": [34, 35]},
]


def test_a_pairs_scores_are_the_models_own(tmp_path):
    from transformers import AutoModelForCausalLM

    folder = tiny_model.build(tmp_path)
    assert ChatFormat.load(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.train()
    found = score_pairs(model, ROWS, 2)
    assert model.training
    model.eval()
    for side, values in (("chosen_ids", found.chosen), ("rejected_ids", found.rejected)):
        for row, value in zip(ROWS, values, strict=True):
            ids = torch.tensor([row["prompt_ids"] + row[side]])
            with torch.no_grad():
                steps = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
            ends = steps[len(row["prompt_ids"]) - 1 :].gather(1, torch.tensor(row[side])[:, None])
            assert value == pytest.approx(float(ends.sum()), abs=0.05)


def test_what_the_held_out_pairs_say():
    before = PairScores(chosen=[-8.0, -2.0, -4.0], rejected=[-3.0, -9.0, -4.0])
    after = PairScores(chosen=[-4.0, -2.5, -5.0], rejected=[-5.0, -9.0, -4.5])
    found = held_out_measures(ROWS, before, after, beta=0.1)
    # Gains of the chosen over the rejected: 4 + 2, -0.5 - 0, -1 + 0.5.
    assert found["reward_accuracy"] == pytest.approx(1 / 3)
    assert found["reward_margin"] == pytest.approx(0.1 * 5 / 3)
    # A token: -2 against -1.5, -2 against -3, -2 against -2; then -1 against -2.5, -2.5 against -3.
    assert found["likelier_before"] == pytest.approx(1 / 3)
    assert found["likelier_after"] == pytest.approx(2 / 3)
    assert found["pairs"] == 3


def test_lengths_of_both_sides():
    assert length_measures(ROWS) == {
        "chosen_tokens": pytest.approx(7 / 3),
        "rejected_tokens": pytest.approx(7 / 3),
        "length_difference": pytest.approx(0.0),
    }
    assert length_measures(ROWS[:1])["length_difference"] == 2


def test_drift_is_the_mean_of_the_last_points_in_nats():
    history = [{"rewards/rejected": -value, "step": n} for n, value in enumerate(range(1, 31))]
    assert drift_of(history, beta=0.1) == pytest.approx(255.0)
    assert drift_of(history[:2], beta=0.5) == pytest.approx(3.0)
    assert drift_of([{"loss": 1.0}], beta=0.1) is None


@pytest.mark.parametrize(("limit", "stops"), [(29.0, True), (31.0, False), (None, False)])
def test_a_training_stops_beyond_its_limit_and_saves(limit, stops):
    logs = {"rewards/rejected": -3.0}
    state = SimpleNamespace(log_history=[{"loss": 1.0}, dict(logs)])
    control = SimpleNamespace(should_training_stop=False, should_save=False)
    DriftLimit(0.1, limit).on_log(None, state, control, logs)
    assert (control.should_training_stop, control.should_save) == (stops, stops)
    assert math.isclose(logs[DRIFT], 30.0)
    assert math.isclose(state.log_history[-1][DRIFT], 30.0)


def test_other_logs_are_left_alone():
    state = SimpleNamespace(log_history=[{"rewards/rejected": -9.0}, {"eval_loss": 1.0}])
    control = SimpleNamespace(should_training_stop=False, should_save=False)
    logs = {"eval_loss": 1.0}
    DriftLimit(0.1, 1.0).on_log(None, state, control, logs)
    assert logs == {"eval_loss": 1.0}
    assert not control.should_training_stop
