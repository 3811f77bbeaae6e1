"""Readiness is a word that is written, tried now and then, over a real chain and scripted ones."""

import asyncio

import httpx
import pytest

from tests.twin.serving.conftest import served
from tests.twin.serving.scripted import ScriptedBackend
from twin.serving.readiness import QUESTION, Readiness
from twin.serving.routing import RoutingTable


def table(probe="", **weights):
    route = {
        "versions": weights or {"1": 100},
        "max_question_characters": 99,
        "probe_question": probe,
    }
    return RoutingTable.model_validate({"models": {"twin-tiny": route}})


def states(backend, **options):
    return asyncio.run(Readiness(backend, **options).states())


def test_a_real_model_writes_one_word(backend):
    with served(backend) as url:
        ready = httpx.get(f"{url}/readyz")
    assert (ready.status_code, ready.json()) == (
        200,
        {"status": "ready", "models": {"twin-tiny": "ready"}},
    )


def test_what_is_asked_is_the_recipes_question_and_one_word_of_an_answer():
    backend = ScriptedBackend(table(probe="Who are you?"))
    assert states(backend) == {"twin-tiny": "ready"}
    [query] = backend.asked
    assert (query.question, query.max_new_tokens) == ("Who are you?", 1)
    backend = ScriptedBackend(table())
    states(backend)
    assert backend.asked[0].question == QUESTION


@pytest.mark.parametrize(
    ("question", "state", "status"),
    [
        ("busy", "busy", 200),
        ("breaks", "the answer failed", 503),
        ("fails", "twin-tiny-v1 can't answer now: try again in a few seconds", 503),
    ],
)
def test_a_busy_model_is_alive_and_a_broken_one_is_not(question, state, status):
    with served(ScriptedBackend(table(probe=question))) as url:
        told = httpx.get(f"{url}/readyz")
    assert told.status_code == status
    assert told.json()["models"] == {"twin-tiny": state}


def test_a_model_that_writes_nothing_is_not_waited_for():
    backend = ScriptedBackend(table(probe="slow"))
    assert states(backend, patient=0.2) == {"twin-tiny": "no word within 0.2 s"}
    assert backend.left == 1, "its generation has ended"


def test_many_who_ask_cost_one_generation_until_it_is_stale():
    backend = ScriptedBackend(table())

    async def ask(fresh):
        readiness = Readiness(backend, fresh=fresh)
        await asyncio.gather(*(readiness.states() for _ in range(20)))
        await asyncio.sleep(0.05)
        await readiness.states()

    asyncio.run(ask(60))
    assert len(backend.asked) == 1
    backend.asked.clear()
    asyncio.run(ask(0.01))
    assert len(backend.asked) >= 2


def test_without_a_model_in_service_nothing_is_ready():
    for empty in (RoutingTable.empty(), table(**{"1": 0})):
        backend = ScriptedBackend(empty)
        with served(backend) as url:
            told = httpx.get(f"{url}/readyz")
        assert (told.status_code, told.json()["models"]) == (503, {})
        assert not backend.asked


def test_what_is_tried_is_no_answer_that_anybody_counts():
    with served(ScriptedBackend(table())) as url:
        httpx.get(f"{url}/readyz")
        headers = {"Authorization": "Bearer test-key"}
        metrics = httpx.get(f"{url}/metrics", headers=headers).text
    assert "twin_answers_total{" not in metrics
