"""Rollouts on a real Ray Serve, shared by the session; what they do step by step is tested in
test_shift.py and test_interleaving.py.

What that buys: the promise that no request is lost while versions change, that a version that
can't serve changes nothing, and that a rollout may be killed at any point, are shown and not
believed. Each test brings the version that it needs, in an order in which that is seldom work.
"""

import concurrent.futures
import json
import re
import signal
import time

import openai
import pytest

from tests import servers
from tests.twin import twins
from tests.twin.rollout.load import asking
from tests.twin.serving_platform import KEY
from twin.domain.errors import ExitCode
from twin.recipes import load_recipe
from twin.stores.files import open_files
from twin.stores.prompts import Prompts, prompt_name
from twin.stores.registry import CHAMPION, Registry
from twin.stores.rollout_states import RolloutStates

pytestmark = pytest.mark.slow


@pytest.fixture
def registry(serving_platform):
    with Registry(serving_platform.settings) as registry:
        yield registry


@pytest.fixture
def bring(serving_platform, registry):
    """Make a version champion and roll it out."""

    def to(version: str, expected: int = ExitCode.DONE):
        registry.promote("twin-tiny", version)
        done = serving_platform.twin("rollout", "start", "--recipe", "tiny")
        assert done.returncode in (expected, ExitCode.NOTHING_TO_DO), done.stderr
        return done

    return to


def weights(platform):
    """Of the versions that have traffic, as every replica of the router knows them."""
    found = platform.client().get("/v1/rollouts/twin-tiny").raise_for_status().json()["replicas"]
    assert len(found) == platform.settings.router_replicas
    assert len({item["generation"] for item in found}) == 1
    return {version: share for version, share in found[0]["weights"].items() if share}


def test_the_champion_is_brought_into_service_once(serving_platform, bring):
    bring("1")
    assert weights(serving_platform) == {"1": 100}
    again = serving_platform.twin("rollout", "start", "--recipe", "tiny")
    assert again.returncode == ExitCode.NOTHING_TO_DO
    assert "twin-tiny version 1 is in service" in again.stderr


def test_status_says_what_serves(serving_platform, bring):
    bring("1")
    shown = serving_platform.twin("rollout", "status", "--recipe", "tiny", "--json")
    found = json.loads(shown.stdout)
    assert found["versions"]["1"]["status"] == "RUNNING"
    assert found["router"]["1"] == 100
    assert found["rollout"] is None
    told = serving_platform.twin("rollout", "history", "--recipe", "tiny").stdout
    assert re.search(r"v1     [0-9a-f]{8} serving", told)
    assert "v1" in serving_platform.twin("rollout", "status", "--recipe", "tiny").stdout


def test_the_official_client_works_through_ray(serving_platform, bring):
    bring("1")
    client = openai.OpenAI(
        base_url=f"{serving_platform.settings.endpoint_url}/v1", api_key=KEY, max_retries=0
    )
    assert {"twin-tiny", "twin-tiny-v1"} <= {model.id for model in client.models.list()}
    asked = {
        "model": "twin-tiny",
        "messages": [{"role": "user", "content": "Why pods?"}],
        "max_tokens": 12,
    }
    whole = client.chat.completions.create(**asked)
    chunks = client.chat.completions.create(**asked, stream=True)
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text.strip() == whole.choices[0].message.content
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(**{**asked, "model": "twin-tiny-v77"})


def test_bad_input_is_refused_through_ray(serving_platform, bring):
    bring("1")
    client = serving_platform.client()
    as_json = {"content-type": "application/json"}
    malformed = client.post("/v1/answers", content=b"{not json", headers=as_json)
    assert malformed.status_code == 400
    assert client.post("/v1/answers", json={"question": "x" * 100_000}).status_code == 400
    assert client.post("/v1/answers", content=b"x" * 1_100_000).status_code == 413
    assert serving_platform.client("twin_wrong").get("/v1/models").status_code == 401
    # No warehouse is there, whose keys have never been read.
    unknown = serving_platform.client("wrong").get("/v1/models")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (503, "keys_unavailable")
    too_much = "pod\N{GRINNING FACE}" * 975
    for response in (
        client.post("/v1/answers", json={"question": too_much}),
        client.post("/v1/nothing"),
    ):
        assert 400 <= response.status_code < 500
        assert response.json()["error"]["message"]


