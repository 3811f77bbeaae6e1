"""What happens around training steps: progress, and metrics to MLflow."""

import math
import time
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback  # noqa: TID253 - imported by the training functions only

from twin.models.bases.memory import GIB
from twin.stores.tracking import TrackingRun
from twin.training.lean_head import UNMEASURED
from twin.training.throughput import MachineMonitor, Meter

SECONDS = "train_seconds"
"""Of training so far, earlier attempts included: kept in the trainer's log, so in checkpoints."""


def memory_measures() -> dict[str, float]:
    """GiB that this process has in memory now, and the most that it has had of its GPU's."""
    import psutil
    import torch

    found = {"memory_gib": psutil.Process().memory_info().rss / GIB}
    if torch.cuda.is_available():
        found["gpu_memory_gib"] = torch.cuda.max_memory_allocated() / GIB
    return found


class Reporting(TrainerCallback):
    """Moves the progress bar and sends every logged number to the tracking run.

    Beside what the trainer logs: tokens a second, MFU and cost (where the settings know peak and
    price), seconds, memory, and what the machine is doing.

    Args:
        run: takes the numbers.
        advance: moves the progress by so many steps.
        meter: of this training.
        prefix: of the numbers' names.
    """

    def __init__(
        self, run: TrackingRun, advance: Callable[[int], None], meter: Meter, prefix: str = ""
    ) -> None:
        self._prefix = prefix
        self._meter = meter
        self._machine = MachineMonitor()
        self._earlier = 0.0
        self._began = time.monotonic()
        self._run = run
        self._advance = advance
        self._shown = 0
        self._counted: tuple[float, float] | None = None

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
        """Start where an earlier attempt ended."""
        self._began = time.monotonic()
        self.catch_up(state)

    def catch_up(self, state: Any) -> None:
        """Show the steps of an earlier attempt as done, and send what it may not have sent."""
        self._move(state.global_step)
        self._earlier = max((e[SECONDS] for e in state.log_history if SECONDS in e), default=0.0)
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
        """Send what the trainer logs, and in training how fast and large it is."""
        entry = dict(logs or {})
        if "loss" in entry:
            seconds = self._earlier + time.monotonic() - self._began
            more = {SECONDS: seconds, **self._meter.cost(seconds), **self._speed(entry)}
            state.log_history[-1] |= more
            entry |= {**more, **memory_measures(), **self._machine.measures()}
        self._send(entry, state.global_step)

    def _speed(self, entry: dict[str, Any]) -> dict[str, float]:
        """Tokens a second since the point before, padding aside, and the MFU that this is."""
        now, tokens = time.monotonic(), entry.get("num_tokens")
        before, self._counted = self._counted, None if tokens is None else (now, float(tokens))
        if before is None or tokens is None or now <= before[0]:
            return {}
        speed = (float(tokens) - before[1]) / (now - before[0])
        return {"tokens_per_second": speed, **self._meter.mfu(speed)}

    def _move(self, step: int) -> None:
        self._advance(step - self._shown)
        self._shown = step

    def _send(self, entry: dict[str, Any], step: int) -> None:
        metrics = {
            self._prefix + ("validation_loss" if name == "eval_loss" else name): float(value)
            for name, value in entry.items()
            if isinstance(value, int | float)
            and math.isfinite(value)
            and name != "step"
            and name.removeprefix("eval_") not in UNMEASURED
        }
        self._run.log_metrics(metrics, step)
