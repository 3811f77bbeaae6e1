"""Counts of many threads add up, and a crawl that goes on counts on."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.twin.crawl.sources.jobs import job
from twin.crawl.counters import Counters
from twin.domain.crawl import Change
from twin.job import Job
from twin.settings import Settings


def one_job(folder: Path) -> Job:
    return job(Settings(home=folder), {"kind": "folder", "path": folder})


def test_counts_add_up_and_a_document_counts_once(tmp_path: Path) -> None:
    done = one_job(tmp_path)
    counters = Counters(done)
    told: list[int] = []
    counters.advance = told.append

    def count(number: int) -> None:
        counters.stored(f"d{number % 50}", Change.ADDED, by_guest=number % 2 == 0)
        counters.skipped()
        counters.failed(f"u{number}", "answered 500", transient=True)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(200)))
    counters.stored("known", Change.UNCHANGED, by_guest=False)
    counters.buried("d7")
    tally = counters.tally
    assert (tally.added, tally.unchanged, tally.skipped, tally.failed) == (50, 1, 200, 200)
    assert (tally.guests, tally.gone) == (25, 1)
    assert counters.failures.transient == 200
    assert counters.failures.commonest == "answered 500"
    assert len(counters.seen) == 50 and "d7" not in counters.seen
    assert done.counts.model_dump() == {
        "read": 451, "written": 51, "skipped": 201, "failed": 200,
    }  # fmt: skip
    assert sum(told) == 451


def test_what_stands_is_given_out_once_and_in_portions(tmp_path: Path) -> None:
    counters = Counters(one_job(tmp_path))
    for change in (Change.ADDED, Change.CHANGED, Change.UNCHANGED, Change.RESTORED):
        counters.stored(change.value, change, by_guest=False)
    counters.buried("changed")
    assert counters.standing() == set() == counters.standing(at_least=3)
    later = Counters(one_job(tmp_path))
    later.go_on(json.loads(json.dumps(counters.state())))
    for given in (counters, later):
        assert given.standing(at_least=2) == {"unchanged", "restored"}
        assert given.standing(at_least=1) == set()
    for number in range(Counters.STANDING_PER_NOTE):
        assert counters.standing() == set()
        counters.stored(f"d{number}", Change.UNCHANGED, by_guest=False)
    assert len(counters.standing()) == Counters.STANDING_PER_NOTE


def test_a_later_process_counts_on(tmp_path: Path) -> None:
    first, second = one_job(tmp_path), one_job(tmp_path)
    before, after = Counters(first), Counters(second)
    before.stored("one", Change.CHANGED, by_guest=False)
    before.failed("u", "is empty", transient=False)
    before.buried("two")
    after.go_on(json.loads(json.dumps(before.state())))
    assert second.counts == first.counts
    after.stored("one", Change.UNCHANGED, by_guest=False)
    after.stored("three", Change.ADDED, by_guest=False)
    assert (after.tally.changed, after.tally.added, after.tally.unchanged) == (1, 1, 0)
    assert (after.tally.failed, after.tally.gone) == (1, 1)
    assert after.failures.commonest == "is empty"
