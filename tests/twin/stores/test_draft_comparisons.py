"""Blind comparisons in a real warehouse."""

from datetime import UTC, datetime, timedelta

import pytest

from twin.domain.draft_comparison import Arm, DraftComparison
from twin.stores.draft_comparisons import DraftComparisons
from twin.stores.warehouse import open_warehouse

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ARMS = {
    "A": Arm(draft_id="d1", model="twin-tiny", model_version="1", seed=1),
    "B": Arm(draft_id="d2", model="twin-tiny", model_version="2", temperature=0.5),
}
MADE = DraftComparison(id="c1", expires=NOW + timedelta(days=1), arms=ARMS)


@pytest.fixture
def comparisons(stores_settings):
    with open_warehouse(stores_settings) as warehouse:
        found = DraftComparisons(warehouse)
        found.add("ann", MADE)
        yield found


def test_the_first_vote_stands(comparisons):
    assert comparisons.decide("c1", "ann", "B", NOW) == MADE.model_copy(update={"preferred": "B"})
    assert comparisons.decide("c1", "ann", "A", NOW).preferred == "B"
    comparisons.add("ann", MADE)  # written again, it changes nothing
    assert comparisons.decide("c1", "ann", "tie", NOW).preferred == "B"


@pytest.mark.parametrize(
    ("identity", "caller", "now"),
    [("c2", "ann", NOW), ("c1", "bob", NOW), ("c1", "ann", NOW + timedelta(days=1))],
)
def test_others_and_expired_ones_are_not_there(comparisons, identity, caller, now):
    assert comparisons.decide(identity, caller, "A", now) is None
    assert comparisons.decide("c1", "ann", "tie", NOW).preferred == "tie"
