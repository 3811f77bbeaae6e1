"""What happens around training steps: progress, and metrics to MLflow."""

import math
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback  # noqa: TID253 - imported by the training functions only

from twin.stores.tracking import TrackingRun
from twin.training.lean_head import UNMEASURED


class Reporting(TrainerCallback):
    """Moves the progress bar and sends every logged number to the tracking run."""

    def __init__(self, run: TrackingRun, advance: Callable[[int], None]) -> None:
        self._run = run
        self._advance = advance
        self._shown = 0

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
        """Start where an earlier attempt ended."""
        self.catch_up(state)

    def catch_up(self, state: Any) -> None:
        """Show the steps of an earlier attempt as done, and send what it may not have sent."""
        self._move(state.global_step)
        for entry in state.log_history:
            self._send(entry, int(entry["step"]))

    def on_step_end(self, _args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
        """One step further."""
        self._move(state.global_step)

    def on_log(
        self,
        _args: Any,
        state: Any,
        _control: Any,
        logs: dict[str, Any] | None = None,
        **_kwargs: Any,
    ) -> None:
        """Send what the trainer logs."""
        self._send(logs or {}, state.global_step)

    def _move(self, step: int) -> None:
        self._advance(step - self._shown)
        self._shown = step

    def _send(self, entry: dict[str, Any], step: int) -> None:
        metrics = {
            "validation_loss" if name == "eval_loss" else name: float(value)
            for name, value in entry.items()
            if isinstance(value, int | float)
            and math.isfinite(value)
            and name != "step"
            and name.removeprefix("eval_") not in UNMEASURED
        }
        self._run.log_metrics(metrics, step)
