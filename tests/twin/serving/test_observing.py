"""What the router sees of answers, by the routes that callers take."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from tests import servers
from tests.twin.rollout.serve_in_process import Manner, ServeInProcess, client_of
from twin.domain.observation import RouterReports
from twin.serving.observing import KEPT, Observations
from twin.serving.routing import RoutingTable

LONG_AGO = "2020-01-01T00:00:00+00:00"


@pytest.fixture
def router(settings):
    """A router over two versions, of which the second is mirrored to as is asked."""
    own = settings.model_copy(update={"api_keys": (SecretStr("key"),)})
    serve = ServeInProcess(manners={"1": Manner(), "2": Manner()})
    client = client_of(serve, own)
    client.headers["Authorization"] = "Bearer key"

    def make(shadow=0, weights=None):
        route = {
            "versions": weights or {"1": 100, "2": 0},
            "max_question_characters": 4_000,
            "generation": 7,
            "shadow": shadow,
            "mirror": "2",
        }
        serve.table = RoutingTable.model_validate({"models": {"twin-tiny": route}})
        return serve, client

    # One event loop for all requests, as a router has it: what is mirrored outlives its request.
    with client:
        yield make


def report(client, since=LONG_AGO):
    found = client.get("/v1/rollouts/twin-tiny", params={"since": since} if since else {})
    [only] = RouterReports.model_validate(found.raise_for_status().json()).replicas
    return only


def ask(client, question="Why?", **more):
    return client.post("/v1/answers", json={"question": question, **more})


def test_weights_and_generation_are_told(router):
    _, client = router()
    ask(client)
    told = report(client, since=None)
    assert (told.generation, told.weights, told.observations) == (7, {"1": 100, "2": 0}, ())
    nobody = client.get("/v1/rollouts/twin-other").json()["replicas"][0]
    assert (nobody["generation"], nobody["weights"]) == (0, None)


def test_it_takes_the_right_admin(router):
    _, client = router()
    assert client.get("/v1/rollouts/twin-tiny", headers={"Authorization": ""}).status_code == 401
    from twin.domain.api_key import Right
    from twin.serving.access import right_for

    assert right_for("/v1/rollouts/twin-tiny") is Right.ADMIN
    assert right_for("/v1/rolloutsy") is Right.ASK


def test_an_answer_is_seen_as_it_was(router):
    serve, client = router()
    serve.manners["1"] = Manner(text="Ask me at [removed].", cites=False)
    assert ask(client).is_success
    assert ask(client, stream=True).is_success
    whole, streamed = report(client).observations
    for seen in (whole, streamed):
        assert (seen.version, seen.failed, seen.refused) == ("1", False, False)
        assert (seen.grounded, seen.cleaned) == (False, True)
        assert seen.unit == whole.unit
    assert (whole.first_seconds, whole.tokens_per_second) == (None, None)
    assert 0 < streamed.first_seconds < 5
    assert streamed.tokens_per_second > 0
    assert "removed" not in report(client).model_dump_json(), "nothing of the answer is told"
    serve.manners["1"] = Manner(refuses=True)
    ask(client)
    assert report(client).observations[-1].refused


@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_is_the_version_s_and_a_mistake_is_not(router, stream):
    serve, client = router()
    assert ask(client, "", stream=stream).status_code == 400
    assert ask(client, "x" * 5_000, stream=stream).status_code == 400
    serve.manners["1"] = Manner(fails_after=0)
    assert ask(client, stream=stream).status_code == 503
    [seen] = report(client).observations
    assert (seen.version, seen.failed) == ("1", True)


def test_who_pins_a_version_is_no_sample(router):
    _, client = router()
    assert ask(client, model="twin-tiny-v2").json()["model_version"] == "2"
    assert report(client).observations == ()


def test_what_is_mirrored_is_answered_twice_and_shown_once(router):
    serve, client = router(shadow=100)
    serve.manners["2"] = Manner(text="Another answer.")
    for stream in (False, True):
        assert "Another" not in ask(client, stream=stream).text
    servers.wait_until(lambda: len(report(client).observations) == 4, "mirrored answers", 10)
    pairs = {}
    for seen in report(client).observations:
        pairs.setdefault(seen.mirrored, set()).add(seen.version)
    assert len(pairs) == 2
    assert set(map(frozenset, pairs.values())) == {frozenset({"1", "2"})}
    serve.manners["2"] = Manner(fails_after=0)
    assert ask(client).is_success
    servers.wait_until(
        lambda: any(seen.failed for seen in report(client).observations), "its failure", 10
    )


@pytest.mark.parametrize(("shadow", "fewest", "most"), [(0, 0, 0), (30, 5, 60), (100, 100, 100)])
def test_so_many_are_mirrored(router, shadow, fewest, most):
    serve, client = router(shadow=shadow)
    for number in range(100):
        ask(client, f"Question {number}?")
    servers.wait_until(lambda: serve.manners["2"].asked >= fewest, "mirrored questions", 10)
    assert serve.manners["2"].asked <= most


def test_the_version_that_is_brought_in_is_not_mirrored_to_itself(router):
    serve, client = router(shadow=100, weights={"1": 0, "2": 100})
    ask(client)
    assert (serve.manners["1"].asked, serve.manners["2"].asked) == (0, 1)


@pytest.mark.parametrize("stream", [False, True])
def test_what_a_version_on_trial_fails_the_settled_one_answers(router, stream):
    serve, client = router(weights={"1": 0, "2": 100})
    serve.manners["2"] = Manner(fails_after=0)
    answered = ask(client, stream=stream)
    assert answered.is_success
    assert '"model_version":"1"' in answered.text.replace('": "', '":"')
    [seen] = report(client).observations
    assert (seen.version, seen.failed) == ("2", True), "and is seen to have failed"
    pinned = ask(client, model="twin-tiny-v2", stream=stream)
    assert pinned.status_code == 503, "who pins it is told"
    serve.manners["1"] = Manner(fails_after=0)
    assert ask(client, stream=stream).status_code == 503


def test_the_newest_are_kept_and_told_from_a_moment_on():
    observations = Observations()
    for _ in range(KEPT + 5):
        observations.add("twin-a", "1", "u")
    table = RoutingTable.empty()
    told = observations.report(table, "twin-a", datetime(2020, 1, 1, tzinfo=UTC))
    numbers = [seen.number for seen in told.observations]
    assert (numbers[0], numbers[-1], len(numbers)) == (6, KEPT + 5, KEPT)
    newest = told.observations[-1].time
    assert observations.report(table, "twin-a", newest).observations[-1].time == newest
    later = newest + timedelta(microseconds=1)
    assert observations.report(table, "twin-a", later).observations == ()
    assert observations.report(table, "twin-b", newest).observations == ()
