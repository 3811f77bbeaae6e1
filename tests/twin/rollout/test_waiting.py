"""Weights count when every replica of the router has them: two replicas, and what each may do."""

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from tests.twin import twins
from tests.twin.rollout.serve_in_process import MODEL, ServeInProcess, versions
from twin.domain.errors import BadDataError, TryAgainError
from twin.domain.observation import RouterReports
from twin.domain.rollout import RolloutState
from twin.rollout import waiting
from twin.serving.access import Keys
from twin.serving.api import create_app
from twin.serving.errors import ApiError
from twin.serving.observing import Observations, ObservedBackend
from twin.serving.routing import RoutingTable
from twin.stores.endpoint import Endpoint
from twin.stores.serve_config import routes


@pytest.fixture
def state(settings, tmp_path):
    own = settings.model_copy(update={"home": tmp_path, "recipes": tmp_path / "recipes"})
    twins.write_recipe(own.recipes)
    one, two = versions(own, "1", "2")
    return RolloutState(model=MODEL, generation=7, versions=(one, two), weights={"1": 75, "2": 25})


MISSING = "Serve knows the first one alone"


class TwoReplicas:
    """A router of two replicas; each look lets the second one go on by one of its tables."""

    def __init__(self, settings, first, *second):
        self.settings = settings.model_copy(update={"api_keys": (SecretStr("key"),)})
        self.first = RoutingTable.model_validate(routes([first]))
        self.second = [
            RoutingTable.model_validate(routes([item])) if isinstance(item, RolloutState) else item
            for item in second
        ]
        self.replicas = (Observations("one"), Observations("two"))
        self.looks = 0

    async def report(self, model, since):
        table = self.second[min(self.looks, len(self.second) - 1)]
        self.looks += 1
        if table is None:
            raise ApiError.unavailable("router")
        tables = (self.first,) if table is MISSING else (self.first, table)
        found = [
            replica.report(each, model, since)
            for replica, each in zip(self.replicas, tables, strict=False)
        ]
        return RouterReports(replicas=tuple(found))

    @property
    def endpoint(self):
        backend = ObservedBackend(ServeInProcess(), reporting=self.report)
        app = create_app(backend, Keys(self.settings.api_keys), 1_000_000)
        return Endpoint(self.settings, TestClient(app))


def older(state):
    return state.model_copy(update={"generation": 6})


def other_weights(state):
    return state.model_copy(update={"weights": {"1": 100}})


def away(_):
    return None


def missing(_):
    return MISSING


@pytest.mark.parametrize("lag", [older, other_weights, away, missing])
def test_the_last_replica_is_waited_for(state, settings, lag):
    router = TwoReplicas(settings, state, lag(state), lag(state), state)
    waiting.wait_for_weights(state, router.endpoint, lambda: None)
    assert router.looks == 3


@pytest.mark.parametrize(
    ("lag", "says"),
    [
        (older, "replicas two of the router"),
        (away, "failed: HTTP 503"),
        (missing, "1 of 2 replicas answer"),
    ],
)
def test_a_replica_that_never_confirms_is_named(state, settings, monkeypatch, lag, says):
    monkeypatch.setattr(waiting, "WEIGHTS_SECONDS", 0.3)
    router = TwoReplicas(settings, state, lag(state))
    with pytest.raises(TryAgainError, match=says) as error:
        waiting.wait_for_weights(state, router.endpoint, lambda: None)
    assert "{'1': 75, '2': 25}" in str(error.value)
    assert "one, two" not in str(error.value)


def test_a_person_is_heard_while_it_is_waited_for(state, settings):
    router = TwoReplicas(settings, state, older(state))
    heard = []

    def attend():
        heard.append(router.looks)
        if router.looks == 2:
            raise BadDataError("ended by hand")

    with pytest.raises(BadDataError, match="ended by hand"):
        waiting.wait_for_weights(state, router.endpoint, attend)
    assert heard == [0, 1, 2]
