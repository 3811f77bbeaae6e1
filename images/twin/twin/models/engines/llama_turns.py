"""Whose prompt llama.cpp reads next: a short one never waits until a long one has been read.

llama.cpp fills each step with the prompt of its first slot, then of the next: a prompt of 10,000
tokens in front leaves the others nothing until it has been read whole. So a long prompt is given to
it in parts of about a step, and between two parts those that have less left to read go first.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

PATIENCE = 8
"""Prompts that may overtake a part of a longer one; then it goes ahead once."""


@dataclass(eq=False)
class Reader:
    """A prompt that is being read: tokens that are left, and how many were read meanwhile."""

    left: int
    overtaken: int = 0


class PromptTurns:
    """The prompts that one server is reading, each from a thread of its own.

    Args:
        part_tokens: of a part; what has no more than that left never waits.
    """

    def __init__(self, part_tokens: int) -> None:
        self.part_tokens = part_tokens
        self._readers: list[Reader] = []
        self._changed = threading.Condition()

    def enter(self, tokens: int) -> Reader:
        """A prompt with so many tokens to be read."""
        reader = Reader(tokens)
        with self._changed:
            self._readers.append(reader)
        return reader

    def wait(self, reader: Reader, given_up: Callable[[], bool]) -> None:
        """Return when the reader's next part may be read, or it was given up (see `wake`)."""
        with self._changed:
            self._changed.wait_for(lambda: given_up() or self._is_next(reader))
            reader.overtaken = 0

    def took(self, reader: Reader) -> None:
        """A part of the reader's prompt has been read."""
        with self._changed:
            reader.left -= self.part_tokens
            self._changed.notify_all()

    def leave(self, reader: Reader) -> None:
        """The prompt has been read, or nobody wants it any more; may be said again."""
        with self._changed:
            if reader in self._readers:
                self._readers.remove(reader)
                for other in self._readers:
                    other.overtaken += 1
                self._changed.notify_all()

    def wake(self) -> None:
        """Let those that wait see whether they were given up."""
        with self._changed:
            self._changed.notify_all()

    def _is_next(self, reader: Reader) -> bool:
        return (
            reader.left <= self.part_tokens
            or reader.overtaken >= PATIENCE
            or reader is min(self._readers, key=lambda other: other.left)
        )
