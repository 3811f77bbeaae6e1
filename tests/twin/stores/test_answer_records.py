"""Answers and what their callers think of them, in a real warehouse."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.twin.answers import answer
from twin.domain.document import Forgotten
from twin.domain.errors import TryAgainError
from twin.domain.feedback import Feedback, KeptAnswer
from twin.stores.answer_records import AnswerRecords
from twin.stores.warehouse import lasting_warehouse, open_warehouse

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
UP = Feedback(thumb="up")


def kept(identity="a1", *, days=30, documents=("pods",), **more):
    found = answer(identity, documents=documents, **more)
    return KeptAnswer(answer=found, created=NOW, expires=NOW + timedelta(days=days))


@pytest.fixture
def records(stores_settings):
    with open_warehouse(stores_settings) as warehouse:
        records = AnswerRecords(warehouse)
        records.prepare()
        yield records


def test_an_answer_is_read_back_by_its_own_caller_only(records):
    records.add([("ann", kept()), ("bob", kept("a2"))])
    assert records.find("a1", "ann", NOW) == kept()
    assert records.find("a1", "bob", NOW) is None
    assert records.find("a3", "ann", NOW) is None


def test_the_feedback_that_came_last_counts_and_a_second_write_keeps_it(records):
    records.add([("ann", kept())])
    down = Feedback(thumb="down", score=0.25, correction="Je näher, desto besser 🙂", comment="no")
    assert records.judge("a1", "ann", UP, NOW).feedback == UP
    assert records.judge("a1", "ann", down, NOW).feedback == down
    records.add([("ann", kept()), ("ann", kept("a2"))])
    assert records.find("a1", "ann", NOW).feedback == down
    assert records.find("a2", "ann", NOW).feedback is None


def test_nobody_judges_the_answer_of_another(records):
    records.add([("ann", kept())])
    assert records.judge("a1", "bob", UP, NOW) is None
    assert records.find("a1", "ann", NOW).feedback is None


def test_what_has_expired_is_not_there(records):
    records.add([("ann", kept(days=1))])
    later = NOW + timedelta(days=1)
    assert records.find("a1", "ann", later) is None
    assert records.judge("a1", "ann", UP, later) is None
    assert list(records.judged("twin-tiny", later)) == []


def test_the_server_deletes_what_has_expired(records, stores_settings):
    with open_warehouse(stores_settings) as warehouse:
        indexes = warehouse.collection("answers").index_information()
    [expiry] = [index for index in indexes.values() if index["key"] == [("expires", 1)]]
    assert expiry["expireAfterSeconds"] == 0


def test_judged_answers_of_a_model_in_the_order_of_their_feedback(records):
    records.add([("ann", kept(name)) for name in ("a1", "a2", "a3")])
    records.judge("a3", "ann", UP, NOW)
    records.judge("a1", "ann", UP, NOW + timedelta(seconds=1))
    assert [each.answer.id for each in records.judged("twin-tiny", NOW)] == ["a3", "a1"]
    assert list(records.judged("twin-other", NOW)) == []


def test_answers_from_a_forgotten_document_go(records):
    records.add([
        ("ann", kept("a1", documents=("pods", "crawl"))),
        ("ann", kept("a2", documents=("crawl",))),
        ("ann", kept("a3", documents=())),
    ])  # fmt: skip
    assert records.forget({"pods", *map(str, range(150))}) == 1
    assert records.find("a1", "ann", NOW) is None
    assert records.find("a2", "ann", NOW) and records.find("a3", "ann", NOW)


def test_an_answer_that_was_being_written_while_its_document_was_forgotten_is_not_kept(
    records, stores_settings
):
    note = Forgotten(
        id="pods", author_id="ann", url="https://ann.example/pods", reason="", when=NOW
    )
    with open_warehouse(stores_settings) as warehouse:
        warehouse.forget(note)
    records.add([
        ("ann", kept("a1", documents=("crawl", "pods"))),
        ("ann", kept("a2", documents=("crawl",))),
        ("ann", kept("a3", documents=())),
    ])  # fmt: skip
    assert records.find("a1", "ann", NOW) is None
    assert records.find("a2", "ann", NOW) and records.find("a3", "ann", NOW)


def test_a_warehouse_that_is_away_says_so(settings):
    with pytest.raises(TryAgainError, match="does not answer"):
        AnswerRecords(lasting_warehouse(settings)).find("a1", "ann", NOW)