def test_beyond_the_queue_callers_are_told_when_to_come_again(serving_platform, bring):
    bring("1")
    body = {"question": "Tell me everything.", "max_tokens": 60, "temperature": 1.5}

    def ask(_):
        with serving_platform.client() as client:
            return client.post("/v1/answers", json=body)

    with concurrent.futures.ThreadPoolExecutor(80) as threads:
        responses = list(threads.map(ask, range(80)))
    assert {response.status_code for response in responses} == {200, 503}
    refused = next(response for response in responses if response.status_code == 503)
    assert refused.json()["error"]["code"] == "overloaded"
    assert int(refused.headers["retry-after"]) > 0
    assert ask(0).status_code == 200


def test_a_caller_who_leaves_stops_the_generation(serving_platform, bring):
    bring("1")
    body = {
        "model": "twin-tiny",
        "messages": [{"role": "user", "content": f"Everything {time.time_ns()}"}],
        "stream": True,
        "temperature": 1.5,
    }
    client = serving_platform.client()
    # An untrained model may end by itself before it is noticed that the caller has left.
    for seed in range(5):
        with client.stream("POST", "/v1/chat/completions", json={**body, "seed": seed}) as response:
            next(response.iter_lines())
    import mlflow

    mlflow.set_tracking_uri(serving_platform.settings.mlflow_tracking_uri)

    def stopped():
        experiment = mlflow.get_experiment_by_name("tiny")
        found = mlflow.search_traces(
            locations=[experiment.experiment_id], return_type="list", max_results=20
        )
        asked = body["messages"][0]["content"]
        return any(
            trace.data.spans[0].inputs == {"question": asked}
            and any(span.get_attribute("twin.stopped") for span in trace.data.spans)
            for trace in found
        )

    servers.wait_until(stopped, "the trace of a stopped generation", 30)


def test_no_request_is_lost_while_versions_change(serving_platform, bring, registry):
    bring("1")
    with asking(serving_platform) as load:
        time.sleep(1)
        bring("2")
        assert weights(serving_platform) == {"2": 100}
        back = serving_platform.twin("rollout", "rollback", "--recipe", "tiny")
        assert back.returncode == ExitCode.DONE, back.stderr
        time.sleep(1)
    assert weights(serving_platform) == {"1": 100}
    assert registry.by_alias("twin-tiny", CHAMPION).version == "1"
    assert load.failures == []
    assert {version for version, _ in load.answers} == {"1", "2"}
    # Greedy answers of one version are one text, and the versions' texts differ: none is mixed.
    one, two = load.texts("1"), load.texts("2")
    assert len(one) == len(two) == 1
    assert one != two
    print(f"{len(load.answers)} requests, 0 lost")


def test_a_version_that_can_not_load_changes_nothing(serving_platform, bring, registry, tmp_path):
    bring("1")
    folder = tmp_path / "weights"
    twins.publish_weights(serving_platform.settings, folder, "9")
    (folder / "model.safetensors").write_bytes(b"torn")
    files = open_files(serving_platform.settings)
    uri = files.publish_folder(folder, "models/twin-tiny/torn")
    digest = files.published_digest("models/twin-tiny/torn")
    run = registry.version("twin-tiny", "1").run_id
    broken = registry.register(
        "twin-tiny", weights_uri=uri, weights_digest=digest, run_id=run, tags={}
    )
    registry.promote("twin-tiny", broken.version)
    with asking(serving_platform, callers=2) as load:
        failed = serving_platform.twin("rollout", "start", "--recipe", "tiny")
    assert failed.returncode == ExitCode.BAD_DATA
    [line] = [line for line in failed.stderr.splitlines() if line.startswith("twin rollout")]
    assert "version 1 serves on" in line
    assert "twin-tiny-v3-engine is DEPLOY_FAILED" in line or "is DEPLOY_FAILED" in line
    assert load.failures == []
    assert {version for version, _ in load.answers} == {"1"}
    assert weights(serving_platform) == {"1": 100}
    assert RolloutStates(serving_platform.settings).load("twin-tiny").history[-1].event == "failed"
    # The registry says why, and that what serves is champion.
    assert registry.version("twin-tiny", broken.version).tags["rollout"].startswith("failed: ")
    assert registry.by_alias("twin-tiny", CHAMPION).version == "1"


