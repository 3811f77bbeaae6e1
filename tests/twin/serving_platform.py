"""`twin serving start` in a process of its own, on ports of its own: the real thing, once."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests import servers
from tests.forked_twin import TwinProcess, run_twin
from twin.serving.local_ray import ray_folder
from twin.settings import Settings

TWIN = Path(sys.prefix) / "bin" / "twin"
KEY = "test-key"


@dataclass(frozen=True)
class Platform:
    """A running endpoint and what one needs to reach it."""

    settings: Settings
    environment: dict[str, str]
    process: subprocess.Popen[bytes]
    log: Path
    seconds_to_health: float

    def client(self, key: str = KEY, timeout: float = 60) -> httpx.Client:
        """A client that presents a key."""
        return httpx.Client(
            base_url=self.settings.endpoint_url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=timeout,
        )

    def twin(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run a job against it; ``changes`` are of its environment variables."""
        environment = {**os.environ, **self.environment, **changes}
        return run_twin(*arguments, env=environment, timeout=240)

    def start_twin(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a job, whose process a test stops."""
        environment = {**os.environ, **self.environment}
        return TwinProcess(arguments, env=environment, stderr=subprocess.DEVNULL)


def settings_of(home: Path, mlflow_url: str) -> tuple[Settings, dict[str, str]]:
    """Settings on free ports, and the same as environment variables."""
    environment = {
        "TWIN_HOME": str(home),
        "TWIN_RECIPES": str(home / "recipes"),
        "TWIN_MLFLOW_TRACKING_URI": mlflow_url,
        # Away, unless a test has one: never that of a platform that happens to run here.
        "TWIN_MONGO_URI": "mongodb://127.0.0.1:1/",
        "TWIN_SERVE_API_URL": f"http://127.0.0.1:{servers.free_port()}",
        "TWIN_ENDPOINT_URL": f"http://127.0.0.1:{servers.free_port()}",
        "TWIN_API_KEYS": KEY,
        "TWIN_ROUTER_REPLICAS": "2",
    }
    values = {name.removeprefix("TWIN_").lower(): value for name, value in environment.items()}
    return Settings.model_validate(values), environment


@contextlib.contextmanager
def running(settings: Settings, environment: dict[str, str]) -> Iterator[Platform]:
    """Run it until the block ends, by the signal that a supervisor sends."""
    log = Path(tempfile.mkdtemp(prefix="twin-serving-")) / "serving.log"
    started = time.monotonic()
    port = int(settings.endpoint_url.rsplit(":", 1)[1])

    with servers.server([TWIN, "serving", "start"], port, log, environment, 240) as process:
        servers.wait_until(lambda: _healthy(settings), f"health (see {log})", 240)
        seconds = time.monotonic() - started
        yield Platform(settings, environment, process, log, round(seconds, 1))
        process.terminate()
        process.wait(30)
    servers.remove(ray_folder(settings.home))


def _healthy(settings: Settings) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{settings.endpoint_url}/healthz", timeout=2).is_success
    return False
