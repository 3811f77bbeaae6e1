"""Waiting for a store that is away: again and again, for a while, and for nothing else."""

from types import SimpleNamespace

import pytest

from twin.domain.errors import BadConfigurationError, TryAgainError
from twin.training import patience
from twin.training.patience import patiently


@pytest.fixture
def pauses(monkeypatch):
    """What was waited for, in seconds; no time passes but by waiting."""
    waited = []
    # Of that module alone: other threads of this process sleep, too.
    clock = SimpleNamespace(sleep=waited.append, monotonic=lambda: float(sum(waited)))
    monkeypatch.setattr(patience, "time", clock)
    return waited


def away(times, then="done"):
    left = [None] * times

    def act():
        if left:
            left.pop()
            raise TryAgainError("the store does not answer")
        return then

    return act


def test_it_is_tried_again_with_growing_pauses(pauses):
    assert patiently(away(8)) == "done"
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


def test_patience_ends(pauses):
    with pytest.raises(TryAgainError, match="does not answer"):
        patiently(away(1000), seconds=100)
    assert sum(pauses) <= 100
    assert sum(pauses) > 60


def test_what_waiting_does_not_mend_is_not_waited_for(pauses):
    def refused():
        raise BadConfigurationError("access refused")

    with pytest.raises(BadConfigurationError):
        patiently(refused)
    assert pauses == []
