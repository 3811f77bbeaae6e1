"""Router, version and engine on a real Ray Serve, with replicas that die.

About a minute and a half. What that buys: that a question which ends a replica ends one replica
only, that a dead replica costs nobody an answer, and that nothing listens where others reach it,
are seen on the real thing.
"""

import concurrent.futures
import contextlib
import json
import re
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests import servers
from tests.twin import twins
from tests.twin.serving.test_mcp import called
from tests.twin.serving_platform import running, settings_of
from twin.domain.rollout import RolloutState
from twin.stores.rollout_states import RolloutStates

pytestmark = pytest.mark.slow

LONG = {"question": "Tell me everything.", "temperature": 1.5, "seed": 2}
SHORT = {"question": "Why pods?", "max_tokens": 4}


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    """Two replicas of version and engine each, one answer at a time in an engine."""
    home = tmp_path_factory.mktemp("graph")
    settings, environment = settings_of(home / "home", "http://127.0.0.1:1")
    # Long enough to be killed in the middle, whatever the machine.
    recipe = twins.write_recipe(
        settings.recipes, replicas=2, version_replicas=2, max_new_tokens=1_500
    )
    twins.index_texts(recipe, settings)
    uri, digest = twins.publish_weights(settings, home / "weights")
    served = twins.served(recipe, "3", uri, digest)
    state = RolloutState(model="twin-tiny", versions=(served,), weights={"3": 100})
    RolloutStates(settings).save(state)
    with running(settings, environment) as platform:
        servers.wait_until(lambda: all_run(settings), "all applications", 120, pause=0.5)
        yield platform


@pytest.fixture(autouse=True)
def whole(platform):
    """Every replica is there again before the next test."""
    yield
    servers.wait_until(lambda: all_run(platform.settings), "all replicas", 90, pause=0.5)


def all_run(settings):
    """Whether all three applications run, with each replica of theirs: a new one loads no more."""
    found = httpx.get(f"{settings.serve_api_url}/api/serve/applications/").json()["applications"]
    deployments = [d for app in found.values() for d in app["deployments"].values()]
    states = [replica["state"] for d in deployments for replica in d["replicas"]]
    return (
        len(found) == 3
        and all(item["status"] == "RUNNING" for item in found.values())
        and len(states) == sum(d["target_num_replicas"] for d in deployments)
        and set(states) == {"RUNNING"}
        and all(psutil.pid_exists(r["pid"]) for d in deployments for r in d["replicas"])
    )


