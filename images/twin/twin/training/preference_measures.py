"""What preference training does: on pairs that it has not seen, and how far it moves the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from transformers import TrainerCallback  # noqa: TID253 - imported by the training functions only

from twin.training.engine import Rows

DRIFT = "drift"
"""Metric: nats an answer, see `drift_of`."""

DRIFT_POINTS = 10
"""Points of the curve that the drift is averaged over: a batch is of two or three texts."""


@dataclass(frozen=True)
class PairScores:
    """Log-probabilities (nats) of both texts of each pair, by one model."""

    chosen: Sequence[float]
    rejected: Sequence[float]


def score_pairs(model: Any, rows: Rows, batch_size: int) -> PairScores:
    """What a model thinks of both texts of pairs; its adapter counts as it is.

    Args:
        model: of transformers or PEFT.
        rows: as `preference_rows` makes them.
        batch_size: pairs in one pass.
    """
    import torch

    from twin.models.output_head import OutputHead
    from twin.models.token_likelihoods import token_likelihoods

    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    training = model.training
    model.eval()
    scores: dict[str, list[float]] = {"chosen_ids": [], "rejected_ids": []}
    with torch.autocast(base.device.type, torch.bfloat16):
        for start in range(0, len(rows), batch_size):
            part = rows[start : start + batch_size]
            prompts = [row["prompt_ids"] for row in part]
            for side, found in scores.items():
                ends = [row[side] for row in part]
                scored = token_likelihoods(base, OutputHead.of(base), prompts, ends)
                found += [nats for nats, _ in scored]
    model.train(training)
    return PairScores(scores["chosen_ids"], scores["rejected_ids"])


def held_out_measures(
    rows: Rows, before: PairScores, after: PairScores, beta: float
) -> dict[str, float]:
    """How preference training changed the view of pairs that it has not seen.

    ``reward_accuracy`` is the share of pairs whose chosen text has gained more than the rejected
    (a half is chance), ``reward_margin`` by how much, times beta. ``likelier_before`` and
    ``likelier_after`` are the shares whose chosen text is likelier, a token, than the rejected.
    """
    gains = [
        (chosen - known) - (rejected - once)
        for chosen, known, rejected, once in zip(
            after.chosen, before.chosen, after.rejected, before.rejected, strict=True
        )
    ]
    return {
        "pairs": float(len(rows)),
        "reward_accuracy": fmean(gain > 0 for gain in gains),
        "reward_margin": beta * fmean(gains),
        "likelier_before": _likelier(rows, before),
        "likelier_after": _likelier(rows, after),
        **length_measures(rows),
    }


def length_measures(rows: Rows) -> dict[str, float]:
    """Tokens of both sides, in the mean: a model learns a difference in length first of all."""
    chosen = fmean(len(row["chosen_ids"]) for row in rows)
    rejected = fmean(len(row["rejected_ids"]) for row in rows)
    return {
        "chosen_tokens": chosen,
        "rejected_tokens": rejected,
        "length_difference": chosen - rejected,
    }


def _likelier(rows: Rows, scores: PairScores) -> float:
    return fmean(
        chosen / len(row["chosen_ids"]) > rejected / len(row["rejected_ids"])
        for row, chosen, rejected in zip(rows, scores.chosen, scores.rejected, strict=True)
    )


def drift_of(history: Sequence[Mapping[str, Any]], beta: float) -> float | None:
    """Nats by which the rejected texts have become less likely than they were, lately.

    The reference wrote them, so the mean of ``log reference - log policy`` over them estimates the
    KL divergence of the policy from the reference, an answer. None where nothing says so.
    """
    rewards = [entry["rewards/rejected"] for entry in history if "rewards/rejected" in entry]
    return -fmean(rewards[-DRIFT_POINTS:]) / beta if rewards else None


class DriftLimit(TrainerCallback):
    """Stops a training whose model has drifted too far from that of the first stage."""

    def __init__(self, beta: float, limit: float | None) -> None:
        self._beta = beta
        self._limit = limit
        self.reached: float | None = None

    def on_log(
        self,
        _args: Any,
        state: Any,
        control: Any,
        logs: dict[str, Any] | None = None,
        **_kwargs: Any,
    ) -> None:
        """Add the drift to what is logged; stop if it is beyond the limit."""
        drift = drift_of(state.log_history, self._beta)
        if drift is None or logs is None or "rewards/rejected" not in logs:
            return
        logs[DRIFT] = state.log_history[-1][DRIFT] = drift
        if self._limit is not None and drift > self._limit:
            self.reached = drift
            control.should_training_stop = control.should_save = True
