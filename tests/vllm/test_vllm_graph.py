"""The whole graph on vLLM, for real: router, version and a shared engine, asked over HTTP.

Two or three minutes, most of it the start of Ray and vLLM. What it buys: HAProxy and throughput
mode, in which our code shares vLLM's event loop, a rollout of a second version beside the first in
the same engine while callers ask, and what listens on the machine, are seen on the real thing.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests import families, servers
from tests.twin import twins
from tests.twin.rollout.load import asking
from tests.twin.serving_platform import Platform, running, settings_of
from tests.vllm_models import adapter
from tests.vllm_platform import PYTHON, all_run
from twin.domain.rollout import RolloutState, ServedVersion
from twin.recipes import Recipe
from twin.rollout.lease import Owner
from twin.rollout.shift import Shift
from twin.settings import Settings
from twin.stores.deployments import open_deployments
from twin.stores.endpoint import Endpoint
from twin.stores.files import open_files
from twin.stores.rollout_states import RolloutStates

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

MODEL = "twin-tiny"
QUESTION = {"question": "Why pods?", "max_tokens": 24}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Recipe:
    return twins.write_recipe(
        tmp_path_factory.mktemp("graph") / "home" / "recipes",
        engine="vllm",
        adapters="shared",
        cpus_per_replica=1,
        start_timeout_seconds=900,
        traffic_steps=[50, 100],
        step_seconds=1,
        vllm={"options": {"max_model_len": 2048, "max_num_seqs": 4}},
    )


@pytest.fixture(scope="module")
def site(recipe, tmp_path_factory) -> tuple[Settings, dict[str, str]]:
    """Settings, and the same as environment variables."""
    settings, environment = settings_of(
        tmp_path_factory.getbasetemp() / "graph0" / "home", "http://127.0.0.1:1"
    )
    settings = settings.model_copy(update={"vllm_python": PYTHON})
    return settings, {**environment, "TWIN_VLLM_PYTHON": str(PYTHON)}


@pytest.fixture(scope="module")
def versions(site, recipe, tmp_path_factory) -> list[ServedVersion]:
    """Two adapters of one base."""
    settings, _ = site
    home = tmp_path_factory.mktemp("weights")
    base = families.build("llama3", home / "base", hidden_size=128)
    files = open_files(settings)

    def published(folder: Path, name: str) -> tuple[str, str]:
        uri = files.publish_folder(folder, f"models/{name}")
        return uri, files.published_digest(f"models/{name}")

    base_uri, base_digest = published(base, "base")
    made = []
    for number in (1, 2):
        uri, digest = published(adapter(base, home / f"v{number}", number), f"v{number}")
        served = twins.served(recipe, str(number), uri, digest)
        shared = {"weights": "adapter", "base_uri": base_uri, "base_digest": base_digest}
        made.append(ServedVersion.model_validate({**served.model_dump(), **shared}))
    return made


@pytest.fixture(scope="module")
def platform(site, recipe, versions) -> Iterator[Platform]:
    """The first version in service."""
    if not PYTHON.is_file():
        pytest.skip("no environment for vLLM: `make vllm` makes it")
    settings, environment = site
    twins.index_texts(recipe, settings)
    state = RolloutState(model=MODEL, versions=(versions[0],), weights={"1": 100})
    RolloutStates(settings).save(state)
    with running(settings, environment) as platform:
        servers.wait_until(lambda: all_run(settings), "all applications", 900, pause=0.5)
        yield platform


def tree(platform: Platform) -> list[psutil.Process]:
    own = psutil.Process(platform.process.pid)
    return [own, *own.children(recursive=True)]


def engines(platform: Platform) -> set[int]:
    """Processes of the engine: the replica and vLLM's own."""
    found = set()
    for process in tree(platform):
        with contextlib.suppress(psutil.NoSuchProcess):
            name = "".join(process.cmdline())
            if name.startswith("VLLM::") or (name.startswith("ray::Serve") and ":Engine" in name):
                found.add(process.pid)
    return found


def test_a_question_is_answered_from_passages(platform):
    with platform.client() as client:
        answer = client.post("/v1/answers", json=QUESTION).raise_for_status().json()
        again = client.post("/v1/answers", json=QUESTION).raise_for_status().json()
    assert answer["model_version"] == "1" and answer["answer"] and answer["sources"]
    assert answer["answer"] == again["answer"]


def test_nothing_listens_where_other_machines_reach_it(platform):
    outside = [
        (process.name(), connection.laddr)
        for process in tree(platform)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
        and connection.laddr.ip.removeprefix("::ffff:") not in {"127.0.0.1", "::1"}
    ]
    assert outside == []


def test_what_no_engine_can_do_is_the_caller_s_fault(platform):
    long = {"question": "\N{GRINNING FACE}" * 900, "max_tokens": 8}  # four bytes each, and tokens
    with platform.client() as client:
        refused = client.post("/v1/answers", json=long)
        assert 400 <= refused.status_code < 500, refused.text
        assert client.post("/v1/answers", json=QUESTION).status_code == 200


def test_a_second_version_comes_into_the_same_engine_while_callers_ask(platform, recipe, versions):
    settings, before = platform.settings, engines(platform)
    assert len(before) > 1
    states, endpoint = RolloutStates(settings), Endpoint(settings)
    started = time.monotonic()
    with asking(platform) as load, Owner(states, MODEL, "test") as owner:
        Shift(owner, settings, open_deployments(settings), endpoint).to(versions[1], recipe.serving)
    shifted = time.monotonic() - started
    assert load.failures == []
    assert load.texts("1") and load.texts("2") and not load.texts("1") & load.texts("2")
    assert engines(platform) == before, "the base stayed where it was"
    with platform.client() as client:
        assert client.post("/v1/answers", json=QUESTION).json()["model_version"] == "2"
    noted = RolloutStates(settings).load(MODEL).history
    taking = next(item.time for item in noted if item.event == "50%")
    asked = next(item.time for item in noted if item.event == "starting")
    print(
        f"\nthe second version answers {(taking - asked).total_seconds():.1f} s after it was asked "
        f"for, the rollout took {shifted:.1f} s, {len(load.answers)} answers meanwhile"
    )