def replicas(platform, deployment):
    found = []
    for process in psutil.Process(platform.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie, or gone meanwhile
            name = "".join(process.cmdline())
            if name.startswith("ray::ServeReplica") and f":{deployment}" in name:
                found.append(process)
    return found


def busiest(processes):
    """The one that computes: an engine's thread in mid-answer takes all the time there is.

    It is named as soon as it is 0.2 s of processor time ahead: the answer has long to go then.
    """
    before = {process: sum(process.cpu_times()[:2]) for process in processes}
    for _ in range(200):
        time.sleep(0.05)
        spent = {process: sum(process.cpu_times()[:2]) - before[process] for process in processes}
        least, *_, most = sorted(processes, key=spent.__getitem__)
        if spent[most] - spent[least] > 0.2:
            return most
    raise AssertionError("no engine computes")


def ask(platform, body):
    with platform.client() as client:
        started = time.monotonic()
        return client.post("/v1/answers", json=body), time.monotonic() - started


def test_assistants_ask_through_ray(platform):
    """The router's ASGI lifespan runs there, without which the protocol takes no request."""
    found = called(platform.settings.endpoint_url, "search", {"question": SHORT["question"]})
    assert found.structured_content["sources"]


def test_a_question_that_ends_its_engine_is_not_asked_again(platform):
    before = {process.pid for process in replicas(platform, "Engine")}
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        answer = threads.submit(ask, platform, LONG)
        victim = busiest(replicas(platform, "Engine"))
        victim.kill()
        killed = time.monotonic()
        response, _ = answer.result()
    assert time.monotonic() - killed < 15
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "model_unavailable"
    [other] = before - {victim.pid}
    assert psutil.pid_exists(other)
    assert ask(platform, SHORT)[0].status_code == 200


def test_a_stream_whose_engine_ends_says_so(platform):
    body = {
        "model": "twin-tiny",
        "messages": [{"role": "user", "content": LONG["question"]}],
        "temperature": 1.5,
        "seed": 2,
        "stream": True,
    }
    with (
        platform.client() as client,
        client.stream("POST", "/v1/chat/completions", json=body) as answer,
    ):
        assert answer.status_code == 200
        lines = answer.iter_lines()
        next(lines)
        busiest(replicas(platform, "Engine")).kill()
        said = [line for line in lines if line]
    assert json.loads(said[-2].removeprefix("data: "))["error"]["code"] == "model_unavailable"


def test_a_question_whose_version_ends_is_not_asked_again(platform):
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        answer = threads.submit(ask, platform, LONG)
        time.sleep(0.5)
        for version in replicas(platform, "Version"):  # whichever has the question
            version.kill()
        killed = time.monotonic()
        response, _ = answer.result()
    assert time.monotonic() - killed < 15
    assert response.status_code == 503, response.text
    assert response.json()["error"]["code"] == "model_unavailable"


def test_a_replica_that_was_dead_before_costs_nothing(platform):
    replicas(platform, "Engine")[0].kill()
    replicas(platform, "Version")[0].kill()
    answers = [ask(platform, SHORT)[0].status_code for _ in range(12)]
    assert answers == [200] * 12


def test_people_reach_the_page_without_a_key(platform):
    """Through HAProxy, from whichever replica of the router."""
    address = platform.settings.endpoint_url
    pages = [httpx.get(address) for _ in range(6)]
    assert {page.status_code for page in pages} == {200}
    assert len({page.headers["etag"] for page in pages}) == 1
    [script] = re.findall(r'src="(/page/[^"]+)"', pages[0].text)
    assert "immutable" in httpx.get(f"{address}{script}").headers["cache-control"]


def test_embeddings_come_from_a_replica_that_has_the_embedder(platform):
    body = {"model": "twin-tiny", "input": ["Why pods?", "Why not?"]}
    with platform.client() as client:
        found = client.post("/v1/embeddings", json=body).raise_for_status().json()
        assert [len(each["embedding"]) for each in found["data"]] == [384, 384]
        refused = client.post("/v1/embeddings", json={**body, "dimensions": 7})
    assert refused.status_code == 400
    assert "vectors of the embedder" in refused.json()["error"]["message"]


def test_metrics_of_all_replicas_are_read_at_the_endpoint(platform):
    """Whichever router replica is asked, and of versions as of routers."""
    for _ in range(8):
        assert ask(platform, SHORT)[0].status_code == 200
    with platform.client() as client:
        assert client.post("/v1/answers", json={"question": "x" * 9_000_000}).status_code == 413

        def versions_have_answered():
            ask(platform, SHORT)  # chance may have given one replica all of them
            return len(measured_by(client, "first_word")) >= 2

        servers.wait_until(versions_have_answered, "versions", 120)
        servers.wait_until(lambda: len(measured_by(client, "answers")) >= 2, "routers", 60)
        text = client.get("/metrics").text
    answers = re.findall(r'ray_twin_answers_total\{.*outcome="grounded".*\} (\S+)', text)
    assert sum(map(float, answers)) >= 8
    assert {family.split("_")[1] for family in re.findall(r"# TYPE (\S+)", text)} == {
        "twin",
        "serve",
    }


def measured_by(client, name):
    """Replicas that have a metric of the twin's."""
    text = client.get("/metrics").raise_for_status().text
    return set(re.findall(rf'ray_twin_{name}\w*\{{.*replica="([^"]+)"', text))


def test_answers_go_on_while_the_store_that_keeps_them_is_away(platform):
    answer, _ = ask(platform, SHORT)
    assert answer.status_code == 200
    with platform.client() as client:
        kept = client.get(f"/v1/answers/{answer.json()['id']}")
    assert (kept.status_code, kept.json()["error"]["code"]) == (503, "store_unavailable")


def test_nothing_listens_where_other_machines_reach_it(platform):
    tree = [
        psutil.Process(platform.process.pid),
        *psutil.Process(platform.process.pid).children(recursive=True),
    ]
    outside = [
        (process.name(), connection.laddr)
        for process in tree
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
        and connection.laddr.ip.removeprefix("::ffff:") != "127.0.0.1"
    ]
    assert outside == []


def test_replicas_have_the_priority_of_their_platform(platform):
    own = psutil.Process(platform.process.pid).nice()
    found = replicas(platform, "Engine") + replicas(platform, "Version")
    assert {process.nice() for process in found} == {own}


def test_a_version_holds_no_language_model(platform):
    for process in replicas(platform, "Version"):
        loaded = {Path(mapping.path).name for mapping in process.memory_maps()}
        assert not any(name.startswith("libtorch") for name in loaded)


def test_a_system_text_counts_and_is_refused_before_it_costs(platform):
    def chat(system):
        messages = [
            {"role": "system", "content": system},
            {"role": "user", "content": "Why pods?"},
        ]
        body = {"model": "twin-tiny", "messages": messages, "max_tokens": 4}
        with platform.client() as client:
            return client.post("/v1/chat/completions", json=body)

    assert chat("Be brief.").status_code == 200
    too_many_tokens = chat("a " * 1_990)
    assert too_many_tokens.status_code == 400
    assert "tokens" in too_many_tokens.json()["error"]["message"]
    too_many_characters = chat("word " * 150_000)
    assert too_many_characters.status_code == 400
    assert "characters" in too_many_characters.json()["error"]["message"]
