"""`/healthz` through the endpoint's router against the least that a FastAPI application does.

Both on the same Ray Serve, with as many replicas, one after the other in turns. What lies between
them is the router's own: its middleware, and how it is deployed.
"""

import asyncio
import statistics

import httpx
import pytest

from tests import servers
from tests.bench.callers import requests_a_second
from tests.conftest import ROOT
from tests.twin import twins
from tests.twin.serving_platform import running, settings_of
from twin.domain.rollout import RolloutState
from twin.stores.rollout_states import RolloutStates
from twin.stores.serve_config import render

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CALLERS = 16
SECONDS = 6.0
TURNS = 3


@pytest.fixture
def platform(tmp_path):
    """A platform with a tiny twin in service, and the no-op beside it."""
    settings, environment = settings_of(tmp_path / "home", "http://127.0.0.1:1")
    recipe = twins.write_recipe(settings.recipes)
    twins.index_texts(recipe, settings)
    uri, digest = twins.publish_weights(settings, tmp_path / "weights")
    served = twins.served(recipe, "1", uri, digest)
    RolloutStates(settings).save(
        RolloutState(model="twin-tiny", versions=(served,), weights={"1": 100})
    )
    with running(settings, {**environment, "PYTHONPATH": str(ROOT)}) as platform:
        servers.wait_until(lambda: names_models(settings), "the router", 180, pause=1)
        yield platform


def names_models(settings):
    return httpx.get(f"{settings.endpoint_url}/healthz", timeout=5).json()["models"]


def test_requests_a_second(platform):
    settings = platform.settings
    config = render(RolloutStates(settings).all(), settings)
    noop = {"name": "noop", "route_prefix": "/noop", "import_path": "tests.bench.noop:app"}
    config["applications"].append(noop)
    httpx.put(
        f"{settings.serve_api_url}/api/serve/applications/", json=config, timeout=60
    ).raise_for_status()
    urls = {
        "no-op": f"{settings.endpoint_url}/noop/healthz",
        "router": f"{settings.endpoint_url}/healthz",
    }
    servers.wait_until(
        lambda: httpx.get(urls["no-op"], timeout=5).is_success, "the no-op", 120, pause=0.5
    )

    async def measure():
        rates = {name: [] for name in urls}
        for url in urls.values():
            await requests_a_second(url, CALLERS, 2)  # warms up
        for _ in range(TURNS):
            for name, url in urls.items():
                rates[name].append(await requests_a_second(url, CALLERS, SECONDS))
        return {name: statistics.median(values) for name, values in rates.items()}

    rates = asyncio.run(measure())
    ratio = rates["router"] / rates["no-op"]
    print(
        f"\n/healthz at {CALLERS} callers: {rates['router']:.0f}/s, "
        f"a no-op {rates['no-op']:.0f}/s, ratio {ratio:.2f}"
    )
