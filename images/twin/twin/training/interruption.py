"""SIGTERM in mid-training: the last whole step is saved, and the job asks to be tried again.

A pod that makes room, a task that is cleared or a person's kill come as SIGTERM. A step may take
longer than the time that is left then, so none is waited for: where no weight is being changed, in
the forward and backward pass of a batch, the signal ends the training at once.
"""

import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any


class Interrupted(Exception):  # noqa: N818 - no failure: the training goes on in the next attempt
    """SIGTERM has come, and no weight is being changed."""


class Interruption:
    """Whether SIGTERM has come, and where it may end the training."""

    def __init__(self) -> None:
        self.requested = False
        self._open = False

    def request(self, _number: int = signal.SIGTERM, _frame: FrameType | None = None) -> None:
        """Handle the signal; whoever sends it may send it again.

        Raises:
            Interrupted: the training may end here; else it ends at the next place where it may.
        """
        self.requested = True
        self.check()

    def check(self) -> None:
        """End the training if it has been asked to and may.

        Raises:
            Interrupted: it has been.
        """
        if self.requested and self._open:
            self._open = False
            raise Interrupted

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """A stretch of work in which the training may end at any point."""
        self._open = True
        try:
            self.check()
            yield
        finally:
            self._open = False


@contextmanager
def on_sigterm(interruption: Interruption) -> Iterator[None]:
    """Let SIGTERM ask for the interruption; only a program's main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interruption.request)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


@dataclass(frozen=True)
class RandomStates:
    """The states of all random number generators that a training draws from."""

    python: Any
    numpy: Any
    torch: Any
    cuda: Any

    @classmethod
    def now(cls) -> "RandomStates":
        """As they are."""
        import numpy
        import torch

        cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
        return cls(random.getstate(), numpy.random.get_state(), torch.get_rng_state(), cuda)

    def restore(self) -> None:
        """Make them what they were."""
        import numpy
        import torch

        random.setstate(self.python)
        numpy.random.set_state(self.numpy)
        torch.set_rng_state(self.torch)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda)
