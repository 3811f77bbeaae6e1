"""`twin serving start` as a supervisor runs it."""

import os
import subprocess

import httpx
import psutil
import pytest

from tests import servers
from tests.twin import twins
from tests.twin.serving_platform import KEY, TWIN, running, settings_of
from twin.domain.errors import ExitCode
from twin.domain.rollout import RolloutState
from twin.stores.rollout_states import RolloutStates


def start(environment):
    return subprocess.run(
        [TWIN, "serving", "start"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_a_key_it_does_not_start(tmp_path):
    _, environment = settings_of(tmp_path / "home", "http://127.0.0.1:1")
    done = start({**environment, "TWIN_API_KEYS": ""})
    assert done.returncode == ExitCode.BAD_CONFIGURATION
    assert "TWIN_API_KEYS" in done.stderr
    assert not (tmp_path / "home").exists()


def test_a_port_that_is_taken_is_said(tmp_path):
    _, environment = settings_of(tmp_path / "home", "http://127.0.0.1:1")
    with servers.web_server(tmp_path) as taken:
        done = start({**environment, "TWIN_ENDPOINT_URL": taken})
    assert done.returncode == ExitCode.BAD_CONFIGURATION
    assert "something else listens" in done.stderr


@pytest.mark.slow
def test_it_serves_what_it_served_before_and_leaves_nothing_behind(tmp_path):
    """Two starts of Ray, about a minute: a machine that went down comes back as it was, with
    MLflow still down, and neither SIGTERM nor kill -9 leaves a process of Ray behind."""
    settings, environment = settings_of(tmp_path / "home", "http://127.0.0.1:1")
    # As some other use of Ray leaves it: Ray would then want that token from everybody.
    token = tmp_path / "person" / ".ray" / "auth_token"
    token.parent.mkdir(parents=True)
    token.write_text("0" * 64)
    environment["HOME"] = str(tmp_path / "person")
    recipe = twins.write_recipe(settings.recipes, engine="llama.cpp")
    twins.index_texts(recipe, settings)
    uri, digest = twins.publish_weights(settings, tmp_path / "weights")
    served = twins.served(recipe, "3", uri, digest)
    state = RolloutState(model="twin-tiny", versions=(served,), weights={"3": 100})
    RolloutStates(settings).save(state)

    with running(settings, environment) as platform:
        tree = _tree(platform.process.pid)
        servers.wait_until(lambda: _answers(settings) == "3", "an answer", 90)
        tree |= _tree(platform.process.pid)
    _gone(tree)

    with running(settings, environment) as platform:
        tree = _tree(platform.process.pid)
        platform.process.kill()
        _gone(tree)


def _tree(pid):
    return {psutil.Process(pid), *psutil.Process(pid).children(recursive=True)}


def _gone(tree):
    def ended():
        return not any(
            process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in tree
        )

    servers.wait_until(ended, "the end of all of Ray's processes", 30)


def _answers(settings):
    try:
        response = httpx.post(
            f"{settings.endpoint_url}/v1/answers",
            json={"question": "Why pods?", "max_tokens": 3},
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=30,
        )
    except httpx.TransportError:
        return None
    return response.json().get("model_version")
