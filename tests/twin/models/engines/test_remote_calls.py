"""Many calls to a remote model: told of one by one, begun no faster than the recipe allows."""

import time
from contextlib import closing

import pytest

from tests.openai_server import openai_server, refuses, says
from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError
from twin.models.engines.remote import RemoteModel
from twin.models.language_model import Call, Generation, SamplingParams, TakesCalls
from twin.recipes.engines import RemoteSection


def calls(count, begun=None):
    """So many calls; ``begun`` gets the key of each that is taken."""
    for number in range(count):
        if begun is not None:
            begun.append(str(number))
        message = {"role": "user", "content": str(number)}
        yield Call(str(number), (message,), SamplingParams(max_new_tokens=9))


def section(url, **changes):
    known = {"base_url": url, "model": "m", "retries": 0, "concurrency": 2}
    return RemoteSection.model_validate({**known, **changes})


def by_number(handler):
    number = int(handler.body["messages"][0]["content"])
    answers = {1: refuses(400, "not that"), 2: refuses(503)}
    answers.get(number, says([f"answer {number}"]))(handler)


def test_each_call_is_told_of_with_what_came_of_it():
    found = {}
    with openai_server(by_number) as endpoint, closing(RemoteModel(section(endpoint.url))) as model:
        assert isinstance(model, TakesCalls)
        model.answer_each(calls(5), lambda call, came: found.update({call.key: came}))
        model.answer_each(calls(0), lambda *_: pytest.fail("nothing was asked"))
    assert endpoint.most_at_once <= 2
    assert {key: getattr(came, "text", type(came)) for key, came in found.items()} == {
        "0": "answer 0", "1": BadDataError, "2": TryAgainError, "3": "answer 3", "4": "answer 4"
    }  # fmt: skip


def test_a_call_is_taken_when_it_may_begin():
    begun, told = [], []
    with openai_server(says()) as endpoint, closing(RemoteModel(section(endpoint.url))) as model:

        def answered(call, came):
            assert isinstance(came, Generation)
            told.append(call.key)
            assert len(begun) <= len(told) + 1

        model.answer_each(calls(8, begun), answered)
    assert sorted(told) == begun == [str(number) for number in range(8)]


def test_what_is_raised_when_told_ends_all():
    begun = []
    with openai_server(says()) as endpoint, closing(RemoteModel(section(endpoint.url))) as model:

        def answered(call, came):
            raise TryAgainError("the disk is full")

        with pytest.raises(TryAgainError, match="the disk is full"):
            model.answer_each(calls(8, begun), answered)
    assert len(begun) <= 2


def test_a_key_that_is_refused_ends_all():
    with (
        openai_server(refuses(401)) as endpoint,
        closing(RemoteModel(section(endpoint.url))) as model,
        pytest.raises(BadConfigurationError),
    ):
        model.answer_each(calls(8), lambda *_: pytest.fail("none is answered"))


def test_requests_are_spread_over_the_minute_and_no_pause_costs_one_its_time():
    """No sooner than promised; how late is another matter."""
    at = []

    def answer(handler):
        at.append(time.monotonic())
        says()(handler)

    with openai_server(answer) as endpoint:
        paced = section(endpoint.url, requests_per_minute=600, concurrency=8)
        with closing(RemoteModel(paced, answer_seconds=1.0)) as model:
            conversations = [[{"role": "user", "content": str(n)}] for n in range(6)]
            answers = model.generate_batch(conversations, SamplingParams(max_new_tokens=9))
    assert [each.text for each in answers] == ["Pods come and go."] * 6
    assert at[-1] - at[0] >= 5 * 0.1 - 0.05


def test_the_longest_pause_counts_every_request_that_may_be_before_one():
    assert section("http://h/v1").longest_pause == 0
    paced = section("http://h/v1", requests_per_minute=30, concurrency=4, retries=2)
    assert paced.longest_pause == 4 * 3 * 2
