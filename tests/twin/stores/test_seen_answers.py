"""What monitoring reads of kept answers, in a real warehouse."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.twin.answers import answer
from twin.domain.answer import CheckedSentence
from twin.domain.conversation import Turn
from twin.domain.errors import TryAgainError
from twin.domain.feedback import Feedback, KeptAnswer
from twin.stores.answer_records import AnswerRecords
from twin.stores.seen_answers import SLICES, SeenAnswers
from twin.stores.warehouse import lasting_warehouse, open_warehouse

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LATER = NOW + 365 * DAY


def kept(identity, *, at=NOW, history=(), **more):
    return KeptAnswer(answer=answer(identity, **more), created=at, expires=LATER, history=history)


@pytest.fixture
def stores(stores_settings):
    with open_warehouse(stores_settings) as warehouse:
        records, seen = AnswerRecords(warehouse), SeenAnswers(warehouse)
        records.prepare()
        seen.prepare()
        yield records, seen


def test_an_answer_is_seen_with_its_figures_and_without_its_text(stores):
    records, seen = stores
    turns = (Turn(role="user", content="Hi?"), Turn(role="assistant", content="Hi."))
    sentences = [CheckedSentence(start=0, end=6, supported=False)]
    records.add([
        ("ann", kept("a1", text="A pod.", history=turns)),
        ("bob", kept("a2", at=NOW + HOUR, text="No.", sentences=sentences, refused=True)),
        ("bob", kept("a3", at=NOW + 2 * HOUR, documents=())),
    ])  # fmt: skip
    first, second, third = seen.sampled("twin-tiny", NOW, NOW + DAY, 600)
    assert (first.caller, first.opening, first.question) == ("ann", "Hi?", "Why?")
    assert (first.characters, first.prompt_tokens, first.completion_tokens) == (6, 7, 3)
    assert (first.grounded, first.refused, first.version) == (True, False, "1")
    assert (second.grounded, second.refused, second.opening) == (False, True, "Why?")
    assert not third.grounded
    assert first.conversation != second.conversation == third.conversation


def test_a_window_is_read_evenly_and_its_end_is_not_in_it(stores):
    records, seen = stores
    # A hundred in the first hour, then one an hour.
    busy = [("ann", kept(f"b{n}", at=NOW + n * timedelta(seconds=30))) for n in range(100)]
    calm = [("ann", kept(f"c{n}", at=NOW + n * HOUR)) for n in range(1, 25)]
    records.add([*busy, *calm])
    found = seen.sampled("twin-tiny", NOW, NOW + DAY, 2 * SLICES)
    names = [each.id for each in found]
    assert names == ["b0", "b1", *(f"c{n}" for n in range(1, 24))]
    assert len(seen.sampled("twin-tiny", NOW, NOW + DAY, 10_000)) == 123
    assert seen.sampled("twin-other", NOW, NOW + DAY, 100) == []


def test_one_caller_leaves_places_to_the_others(stores):
    records, seen = stores
    flood = [("troll", kept(f"t{n}", at=NOW + n * timedelta(seconds=1))) for n in range(70)]
    others = [(f"c{n}", kept(f"o{n}", at=NOW + n * timedelta(minutes=2))) for n in range(1, 4)]
    records.add([*flood, *others])
    found = seen.sampled("twin-tiny", NOW, NOW + DAY, 5 * SLICES)
    assert [each.id for each in found] == ["t0", "t1", "o1", "o2", "o3"]


def test_one_caller_whose_questions_fail_leaves_places_to_the_others(stores):
    records, seen = stores
    flood = [("troll", kept(f"t{n}", at=NOW + n * HOUR, refused=True)) for n in range(9)]
    records.add([*flood, ("ann", kept("a", at=NOW, refused=True))])
    assert [each.id for each in seen.failed("twin-tiny", NOW, 3)] == ["t8", "t7", "a"]


def test_judged_answers_come_with_their_feedback_from_a_moment_on(stores):
    records, seen = stores
    records.add([("ann", kept(name)) for name in ("a1", "a2", "a3")])
    records.judge("a2", "ann", Feedback(thumb="down"), NOW + HOUR)
    records.judge("a1", "ann", Feedback(score=0.5), NOW)
    assert [each.id for each in seen.judged("twin-tiny", NOW)] == ["a1", "a2"]
    [late] = seen.judged("twin-tiny", NOW + HOUR)
    assert (late.id, late.rating) == ("a2", 0.0)


def test_failed_answers_are_the_newest_that_were_refused_without_a_source_or_found_bad(stores):
    records, seen = stores
    unsupported = [CheckedSentence(start=0, end=6, supported=False)]
    records.add([
        ("ann", kept("fine")),
        ("ann", kept("liked", at=NOW + HOUR)),
        ("ann", kept("refused", at=NOW + HOUR, refused=True)),
        ("ann", kept("unsupported", at=NOW + 2 * HOUR, sentences=unsupported)),
        ("ann", kept("sourceless", at=NOW + 3 * HOUR, documents=())),
        ("ann", kept("disliked", at=NOW + 4 * HOUR)),
        ("ann", kept("old", at=NOW - HOUR, refused=True)),
    ])  # fmt: skip
    records.judge("liked", "ann", Feedback(thumb="up"), NOW)
    records.judge("disliked", "ann", Feedback(score=0.4), NOW)
    found = seen.failed("twin-tiny", NOW, 100)
    assert [each.id for each in found] == ["disliked", "sourceless", "unsupported", "refused"]
    assert [each.nearest for each in found][:2] == ["On pods", ""]
    assert len(seen.failed("twin-tiny", NOW, 2)) == 2


def test_a_warehouse_that_is_away_says_so(settings):
    with pytest.raises(TryAgainError, match="does not answer"):
        SeenAnswers(lasting_warehouse(settings)).judged("twin-tiny", NOW)
