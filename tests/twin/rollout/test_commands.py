"""The commands of `twin rollout` against a real registry and the router in a process of the test.

Commands run in processes of their own, which may be killed. On a real Ray: test_rollout.py.
"""

import json
import signal
import subprocess
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import pytest
from pydantic import SecretStr

from tests import servers
from tests.forked_twin import TwinProcess, run_twin
from tests.twin import twins
from tests.twin.rollout.serve_in_process import MODEL, Manner, ServeInProcess, listening, versions
from twin.domain.errors import ExitCode
from twin.domain.rollout import RolloutState
from twin.settings import Settings
from twin.stores.registry import CHAMPION, PREVIOUS, Registry
from twin.stores.rollout_states import RolloutStates
from twin.stores.tracking import tracking_run

KNOBS = {"traffic_steps": [50, 100], "step_seconds": 0, "start_timeout_seconds": 20}


@dataclass
class Platform:
    settings: Settings
    serve: ServeInProcess
    environment: dict[str, str]
    registry: Registry

    def twin(self, command, *options, expected=ExitCode.DONE, **changes):
        done = run_twin(
            "rollout", command, "--recipe", "tiny", *options,
            env={**self.environment, **changes}, timeout=120,
        )  # fmt: skip
        assert done.returncode == expected, done.stderr
        return done

    def start_and_kill(self, step):
        process = TwinProcess(
            ("rollout", "start", "--recipe", "tiny"),
            env=self.environment,
            stderr=subprocess.DEVNULL,
        )
        servers.wait_until(lambda: self.last_event == step, step, 60)
        process.send_signal(signal.SIGKILL)
        process.wait()

    @property
    def state(self) -> RolloutState:
        return RolloutStates(self.settings).load(MODEL)

    @property
    def last_event(self):
        history = self.state.history
        return f"{history[-1].version} {history[-1].event}" if history else ""

    @property
    def weights(self):
        return {v: w for v, w in self.serve.table.models[MODEL].versions.items() if w}

    def champion(self, alias=CHAMPION):
        found = self.registry.by_alias(MODEL, alias)
        return found and found.version


@pytest.fixture
def make_platform(settings, mlflow_url):
    """Versions 1, 2, 3 are registered, anew for each test; the first is champion and serves."""

    def reset(registry):
        httpx.request(
            "DELETE", f"{mlflow_url}/api/2.0/mlflow/registered-models/delete", json={"name": MODEL}
        )

    opened = []

    def make(**serving):
        home = settings.home / uuid.uuid4().hex[:6]
        own = settings.model_copy(
            update={
                "home": home,
                "recipes": home / "recipes",
                "api_keys": (SecretStr("key"),),
                "router_replicas": 1,
                "mlflow_tracking_uri": mlflow_url,
            }
        )
        twins.write_recipe(own.recipes, **KNOBS)
        serve = ServeInProcess()
        registry = Registry(own)
        reset(registry)
        for made in versions(own, "1", "2", "3"):
            with tracking_run(own, experiment="tiny", name="package", tags={}) as run:
                registry.register(
                    MODEL, weights_uri=made.weights_uri, weights_digest=made.weights_digest,
                    run_id=run.id, tags={},
                )  # fmt: skip
        registry.promote(MODEL, "1")
        block = listening(serve, own)
        with_port = block.__enter__()
        opened.append((block, registry))
        environment = {
            "PATH": "/usr/bin:/bin",
            "TWIN_HOME": str(home),
            "TWIN_RECIPES": str(own.recipes),
            "TWIN_API_KEYS": "key",
            "TWIN_ROUTER_REPLICAS": "1",
            "TWIN_MLFLOW_TRACKING_URI": mlflow_url,
            "TWIN_MONGO_URI": "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300",
            "TWIN_ENDPOINT_URL": with_port.endpoint_url,
            "TWIN_SERVE_API_URL": with_port.serve_api_url,
        }
        platform = Platform(with_port, serve, environment, registry)
        platform.serve.config = {
            "applications": [{"name": "router", "deployments": [{"user_config": {"models": {}}}]}]
        }
        platform.twin("start")
        twins.write_recipe(own.recipes, **{**KNOBS, **serving})
        return platform

    yield make
    for block, registry in opened:
        block.__exit__(None, None, None)
        reset(registry)
        registry.close()


@pytest.fixture
def platform(make_platform):
    return make_platform()


def test_the_champion_is_brought_into_service_once(platform):
    again = platform.twin("start", expected=ExitCode.NOTHING_TO_DO)
    assert "twin-tiny version 1 is in service" in again.stderr
    platform.registry.promote(MODEL, "2")
    platform.twin("start")
    assert platform.weights == {"2": 100}
    assert platform.registry.version(MODEL, "2").tags["rollout"] == "serving"


def test_a_failure_is_written_on_the_version_and_the_champion_is_what_serves(platform):
    platform.registry.promote(MODEL, "2")
    platform.serve.manners["2"] = Manner(loads=False)
    failed = platform.twin("start", expected=ExitCode.BAD_DATA)
    assert "version 1 serves on" in failed.stderr
    assert platform.weights == {"1": 100}
    tag = platform.registry.version(MODEL, "2").tags["rollout"]
    assert tag.startswith("failed: ")
    assert "DEPLOY_FAILED" in tag
    assert platform.champion() == "1"
    platform.twin("reconcile", expected=ExitCode.NOTHING_TO_DO)


