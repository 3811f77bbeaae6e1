"""What routers have seen, caller by caller."""

from tests.twin.monitoring.seen import NOW
from twin.domain.monitoring import Baseline, Standing
from twin.domain.observation import Observation, RouterReport
from twin.monitoring import live
from twin.recipes.monitoring import LiveSection

SECTION = LiveSection(errors=0.02, slow_seconds=15, slow=0.2, margin=0.1)


def observed(count, *, first=0, version="1", **more):
    return [
        Observation(number=n + 1, time=NOW, version=version, unit=f"u{first + n}", **more)
        for n in range(count)
    ]


def standings(observations, baselines=None):
    return {each.name: each.standing for each in live.live(observations, baselines or {}, SECTION)}


def test_nobody_asked_is_not_bad():
    assert set(standings([]).values()) == {Standing.UNKNOWN}
    assert list(standings([])) == list(live.ALL)


def test_each_fault_is_its_own():
    fine = observed(100, first_seconds=1.0)
    assert set(standings(fine).values()) == {Standing.GOOD}
    baselines = {
        name: Baseline(value=0, low=0, high=0.02, count=99, at=NOW)
        for name in (live.REFUSED, live.UNGROUNDED, live.GUARDRAILS)
    }

    def bad(**fault):
        more = fine + observed(100, first=100, **{"first_seconds": 1.0, **fault})
        return [name for name, each in standings(more, baselines).items() if each is Standing.BAD]

    assert bad(failed=True, first_seconds=None) == [live.ERRORS]
    assert bad(first_seconds=15.1) == [live.SLOW]
    assert bad(first_seconds=15.0) == []
    assert bad(refused=True) == [live.REFUSED]
    assert bad(grounded=False) == [live.UNGROUNDED]
    assert bad(refused=True, grounded=False) == [live.REFUSED]
    assert bad(cleaned=True) == [live.GUARDRAILS]


def test_one_caller_in_trouble_is_no_trouble_of_all():
    one = observed(1, failed=True) * 900
    assert standings(observed(200, first=1, first_seconds=1.0) + one)[live.ERRORS] is Standing.GOOD


def report(observations, **weights):
    named = {name.removeprefix("v"): share for name, share in weights.items()}
    return RouterReport(replica="r", generation=1, weights=named, observations=tuple(observations))


def test_versions_without_traffic_and_the_second_of_a_mirrored_pair_are_left_out():
    reports = [
        report(observed(3) + observed(2, version="2"), v1=100, v2=0),
        report(observed(4), v1=100, v2=0),
    ]
    assert len(live.served_observations(reports)) == 7
    pair = observed(1, mirrored="m") + observed(1, version="2", mirrored="m")
    assert len(live.served_observations([report(pair, v1=50, v2=50)])) == 1
    unknown = report(observed(3)).model_copy(update={"weights": None})
    assert live.served_observations([unknown]) == []
