"""Where an answer's text ends: at the first of its stop texts, of which nothing is ever shown."""


class StopTexts:
    """Text that grows piece by piece; what may be the beginning of a stop text is held back.

    Attributes:
        ready: the text that can be shown.
        stopped: whether a stop text was written; ``ready`` ends before it.
    """

    def __init__(self, stop: tuple[str, ...]) -> None:
        self._stop = tuple(text for text in stop if text)
        self._text = ""
        self.ready = ""
        self.stopped = False

    def add(self, text: str) -> str:
        """Append a piece; returns what of the whole text can be shown since the last call."""
        if self.stopped:
            return ""
        self._text += text
        shown = len(self.ready)
        found = [at for stop in self._stop if (at := self._text.find(stop)) >= 0]
        if found:
            self.stopped = True
            self.ready = self._text[: min(found)]
        else:
            self.ready = self._text[: len(self._text) - self._held_back()]
        return self.ready[shown:]

    def close(self) -> str:
        """No more text: what was held back can be shown; returns it."""
        shown = len(self.ready)
        if not self.stopped:
            self.ready = self._text
        return self.ready[shown:]

    def _held_back(self) -> int:
        """Length of the longest end of the text that may be the beginning of a stop text."""
        lengths = (
            n
            for stop in self._stop
            for n in range(min(len(stop) - 1, len(self._text)), 0, -1)
            if self._text.endswith(stop[:n])
        )
        return max(lengths, default=0)
