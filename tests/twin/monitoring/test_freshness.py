"""Sources that are crawled, and authors who still publish."""

from datetime import timedelta

import pytest

from tests.twin.monitoring.seen import DAY, HOUR, NOW
from twin.domain.monitoring import Standing
from twin.monitoring.freshness import SourceSeen, freshness, usual_silence
from twin.recipes.monitoring import FreshnessSection

SECTION = FreshnessSection(crawl_hours=50, patience=2, least_gaps=10)


def weekly(weeks=30, last=NOW - DAY):
    return tuple(last - number * timedelta(days=7) for number in range(weeks))


def look(**seen):
    (found,) = freshness([SourceSeen("blog", **seen)], NOW, SECTION)
    return found


@pytest.mark.parametrize(
    ("hours", "standing"), [(1, Standing.GOOD), (50, Standing.GOOD), (50.1, Standing.BAD)]
)
def test_a_crawl_is_late_after_the_hours_of_the_recipe(hours, standing):
    found = look(crawled=NOW - hours * HOUR, published=weekly())
    assert (found.name, found.standing) == ("fresh.blog", standing)


def test_a_source_that_was_never_crawled_is_bad_and_says_what_to_do():
    found = look(crawled=None)
    assert found.standing is Standing.BAD
    assert "DAG crawl" in found.says


@pytest.mark.parametrize(
    ("days", "standing"), [(7, Standing.GOOD), (14, Standing.GOOD), (14.5, Standing.BAD)]
)
def test_silence_is_told_against_the_authors_own_rhythm(days, standing):
    found = look(crawled=NOW, published=weekly(last=NOW - days * DAY))
    assert found.standing is standing
    assert found.reference == 14


def test_a_page_that_is_dated_ahead_hides_no_silence():
    silent = weekly(last=NOW - 15 * DAY)
    assert look(crawled=NOW, published=(*silent, NOW + DAY)) == look(crawled=NOW, published=silent)
    assert look(crawled=NOW, published=(*silent, NOW)).standing is Standing.GOOD


def test_without_a_rhythm_silence_says_nothing():
    assert look(crawled=NOW, published=weekly(10, NOW - 900 * DAY)).standing is Standing.GOOD
    assert look(crawled=NOW, published=weekly(11, NOW - 900 * DAY)).standing is Standing.BAD
    assert look(crawled=NOW).standing is Standing.GOOD


def test_many_pages_of_one_day_are_one_publication():
    days = [NOW - number * 30 * DAY for number in range(12)]
    assert usual_silence([*days, *([NOW] * 500)], SECTION) == 30
    assert usual_silence([NOW] * 500, SECTION) is None


def test_what_is_usual_leaves_out_the_share_of_the_longest():
    """Of 39 silences the rank is that of 40: the 38th, with the longest two left out at 0.05."""
    dates, last = [NOW], NOW
    for number in range(1, 40):
        last -= number * DAY
        dates.append(last)
    assert usual_silence(dates, SECTION) == 38
    assert usual_silence(dates, SECTION.model_copy(update={"alpha": 0.5})) == 20
    assert usual_silence(dates, SECTION.model_copy(update={"alpha": 0.0})) == 39