def test_a_failed_champion_stays_if_the_recipe_says_so_and_is_told_of(make_platform):
    platform = make_platform(rollout={"failed_champion": "keep"})
    platform.registry.promote(MODEL, "2")
    platform.serve.manners["2"] = Manner(loads=False)
    platform.twin("start", expected=ExitCode.BAD_DATA)
    assert platform.champion() == "2"
    told = platform.twin("reconcile", expected=ExitCode.BAD_DATA)
    assert "champion of twin-tiny is version 2 with configuration" in told.stderr
    assert "whose rollout has failed" in told.stderr
    assert platform.weights == {"1": 100}
    platform.serve.manners["2"] = Manner()
    platform.twin("start")
    assert platform.weights == {"2": 100}


def test_a_champion_that_has_moved_on_is_left_where_it_is(platform):
    assert not platform.registry.restore_champion(MODEL, "2", failed="3")
    assert platform.champion() == "1"
    platform.registry.promote(MODEL, "2")
    assert platform.registry.restore_champion(MODEL, "1", failed="2")
    assert (platform.champion(), platform.champion(PREVIOUS)) == ("1", "1")


def test_a_rollback_goes_back_and_moves_the_alias(platform):
    platform.registry.promote(MODEL, "2")
    platform.twin("start")
    platform.twin("rollback")
    assert (platform.weights, platform.champion()) == ({"1": 100}, "1")
    platform.twin("rollback", "--to", "3")
    assert (platform.weights, platform.champion()) == ({"3": 100}, "3")
    unknown = platform.twin("rollback", "--to", "77", expected=ExitCode.BAD_DATA)
    assert "twin-tiny has no version 77" in unknown.stderr
    nowhere = f"http://127.0.0.1:{servers.free_port()}"
    back = platform.twin("rollback", TWIN_MLFLOW_TRACKING_URI=nowhere)
    assert "alias champion is not moved" in back.stderr
    assert (platform.weights, platform.champion()) == ({"1": 100}, "3")
    # By the number of the version that served before too, and once.
    named = ("rollback", "--to", "3")
    platform.twin(*named, TWIN_MLFLOW_TRACKING_URI=nowhere)
    assert platform.weights == {"3": 100}
    platform.twin(*named, expected=ExitCode.NOTHING_TO_DO, TWIN_MLFLOW_TRACKING_URI=nowhere)
    assert platform.weights == {"3": 100}


def test_a_person_decides_on_a_version_that_waits(make_platform):
    platform = make_platform(rollout={"require_approval": True})
    platform.registry.promote(MODEL, "2")
    result = platform.settings.home / "result.json"
    # Whoever was to ask when it began to wait may have been killed: the second time it is told too.
    for ending in (ExitCode.DONE, ExitCode.NOTHING_TO_DO):
        platform.twin("start", "--result", str(result), expected=ending)
        detail = json.loads(result.read_text())["detail"]
        assert detail["decision"] == "awaiting approval"
        assert "version 1: 50%, version 2: 50%" in detail["evidence"]
        assert "errors: " in detail["evidence"]
    for command in ("start", "reconcile"):
        told = platform.twin(command, expected=ExitCode.NOTHING_TO_DO)
        assert "waits for a person's approval" in told.stderr
    assert "v2 waits for approval" in platform.twin("status").stdout
    for command in ("promote", "abort"):
        other = ("--model-version", "3")
        platform.twin(command, *other, expected=ExitCode.NOTHING_TO_DO)
    assert platform.weights == {"1": 50, "2": 50}
    platform.twin("abort", "--model-version", "2")
    assert (platform.weights, platform.champion()) == ({"1": 100}, "1")
    platform.registry.promote(MODEL, "3")
    platform.twin("start")
    assert platform.weights == {"1": 50, "3": 50}
    platform.twin("promote", "--model-version", "3")
    assert (platform.weights, platform.champion()) == ({"3": 100}, "3")
    platform.twin("promote", expected=ExitCode.NOTHING_TO_DO)
    platform.twin("rollback")
    assert platform.weights == {"1": 100}, "nobody is asked whether to go back"
    assert platform.registry.version(MODEL, "3").tags["rollout"] == "serving"


def test_with_nothing_to_go_back_to_and_no_champion_it_is_said(platform):
    back = platform.twin("rollback", expected=ExitCode.BAD_DATA)
    assert "no version served before this one" in back.stderr
    recipes = platform.settings.recipes
    text = (recipes / "tiny.yaml").read_text().replace("name: tiny", "name: other")
    (recipes / "other.yaml").write_text(text)
    done = run_twin("rollout", "start", "--recipe", "other", env=platform.environment)
    assert done.returncode == ExitCode.BAD_DATA
    assert "twin-other has no champion yet" in done.stderr


