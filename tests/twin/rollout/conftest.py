from dataclasses import dataclass

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from tests.twin import twins
from tests.twin.rollout import serve_in_process
from tests.twin.rollout.serve_in_process import Manner, ServeInProcess, client_of, versions
from twin.domain.rollout import RolloutState, ServedVersion
from twin.settings import Settings
from twin.stores.rollout_states import RolloutStates


@dataclass
class Stage:
    """A router in this process where version 1 serves, and 2 and 3 might."""

    settings: Settings
    states: RolloutStates
    serve: ServeInProcess
    client: TestClient
    one: ServedVersion
    two: ServedVersion
    three: ServedVersion

    def manner(self, version: str, **how: object) -> Manner:
        return self.serve.manners.setdefault(version, Manner(**how))

    def roll(self, to: ServedVersion, **more: object) -> None:
        serve_in_process.roll(
            self.states, self.serve, self.settings, to, client=self.client, **more
        )

    def state(self) -> RolloutState:
        return self.states.load(serve_in_process.MODEL)

    @property
    def weights(self) -> dict[str, int]:
        """As the router has them."""
        return self.serve.table.models[serve_in_process.MODEL].versions


@pytest.fixture
def make_stage(settings):
    """A stage with these knobs of `serving`; version 1 is in service."""

    def make(folder: str = "stage", **serving: object) -> Stage:
        home = settings.home / folder
        own = settings.model_copy(
            update={
                "home": home,
                "recipes": home / "recipes",
                "api_keys": (SecretStr("key"),),
                "router_replicas": 1,
            }
        )
        knobs = {"traffic_steps": [50, 100], "step_seconds": 0, **serving}
        twins.write_recipe(own.recipes, **knobs)
        serve = ServeInProcess()
        made = versions(own, "1", "2", "3")
        stage = Stage(own, RolloutStates(own), serve, client_of(serve, own), *made)
        quick = {**made[0].recipe["serving"], "step_seconds": 0}
        stage.one = made[0].model_copy(update={"recipe": {**made[0].recipe, "serving": quick}})
        stage.roll(stage.one)
        return stage

    return make


@pytest.fixture
def stage(make_stage) -> Stage:
    return make_stage()
