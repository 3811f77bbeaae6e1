"""Answers are kept behind the callers' backs, and nothing that fails there reaches them."""

import asyncio
import time

import pytest
from structlog.testing import capture_logs

from tests import servers
from tests.twin.answers import answer, passage
from twin.domain.feedback import Feedback
from twin.serving import answer_book
from twin.serving.answer_book import AnswerBook
from twin.serving.errors import ApiError

UP = Feedback(thumb="up")


@pytest.fixture
def book(stores_settings):
    return AnswerBook(stores_settings)


def find(book, identity, caller="ann"):
    return asyncio.run(book.find(identity, caller))


def test_an_answer_is_there_for_its_caller_at_once(book):
    book.keep("ann", answer("a1"), days=1)
    found = find(book, "a1")
    assert found.answer == answer("a1")
    assert (found.expires - found.created).days == 1
    judged = asyncio.run(book.judge("a1", "ann", UP))
    assert judged.feedback == find(book, "a1").feedback == UP


@pytest.mark.parametrize(("identity", "caller"), [("a1", "bob"), ("a2", "ann")])
def test_others_and_other_answers_are_404s(book, identity, caller):
    book.keep("ann", answer("a1"), days=1)
    with pytest.raises(ApiError) as refused:
        find(book, identity, caller)
    assert (refused.value.status, refused.value.code) == (404, "answer_not_found")


def test_no_days_keep_nothing(book):
    book.keep("ann", answer("a1"), days=0)
    book.keep("ann", answer("a2"), days=1)
    find(book, "a2")
    with pytest.raises(ApiError):
        find(book, "a1")


def test_what_is_too_large_or_no_text_is_dropped_and_said_once(book):
    with capture_logs() as lines:
        book.keep("ann", answer("a1", sources=[passage("pods", "x" * 200_001)]), days=1)
        book.keep("ann", answer("a2", text="half a \ud83d character"), days=1)
    assert book.dropped == 2
    assert [line["log_level"] for line in lines] == ["warning"]


def test_a_store_that_is_away_gives_503s_and_one_line(settings, monkeypatch):
    book = AnswerBook(settings, most_waiting=2)
    monkeypatch.setattr(answer_book, "SECONDS_TO_ARRIVE", 0)
    with capture_logs() as lines:
        for number in range(5):
            book.keep("ann", answer(f"a{number}"), days=1)
        for ask in (lambda: book.find("a0", "ann"), lambda: book.judge("a0", "ann", UP)):
            with pytest.raises(ApiError) as refused:
                asyncio.run(ask())
            assert (refused.value.status, refused.value.code) == (503, "store_unavailable")
    assert book.dropped >= 2
    assert sorted(line["event"] for line in lines) == [
        "answers are dropped that should have been kept",
        "answers are not kept now",
    ]


def test_answers_given_while_the_store_was_away_are_kept_when_it_is_back(
    settings, tmp_path, monkeypatch
):
    monkeypatch.setattr(answer_book, "FIRST_PAUSE_SECONDS", 0.05)
    port = servers.free_port()
    address = f"mongodb://127.0.0.1:{port}/?directConnection=true"
    away = settings.model_copy(update={"mongo_uri": type(settings.mongo_uri)(address)})
    book = AnswerBook(away)
    book.keep("ann", answer("a1"), days=1)
    servers.wait_until(lambda: book._away, "the store is missed")
    with servers.warehouse_server(tmp_path / "data", port):
        servers.wait_until(lambda: not book._away, "the store is found again")
        assert find(book, "a1").answer.id == "a1"


def test_what_the_driver_can_not_write_costs_no_later_answer(book):
    """It takes no integer of more than eight bytes."""
    book.keep("ann", answer("a1").model_copy(update={"prompt_tokens": 2**70}), days=1)
    while not book.dropped:
        time.sleep(0.05)
    book.keep("ann", answer("a2"), days=1)
    assert find(book, "a2").answer == answer("a2")
