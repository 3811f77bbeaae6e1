"""A vLLM engine application on a Ray Serve of its own, reached by handle as versions reach it."""

import asyncio
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.conftest import ROOT
from twin.models.engines.engine import EngineRequest
from twin.models.language_model import SamplingParams
from twin.serving.local_ray import local_ray, ray_environment, ray_folder, wait_for_dashboard
from twin.settings import Settings
from twin.stores.deployments import ApplicationStatus
from twin.stores.files import folder_digest, open_files
from twin.stores.ray_serve import RayServe

PYTHON = ROOT / ".venvs" / "vllm" / "bin" / "python"
NAME = "tiny-engine"


@dataclass
class VllmPlatform:
    """A running engine; ``items`` of an answer are as its `stream` yields them."""

    settings: Settings
    serving: dict[str, Any]
    weights: dict[str, str]
    adapters: dict[str, dict[str, str]] = field(default_factory=dict)
    handle: Any = None

    def config(self) -> dict[str, Any]:
        """What `twin.stores.serve_config` renders of it."""
        return {
            "proxy_location": "HeadOnly",
            "http_options": {
                "host": "127.0.0.1",
                "port": int(self.settings.endpoint_url.rsplit(":", 1)[1]),
            },
            "applications": [
                {
                    "name": NAME,
                    "route_prefix": None,
                    "import_path": "twin.serving.vllm_engine:build",
                    "args": {
                        "weights_uri": self.weights["uri"],
                        "weights_digest": self.weights["digest"],
                        "serving": self.serving,
                    },
                    "deployments": [
                        {
                            "name": "Engine",
                            "max_queued_requests": 100,
                            "user_config": {"adapters": self.adapters},
                        }
                    ],
                }
            ],
        }

    def apply(self) -> None:
        """Tell Serve, and wait until it runs."""
        serve = RayServe(self.settings)
        serve.apply(self.config)
        deadline = time.monotonic() + 900
        while True:
            now = serve.applications()[NAME]
            if now.status is ApplicationStatus.RUNNING:
                return
            failed = now.status is ApplicationStatus.DEPLOY_FAILED
            assert not failed and time.monotonic() < deadline, now
            time.sleep(0.1)

    def described(self) -> dict[str, Any]:
        return dict(self.handle.describe.remote().result(timeout_s=60))

    def request(
        self,
        prompt: list[int],
        adapter: str | None = None,
        seconds: float = 300.0,
        **params: Any,
    ) -> dict[str, Any]:
        sampling = SamplingParams(**{"max_new_tokens": 24, **params})
        return EngineRequest(tuple(prompt), (), sampling, adapter, seconds).to_dict()

    async def stream(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        stream = self.handle.options(stream=True).stream.remote(request)
        return [item async for item in stream]

    def ask(self, prompt: list[int], adapter: str | None = None, **how: Any) -> dict[str, Any]:
        """The last item of one answer: its generation or its error."""
        (answer,) = self.ask_all([self.request(prompt, adapter, **how)])
        return answer

    def ask_all(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The last item of each answer, all asked at once."""

        async def all_of_them() -> list[list[dict[str, Any]]]:
            return await asyncio.gather(*(self.stream(request) for request in requests))

        answers = asyncio.run(all_of_them())
        for items in answers:
            if generation := items[-1].get("generation"):
                assert "".join(item.get("text", "") for item in items) == generation["text"]
        return [items[-1] for items in answers]


def all_run(settings: Settings) -> bool:
    """Whether all that was asked for is in service: the router, a version and its engine."""
    found = RayServe(settings).applications().values()
    return len(found) == 3 and all(item.status is ApplicationStatus.RUNNING for item in found)


def published(settings: Settings, folder: Path, name: str) -> dict[str, str]:
    """A folder of weights in the file store, as the registry names it."""
    uri = open_files(settings).publish_folder(folder, f"models/{name}")
    return {"uri": uri, "digest": folder_digest(folder)}


@contextmanager
def vllm_platform(
    home: Path, weights: Path, serving: Mapping[str, Any], cpus: int = 1
) -> Iterator[VllmPlatform]:
    """Run the engine of these weights until the block ends."""
    if not PYTHON.is_file():
        pytest.skip("no environment for vLLM: `make vllm` makes it")
    settings = Settings(
        home=home,
        serve_api_url=f"http://127.0.0.1:{servers.free_port()}",
        endpoint_url=f"http://127.0.0.1:{servers.free_port()}",
        ray_cpus=cpus + 1,
        vllm_python=PYTHON,
        serve_haproxy=False,  # an engine has no route
    )
    # Ray's own tolerance of a busy machine is 30 s, and it lets everything else go first.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - so Ray spells it
    os.environ["RAY_raylet_start_wait_time_s"] = "180"  # noqa: SIM112 - so Ray spells it
    platform = VllmPlatform(
        settings,
        {"engine": "vllm", "replicas": 1, "cpus_per_replica": cpus, **serving},
        published(settings, weights, "base"),
    )
    started = time.monotonic()
    with pytest.MonkeyPatch.context() as patch, local_ray(settings) as process:
        # Ray reads these when it is imported: that it listens on loopback, for one.
        for name, value in ray_environment(settings).items():
            patch.setenv(name, value)
        import ray
        from ray import serve

        wait_for_dashboard(settings, process, 240)
        address = ray_folder(settings.home) / "ray_current_cluster"
        servers.wait_until(address.is_file, "Ray's address", 180)
        ray.init(address=address.read_text().strip(), log_to_driver=False, configure_logging=False)
        try:
            platform.apply()
            platform.handle = serve.get_app_handle(NAME)
            print(f"\nvLLM through Ray Serve LLM: up after {time.monotonic() - started:.0f} s")
            yield platform
        finally:
            ray.shutdown()
    servers.remove(ray_folder(settings.home))