def test_a_rollout_that_is_told_to_end_puts_the_old_weights_back(serving_platform, bring, registry):
    bring("1")
    registry.promote("twin-tiny", "2")
    states = RolloutStates(serving_platform.settings)
    process = serving_platform.start_twin("rollout", "start", "--recipe", "tiny")
    servers.wait_until(lambda: len(states.load("twin-tiny").weights) == 2, "shared traffic")
    process.terminate()
    assert process.wait(60) != 0
    assert weights(serving_platform) == {"1": 100}


def test_a_rollout_that_is_killed_is_run_again(serving_platform, bring, registry):
    bring("1")
    registry.promote("twin-tiny", "2")
    states = RolloutStates(serving_platform.settings)
    process = serving_platform.start_twin("rollout", "start", "--recipe", "tiny")
    servers.wait_until(lambda: len(states.load("twin-tiny").weights) == 2, "shared traffic")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert serving_platform.client().post("/v1/answers", json={"question": "a b"}).is_success
    bring("2")
    assert weights(serving_platform) == {"2": 100}
    assert states.load("twin-tiny").previous.version == "1"


def test_another_recipe_is_brought_in_beside_what_serves(serving_platform, bring):
    """A second application of the same version, on the engine of the first."""
    bring("2")
    recipes = serving_platform.settings.recipes
    knobs = load_recipe("tiny", recipes).serving.model_dump(exclude_unset=True)
    twins.write_recipe(recipes, **{**knobs, "max_question_characters": 50})
    with asking(serving_platform, callers=2) as load:
        bring("2")
    response = serving_platform.client().post("/v1/answers", json={"question": "x" * 60})
    assert response.status_code == 400
    assert load.failures == []
    state = RolloutStates(serving_platform.settings).load("twin-tiny")
    name = f"2-{state.serving.configuration}"
    assert weights(serving_platform) == {name: 100}
    assert (state.serving.engine, state.previous.name) == ("2", "2")
    body = serving_platform.client().post("/v1/answers", json={"question": "Why pods?"}).json()
    assert (body["model_version"], body["configuration"]) == (name, state.serving.configuration)
    asked = {"question": "Why pods?", "model": f"twin-tiny-v{name}"}
    assert serving_platform.client().post("/v1/answers", json=asked).is_success


@pytest.mark.slow
@pytest.mark.nightly
def test_another_prompt_is_rolled_out_as_another_model_is(serving_platform, bring):
    """Up and back, by the alias alone; every answer says which prompt it was asked by.

    Four rollouts. Buys: a prompt on a real Ray; its steps are those of a model, tested above.
    """
    bring("1")
    start = ("rollout", "start", "--recipe", "tiny")
    with Prompts(serving_platform.settings) as prompts:
        name = prompt_name("twin-tiny")
        for number in (1, 2):
            template = f"{number}. {{{{ author }}}} {{{{ passages }}}} {{{{ question }}}}"
            prompts.register(name, template)
            prompts.promote(name, str(number))
            done = serving_platform.twin(*start)
            assert done.returncode == ExitCode.DONE, done.stderr
            assert answered(serving_platform) == f"registry-{number}"
        assert serving_platform.twin(*start).returncode == ExitCode.NOTHING_TO_DO
        prompts.promote(name, "1")
        assert serving_platform.twin(*start).returncode == ExitCode.DONE
        assert answered(serving_platform) == "registry-1"


def answered(platform) -> str:
    """The prompt's version that an answer tells."""
    response = platform.client().post("/v1/answers", json={"question": "Why pods?"})
    return response.raise_for_status().json()["prompt_version"]
