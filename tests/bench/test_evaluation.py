"""What the gate's promises are worth, by planted truth (`make bench-evaluation`).

Prints a table, and leaves it in build/bench-evaluation.
"""

import pytest

from tests.conftest import ROOT
from tests.twin.evaluation.likings import means, verdicts
from tests.twin.evaluation.planted import GATE, coverage, promoted, ratchet, smallest_effect
from twin.domain.sequential import running
from twin.evaluation.resampling import estimate, mean_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]

OUTPUT = ROOT / "build" / "bench-evaluation"
GATES = 1_000
DOCUMENTS = 40
ROWS = 40
PROMOTIONS = 50
SETS = 2_000


@pytest.fixture(scope="module")
def table():
    """Rows (what, wanted, found), printed and kept when all are there."""
    rows: list[tuple[str, str, str]] = []
    yield rows
    lines = ["| What | Wanted | Found |", "|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / "gate.md").write_text("\n".join(lines) + "\n")
    print("\n" + "\n".join(lines))


@pytest.mark.parametrize(
    ("what", "gain", "new_documents"),
    [
        ("equal", 0.0, 0),
        ("1 % worse", -0.01, 0),
        ("at the limit of what may be lost, with new documents", -GATE.max_perplexity_loss, 3),
    ],
)
def test_who_should_not_be_promoted_is_not(table, what, gain, new_documents):
    """Seconds. Buys: the share of false promotions, document effects included."""
    found = promoted(GATES, DOCUMENTS, gain, new_documents=new_documents)
    table.append((f"{what}: promoted, of {GATES} gates", "at most 5 %", f"{found:.1%}"))
    assert found <= 0.05


def test_the_stated_effect_is_seen(table):
    """Seconds. Buys: the power at the effect that a report states."""
    effect = smallest_effect(DOCUMENTS)
    found = promoted(GATES, DOCUMENTS, effect)
    what = f"{effect:.1%} better, as stated for {DOCUMENTS} documents: promoted"
    table.append((what, "at least 80 %", f"{found:.1%}"))
    assert found >= 0.8


@pytest.mark.parametrize("noise", [1.0, 0.5, 0.2])
def test_many_small_losses_stay_within_the_total(table, noise):
    """Seconds. Buys: proof that the reference champion stops the ratchet."""
    rows = [ratchet(PROMOTIONS, 0.01, seed, noise) for seed in range(ROWS)]
    over = sum(loss > GATE.max_total_loss for _, loss in rows) / ROWS
    worst = max(loss for _, loss in rows)
    count = sum(count for count, _ in rows) / ROWS
    what = (
        f"{noise:.0%} of the noise, {PROMOTIONS} candidates in a row, each 1 % worse than the "
        f"champion and with new documents, {ROWS} rows: {count:.1f} promoted; the most lost"
    )
    table.append((what, f"at most {GATE.max_total_loss:.0%}", f"{worst:.1%}"))
    assert over <= 0.05


def test_whoever_stops_when_it_pleases_is_hardly_misled(table):
    """A minute. Buys: the error of people's comparisons that are looked at after every document."""
    rows = [running(means(verdicts(0.5, seed, 200))).is_decided for seed in range(GATES)]
    found = sum(rows) / GATES
    what = f"equal answers, looked at after each of 200 documents: told apart, of {GATES} rows"
    table.append((what, "at most 5 %", f"{found:.1%}"))
    assert found <= 0.05
    fixed = sum(any(map(_excludes_even, _looks(seed))) for seed in range(200)) / 200
    table.append(
        ("the same, by a report's interval, after each of 60 documents", "", f"{fixed:.1%}")
    )
    for mean, documents in ((0.7, 60), (0.6, 250)):
        rows = [running(means(verdicts(mean, seed, documents))).low > 0.5 for seed in range(200)]
        seen = sum(rows) / len(rows)
        what = f"preferred in {mean:.0%}: seen within {documents} documents"
        table.append((what, "at least 80 %", f"{seen:.1%}"))
        assert seen >= 0.8


def _looks(seed):
    """The interval for a fixed set, after each document from the eighth on."""
    values = means(verdicts(0.5, seed, 60))
    for seen in range(8, 61):
        yield estimate(mean_of(values[:seen]), [str(each) for each in range(seen)])


def _excludes_even(found):
    return not found.low <= 0.5 <= found.high


@pytest.mark.parametrize("documents", [8, 12, 20, 40])
def test_the_intervals_hold_the_truth(table, documents):
    """Seconds. Buys: the coverage of the 95 % intervals under document effects."""
    found = coverage(SETS, documents)
    table.append(
        (f"95 % intervals that hold the truth, {documents} documents", "93 to 97 %", f"{found:.1%}")
    )
    assert 0.93 <= found <= 0.97
