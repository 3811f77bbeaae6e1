import collections

import pytest

from tests.twin.rollout.serve_in_process import Manner, ServeInProcess, client_of
from twin.domain.conversation import Turn
from twin.serving.routing import RoutingTable
from twin.serving.sticky import draw_of, unit_of


def said(*texts):
    roles = ("user", "assistant")
    return tuple(Turn(role=roles[n % 2], content=text) for n, text in enumerate(texts))


def test_a_conversation_is_its_caller_and_its_first_question():
    first = unit_of("conversation", "ann", (), "Why?")
    assert unit_of("conversation", "ann", said("Why?", "So."), "And then?") == first
    assert unit_of("conversation", "ann", said("Hm?", "So."), "Why?") != first
    assert unit_of("conversation", "bob", (), "Why?") != first
    assert unit_of("conversation", "an", (), "nWhy?") != unit_of("conversation", "ann", (), "Why?")


def test_a_caller_is_one_whatever_it_asks():
    first = unit_of("caller", "ann", (), "Why?")
    assert unit_of("caller", "ann", said("Hm?", "So."), "And?") == first
    assert unit_of("caller", "bob", (), "Why?") != first


def test_draws_are_even_and_always_the_same():
    draws = [draw_of(f"unit-{number}") for number in range(5_000)]
    assert draws == [draw_of(f"unit-{number}") for number in range(5_000)]
    assert all(0 <= draw < 1 for draw in draws)
    tenths = collections.Counter(int(draw * 10) for draw in draws)
    assert all(400 < tenths[tenth] < 600 for tenth in range(10))


@pytest.fixture
def sharing(settings):
    """The router over two versions that share the traffic; asks, and tells which one answers."""
    from pydantic import SecretStr

    own = settings.model_copy(update={"api_keys": (SecretStr("key"), SecretStr("other"))})
    serve = ServeInProcess(manners={"1": Manner(), "2": Manner()})
    client = client_of(serve, own)

    def share(percent, sticky="conversation"):
        route = {
            "versions": {"1": 100 - percent, "2": percent},
            "max_question_characters": 4_000,
            "sticky": sticky,
        }
        serve.table = RoutingTable.model_validate({"models": {"twin-tiny": route}})

    def ask(*texts, key="key"):
        messages = [turn.model_dump() for turn in said(*texts)]
        body = {"model": "twin-tiny", "messages": messages}
        headers = {"Authorization": f"Bearer {key}"}
        answer = client.post("/v1/chat/completions", json=body, headers=headers)
        return answer.raise_for_status().json()["model_version"]

    return share, ask


def test_a_conversation_stays_where_it_began_and_shares_only_grow(sharing):
    share, ask = sharing
    with_new = []
    for percent in (10, 50, 90):
        share(percent)
        new = {number for number in range(200) if ask(f"Question {number}?") == "2"}
        assert abs(len(new) / 2 - percent) < 12
        for number in range(0, 200, 10):
            later = ask(f"Question {number}?", "So.", "And then?")
            assert (later == "2") == (number in new)
        with_new.append(new)
    assert with_new[0] < with_new[1] < with_new[2], "who has come to the new version stays"


def test_a_caller_stays_if_the_recipe_says_so(sharing):
    share, ask = sharing
    share(50, sticky="caller")
    for key in ("key", "other"):
        assert len({ask(f"Question {number}?", key=key) for number in range(20)}) == 1
