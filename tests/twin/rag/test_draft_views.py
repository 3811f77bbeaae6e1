from datetime import datetime

import pytest
from structlog.testing import capture_logs

from tests.twin.answers import passage
from tests.twin.drafts import dated
from twin.domain.errors import TryAgainError
from twin.rag.contradictions import RuleConflicts
from twin.rag.draft_views import FELL_BACK, Views, is_later

WAITS_90 = "A job waits 90 seconds for the warehouse before it gives up."
WAITS_30 = "A job waits 30 seconds for the warehouse before it gives up."
OLD = dated("old", f"{WAITS_90} Nobody minds.", 2020)
NEW = dated("new", f"We changed it in spring. {WAITS_30}", 2024)
WHOLE = (0, len(WAITS_30))


@pytest.fixture
def views():
    return Views(RuleConflicts())


def test_of_two_texts_that_contradict_each_other_the_latest_is_kept(views):
    other = dated("other", "The index is a folder of files on a disk.", 2019)
    for passages in ([OLD, other, NEW], [NEW, other, OLD]):
        kept, [outdated] = views.latest(passages)
        assert kept == [each for each in passages if each is not OLD]
        assert (outdated.said.passage, outdated.said.text) == (OLD, WAITS_90)
        assert (outdated.later.passage, outdated.later.text) == (NEW, WAITS_30)
        assert (outdated.difference, outdated.span) == ("number", None)


@pytest.mark.parametrize(
    "older",
    [
        dated("old", WAITS_90, 2024),  # of the same day
        passage("old", WAITS_90),  # of an unknown day
        dated("new", WAITS_90, 2020, chunk_id="new-1"),  # of the same document
        dated("old", WAITS_30, 2020),  # says the same
    ],
)
def test_texts_whose_order_is_unknown_are_both_kept(views, older):
    assert views.latest([older, NEW]) == ([older, NEW], [])


def test_an_older_view_is_named_beside_the_later_one_that_the_draft_follows(views):
    [against] = views.against(WAITS_30, [WHOLE], [[OLD, NEW]])
    assert (against.said.text, against.span, against.difference) == (WAITS_90, WHOLE, "number")
    assert against.later.text == WAITS_30
    assert against.later.passage is NEW


def test_a_draft_that_holds_an_older_view_has_no_later_one_on_its_side(views):
    [against] = views.against(WAITS_90, [WHOLE], [[OLD, NEW, OLD]])
    assert against.said.passage is NEW
    assert against.later is None


def test_each_sentence_is_compared_with_its_own_passages(views):
    text = f"{WAITS_30} It is warm."
    spans = [WHOLE, (len(WAITS_30) + 1, len(text))]
    assert views.against(text, spans, [[], [OLD]]) == []
    assert [each.span for each in views.against(text, spans, [[OLD], []])] == [WHOLE]


def test_a_later_text_about_something_else_wins_over_nothing(views):
    later = dated("later", "The index is a folder of files on a disk.", 2025)
    [against] = views.against(WAITS_30, [WHOLE], [[OLD, later]])
    assert against.later is None


def test_the_newest_of_several_that_agree_is_named(views):
    newest = dated("newest", WAITS_30, 2025)
    [against] = views.against(WAITS_30, [WHOLE], [[newest, OLD, NEW]])
    assert against.later.passage is newest


def test_a_judge_that_is_away_leaves_it_to_the_rules():
    class Away:
        def between(self, pairs):
            raise TryAgainError("gone")

    with capture_logs() as lines:
        [against] = Views(Away()).against(WAITS_30, [WHOLE], [[OLD]])
    assert against.difference == "number"
    assert lines[0]["event"] == FELL_BACK


def test_a_date_without_a_zone_is_of_utc():
    naive = passage("naive", published=datetime(2022, 1, 1))
    assert is_later(NEW, naive)
    assert is_later(naive, OLD)
    assert not is_later(naive, naive)