@pytest.mark.parametrize("away", ["TWIN_SERVE_API_URL", "TWIN_MLFLOW_TRACKING_URI"])
def test_what_is_away_is_tried_again_and_changes_nothing(platform, away):
    platform.registry.promote(MODEL, "2")
    nowhere = f"http://127.0.0.1:{servers.free_port()}"
    platform.twin("start", expected=ExitCode.TRY_AGAIN, **{away: nowhere})
    assert platform.weights == {"1": 100}
    platform.twin("start")
    assert platform.weights == {"2": 100}


@pytest.mark.parametrize("step", ["2 starting", "2 50%", "2 100%"])
def test_a_rollout_that_is_killed_is_run_again(make_platform, step):
    platform = make_platform(step_seconds=3)
    platform.registry.promote(MODEL, "2")
    if step == "2 starting":
        platform.serve.manners["2"] = Manner(first_seconds=5)
    platform.start_and_kill(step)
    platform.serve.manners["2"] = Manner()
    quick = twins.write_recipe(platform.settings.recipes, **KNOBS)
    assert quick.serving.step_seconds == 0
    platform.twin("start")
    assert platform.weights == {"2": 100}
    assert platform.state.previous.version == "1"
    assert platform.state.lease is None


@pytest.mark.parametrize("command", ["abort", "rollback", "reconcile"])
def test_a_rollout_that_was_killed_is_undone(make_platform, command):
    platform = make_platform()
    for version in ("3", "1"):  # so the state remembers 3 as the one before
        platform.registry.promote(MODEL, version)
        platform.twin("start")
    twins.write_recipe(platform.settings.recipes, **{**KNOBS, "step_seconds": 30})
    platform.registry.promote(MODEL, "2")
    platform.start_and_kill("2 50%")
    twins.write_recipe(platform.settings.recipes, **KNOBS)
    if command == "reconcile":
        platform.registry.promote(MODEL, "1")
    platform.twin(command)
    assert (platform.weights, platform.champion()) == ({"1": 100}, "1")
    assert len(platform.state.versions) == 1


def test_a_rollout_under_way_is_ended_by_hand(make_platform):
    platform = make_platform(step_seconds=60)
    for act in ("pause", "resume", "promote", "abort"):
        told = platform.twin(act, expected=ExitCode.NOTHING_TO_DO)
        assert "no rollout of twin-tiny is under way" in told.stderr
    platform.registry.promote(MODEL, "2")
    process = TwinProcess(
        ("rollout", "start", "--recipe", "tiny"),
        env=platform.environment,
        stderr=subprocess.DEVNULL,
    )
    servers.wait_until(lambda: platform.last_event == "2 50%", "the canary", 60)
    platform.twin("pause")
    shown = json.loads(platform.twin("status", "--json").stdout)
    assert (shown["rollout"]["step"], shown["wish"]) == ("50%", "pause")
    assert shown["router"] == {"1": 50, "2": 50}
    assert "PAUSED" in platform.twin("status").stdout
    platform.twin("resume")
    platform.twin("reconcile", expected=ExitCode.NOTHING_TO_DO)
    platform.twin("abort")
    assert process.wait(60) == ExitCode.BAD_DATA
    assert (platform.weights, platform.champion()) == ({"1": 100}, "1")
    assert "ended by hand" in platform.twin("history").stdout


def test_the_last_of_two_quick_promotions_serves(make_platform):
    platform = make_platform(step_seconds=1)
    platform.registry.promote(MODEL, "2")
    start = ("rollout", "start", "--recipe", "tiny")
    first = TwinProcess(start, env=platform.environment, stderr=subprocess.DEVNULL)
    servers.wait_until(lambda: platform.last_event == "2 50%", "the canary", 60)
    platform.registry.promote(MODEL, "3")
    second, third = (
        TwinProcess(start, env=platform.environment, stderr=subprocess.DEVNULL) for _ in range(2)
    )
    assert [process.wait(90) for process in (first, second, third)].count(0) == 2
    assert platform.weights == {"3": 100}


def test_what_differs_is_repaired(platform):
    platform.twin("reconcile", expected=ExitCode.NOTHING_TO_DO)
    applications = platform.serve.config["applications"]
    platform.serve.config = {"applications": [applications[0]]}
    lost = platform.twin("reconcile")
    assert "Serve told anew" in lost.stderr
    assert len(platform.serve.config["applications"]) == len(applications)
    platform.registry.promote(MODEL, "2")
    missed = platform.twin("reconcile")
    assert "the champion is not in service" in missed.stderr
    assert platform.weights == {"2": 100}
    platform.twin("reconcile", expected=ExitCode.NOTHING_TO_DO)


def test_a_warm_version_is_retired_by_reconciling(make_platform):
    platform = make_platform(rollout={"warm_seconds": 1})
    platform.registry.promote(MODEL, "2")
    platform.twin("start")
    assert platform.state.warm.version == "1"

    servers.wait_until(
        lambda: datetime.now(UTC) >= platform.state.warm_until, "the end of its time", 20
    )
    platform.twin("reconcile")
    assert [item.version for item in platform.state.running] == ["2"]
    assert "twin-tiny-v1" not in platform.serve.applications()
