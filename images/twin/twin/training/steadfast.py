"""What the house adds to TRL's trainers, whichever it is: see `Steadfast`."""

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from twin.domain.errors import BadDataError
from twin.training.interruption import Interruption, RandomStates
from twin.training.sample_order import SampleOrder


class Steadfast:
    """Mixed in before a trainer of transformers: it may be killed anywhere, and hides no fault.

    - The order of samples depends on seed and epoch alone, so a resumed epoch is the same epoch.
    - A loss or gradient that is no number ends the training before a weight takes it on.
    - SIGTERM ends it between two steps or within one; `save_last_step` then saves the last whole
      step as if it had been a checkpoint of the schedule. Several processes end together, after
      the step that they are in.
    """

    interruption: Interruption
    accelerator: Any
    args: Any
    control: Any
    model: Any
    state: Any
    train_dataset: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.interruption = Interruption()
        self._order: SampleOrder | None = None
        self._after_step: RandomStates | None = None
        self._saved_step = -1
        super().__init__(*args, **kwargs)

    def save_last_step(self) -> bool:
        """Save the last whole step, unless that is done; returns whether there was one to save."""
        step = self.state.global_step
        if self._after_step is None or step == self._saved_step:
            return False
        self._after_step.restore()
        self._save_checkpoint(self.model, None)
        return True

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)  # type: ignore[misc]
        self._saved_step = self.state.global_step
        if self.args.world_size > 1:  # each process has random states of its own in the checkpoint
            self.accelerator.wait_for_everyone()

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self.args.train_sampling_strategy == "sequential":
            return super()._get_train_sampler(train_dataset)  # type: ignore[misc]
        rows = self.train_dataset if train_dataset is None else train_dataset
        together = self.args.train_batch_size * self.args.gradient_accumulation_steps
        grouped = self.args.train_sampling_strategy == "group_by_length"
        self._order = SampleOrder(
            [_length(row) for row in rows],
            self.args.data_seed,
            together * self.args.world_size if grouped else None,
        )
        return self._order

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        if self._order is not None:
            self._order.set_epoch(kwargs["epoch"])
        super()._run_epoch(*args, **kwargs)  # type: ignore[misc]

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """The batches of a step; before it, the random states are those after the last one."""
        if self._saved_step < 0:
            self._saved_step = self.state.global_step  # where this attempt begins
        self._after_step = RandomStates.now()
        return super().get_batch_samples(*args, **kwargs)  # type: ignore[misc]

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """Forward and backward pass of a batch.

        Raises:
            BadDataError: the loss is no number.
            Interrupted: SIGTERM has come.
        """
        with self._interruptible():
            loss = super().training_step(*args, **kwargs)  # type: ignore[misc]
        if self.args.world_size == 1:  # of several, each sees it in the gradients that they share
            self._check("loss", float(loss))
        return loss

    def prediction_step(self, *args: Any, **kwargs: Any) -> Any:
        """Forward pass of a validation batch.

        Raises:
            Interrupted: SIGTERM has come.
        """
        with self._interruptible():
            return super().prediction_step(*args, **kwargs)  # type: ignore[misc]

    def _interruptible(self) -> AbstractContextManager[None]:
        """One of several processes must not leave the others waiting for it in mid-step."""
        return self.interruption.allowed() if self.args.world_size == 1 else nullcontext()

    def _maybe_log_save_evaluate(self, *args: Any, **kwargs: Any) -> None:
        if self.args.world_size > 1 and self._any_is_interrupted():
            self.interruption.requested = True
            self.control.should_save = self.control.should_training_stop = True
        super()._maybe_log_save_evaluate(*args, **kwargs)  # type: ignore[misc]

    def _any_is_interrupted(self) -> bool:
        import torch

        asked = torch.tensor(float(self.interruption.requested), device=self.args.device)
        return bool(self.accelerator.reduce(asked, reduction="sum") > 0)

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)  # type: ignore[misc]
        self._check("norm of the gradients", float(norm))
        return norm

    def _check(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            raise BadDataError(
                f"the {what} is {value} in step {self.state.global_step + 1}: nothing of this step "
                "is kept, and the last checkpoint is as it was. Lower the learning rate "
                f"({self.args.learning_rate}) or max_gradient_norm, warm up longer "
                "(warmup_share), or look for broken samples"
            )


def _length(row: dict[str, Any]) -> int:
    return max(len(value) for value in row.values() if isinstance(value, list))
