"""Bring the platform up on one machine, look at it, take it down."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console

from twin.domain.errors import BadConfigurationError, TwinError
from twin.laptop.environment import (
    Secrets,
    jobs_settings,
    load_secrets,
    platform_environment,
    socket_path,
)
from twin.laptop.processes import STARTED, Processes
from twin.settings import LaptopSettings, Settings

#: One slot: a training that shares two cores with another is slower than two in turn.
#: Deferred tasks count, or a deferrable pod would give its slot back while it trains.
GPU_POOL = ("pools", "set", "gpu", "1", "Tasks that need a GPU", "--include-deferred")
AIRFLOW_PROGRAMS = (
    "airflow-api-server",
    "airflow-scheduler",
    "airflow-dag-processor",
    "airflow-triggerer",
)


@dataclass(frozen=True)
class Addresses:
    """Where people and programs find the parts of the platform."""

    airflow: str
    mlflow: str
    endpoint: str
    serve: str


class Platform:
    """The platform of one checkout: its processes, keys and addresses."""

    def __init__(self, laptop: LaptopSettings, console: Console) -> None:
        self.laptop = laptop
        self.console = console
        self.processes = Processes(socket_path(laptop.home), laptop.home)
        self.addresses = Addresses(
            airflow=f"http://127.0.0.1:{laptop.airflow_port}",
            mlflow=f"http://127.0.0.1:{laptop.mlflow_port}",
            endpoint=f"http://127.0.0.1:{laptop.endpoint_port}",
            serve=f"http://127.0.0.1:{laptop.ray_dashboard_port}",
        )

    @property
    def secrets(self) -> Secrets:
        """The keys of this platform, made at the first call."""
        return load_secrets(self.laptop.home)

    @property
    def environment(self) -> dict[str, str]:
        """What every process of the platform, and a job run beside it, has in its environment."""
        return platform_environment(self.laptop, self.secrets)

    @property
    def jobs_settings(self) -> Settings:
        """Settings with which a job reaches this platform's stores."""
        return jobs_settings(self.laptop, self.secrets)

    def run_job(self, *arguments: str) -> int:
        """Run `twin <arguments>` against this platform; its output goes to this terminal."""
        command = [str(Path(sys.prefix) / "bin" / "twin"), *arguments]
        return subprocess.run(command, env=self.environment, check=False).returncode  # noqa: S603

    def up(self) -> None:
        """Start what is not up, and wait until all of it is ready.

        Raises:
            BadConfigurationError: a port is taken, or Airflow's virtual environment is missing.
            TwinError: a component did not become ready; names its log.
        """
        if not self.processes.running():
            self._check()
            self.processes.launch(self.environment)
        # The stores and Ray start while Airflow's database is made: both wait mostly on imports.
        for name in ("warehouse", "mlflow", "serving"):
            self.processes.start(name)
        if self.processes.states()["airflow-scheduler"] not in STARTED:
            with self._timed("airflow database"):
                self._prepare_airflow()
        for name in AIRFLOW_PROGRAMS:
            self.processes.start(name)
        self._wait_for_all()

    def down(self) -> None:
        """End every process that `up` started."""
        if not self.processes.running():
            self.console.print("nothing is running")
            return
        with self.console.status("stopping …"):
            count = self.processes.shut_down()
        self.console.print(f"stopped {count} processes")

    def _check(self) -> None:
        airflow = self.laptop.airflow_environment / "bin" / "airflow"
        if not airflow.is_file():
            raise BadConfigurationError(f"{airflow} is missing: run `make setup`")
        for setting in (
            "warehouse_port", "mlflow_port", "ray_dashboard_port", "endpoint_port",
            "airflow_port", "worker_log_port", "triggerer_log_port",
        ):  # fmt: skip
            port = getattr(self.laptop, setting)
            if _is_taken(port):
                raise BadConfigurationError(
                    f"port {port} is taken by another program: end it, or set "
                    f"TWIN_LAPTOP_{setting.upper()} to a free port"
                )

    def _prepare_airflow(self) -> None:
        home = self.laptop.home.resolve()
        (home / "airflow").mkdir(parents=True, exist_ok=True)
        for arguments in (("db", "migrate"), GPU_POOL):
            self._airflow(*arguments)

    def _airflow(self, *arguments: str) -> None:
        log = self.processes.logs / "airflow-setup.log"
        executable = str((self.laptop.airflow_environment / "bin" / "airflow").resolve())
        with log.open("ab") as output:
            done = subprocess.run(  # noqa: S603 - our own virtual environment's command
                [executable, *arguments],
                env=self.environment,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        if done.returncode:
            raise TwinError(f"airflow {' '.join(arguments[:2])} failed: see {log}")

    def _wait_for_all(self) -> None:
        probes: dict[str, tuple[str, Callable[[], bool]]] = {
            "warehouse": ("warehouse", lambda: _is_taken(self.laptop.warehouse_port)),
            "mlflow": ("mlflow", lambda: _ok(f"{self.addresses.mlflow}/health")),
            "endpoint": ("serving", lambda: _ok(f"{self.addresses.endpoint}/healthz")),
            "airflow": ("airflow-api-server", self._airflow_is_healthy),
        }
        with ThreadPoolExecutor(len(probes)) as pool:
            waits = [
                pool.submit(self._wait_for, what, program, probe)
                for what, (program, probe) in probes.items()
            ]
        for wait in waits:
            wait.result()

    def _wait_for(self, what: str, program: str, ready: Callable[[], bool]) -> None:
        log = self.processes.logs / f"{program}.log"
        with self._timed(what):
            deadline = time.monotonic() + self.laptop.start_timeout_seconds
            while not ready():
                if self.processes.states()[program] == "FATAL":
                    raise TwinError(f"{what} ends as soon as it starts: see {log}")
                if time.monotonic() > deadline:
                    seconds = self.laptop.start_timeout_seconds
                    raise TwinError(f"{what} was not ready after {seconds} s: see {log}")
                time.sleep(0.25)

    def _airflow_is_healthy(self) -> bool:
        """All four components report in, not the API server alone."""
        try:
            health = httpx.get(f"{self.addresses.airflow}/api/v2/monitor/health", timeout=5).json()
        except (httpx.HTTPError, ValueError):
            return False
        parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        return all(health.get(part, {}).get("status") == "healthy" for part in parts)

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.console.print(f"  {what:<18} ready {time.monotonic() - started:5.0f} s")


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _ok(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.HTTPError:
        return False
