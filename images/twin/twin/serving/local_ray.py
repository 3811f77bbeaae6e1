"""A Ray head of our own, as a child process: Serve's home where there is no KubeRay.

Ray's own ``ray stop`` would end every Ray of the machine; this ends what it started, by pid.
"""

import contextlib
import ctypes
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog

from twin.domain.errors import BadConfigurationError, TryAgainError
from twin.serving.haproxy import haproxy_environment
from twin.settings import Settings, inherited_environment

#: A socket's path may have 107 bytes, and Ray adds up to 68 to its folder's, as in
#: /session_2026-11-21_23-25-00_611691_1234567/sockets/dash_MetricsHead
LONGEST_FOLDER = 39

#: How long Ray's processes get to end before they are killed.
GRACE_SECONDS = 10.0

#: Starts whose logs are kept.
SESSIONS_KEPT = 3

#: From Linux's <sys/prctl.h>.
PR_SET_PDEATHSIG = 1

log = structlog.get_logger("twin")


@contextlib.contextmanager
def local_ray(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Ray head until the block ends, then end it and everything that it started.

    Only loopback is listened on, and every port but the dashboard's is one that is free.

    Raises:
        BadConfigurationError: a port is taken, or the dashboard's is not on this machine.
    """
    command = ray_command(settings)
    for url in (settings.serve_api_url, settings.endpoint_url):
        _check_free(url)
    folder = ray_folder(settings.home)
    folder.mkdir(parents=True, exist_ok=True)
    _forget_old_sessions(folder)
    process = subprocess.Popen(  # noqa: S603 - our own interpreter's ray
        command,
        env={**inherited_environment(), **ray_environment(settings)},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call, and no other thread runs
    )
    log.info("ray started", pid=process.pid, folder=str(folder))
    try:
        yield process
    finally:
        end_tree(process)


def _end_with_parent() -> None:
    """Have the kernel end this child when its parent is killed, as Ray does with its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def ray_command(settings: Settings) -> list[str]:
    """The command line of the head."""
    dashboard = urlsplit(settings.serve_api_url)
    if dashboard.hostname not in {"127.0.0.1", "localhost"}:
        raise BadConfigurationError(
            f"TWIN_SERVE_API_URL = {settings.serve_api_url}: `twin serving start` starts Ray on "
            "this machine, so give a loopback address (or set TWIN_RAY_SERVICE on a cluster)"
        )
    return [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block",
        "--node-ip-address=127.0.0.1", "--port=0",
        # Asked for explicitly, since else Ray goes on without a dashboard that fails to start.
        "--include-dashboard=true",
        "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard.port or 80}",
        "--dashboard-agent-listen-port=0", "--dashboard-agent-grpc-port=0",
        "--min-worker-port=0", "--max-worker-port=0",
        "--include-log-monitor=false", "--disable-usage-stats",
        f"--object-store-memory={settings.ray_object_store_bytes}",
        f"--temp-dir={ray_folder(settings.home)}",
        # A rollout runs two engines side by side, each with all cores: logical ones, therefore.
        f"--num-cpus={settings.ray_cpus or room_for_rollouts(os.cpu_count() or 1)}",
    ]  # fmt: skip


def room_for_rollouts(cores: int) -> int:
    """CPUs to let Ray hand out: two twins' engines and their successors, and all versions."""
    return 4 * cores + 4


def ray_environment(settings: Settings) -> dict[str, str]:
    """What Ray's processes, replicas among them, get on top of this process's environment."""
    return {
        **haproxy_environment(settings, ray_folder(settings.home) / "haproxy"),
        "RAY_USAGE_STATS_ENABLED": "0",
        # Ray's default of 15 would let every other process of this machine go before an answer.
        "RAY_worker_niceness": "0",
        # In spite of its name, what keeps every port of Ray on loopback: Ray lets whoever
        # reaches them run code.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        # Else a token that some other use of Ray has left in ~/.ray shuts our own jobs out.
        "RAY_AUTH_MODE": "disabled",
        "RAY_START_HOOK": "twin.serving.local_ray.trim",
        # Serve's replicas are all that runs; workers started ahead of need cost 60 MB each.
        "RAY_enable_worker_prestart": "0",
        "RAY_prestart_worker_first_driver": "0",
        # One machine: there is nowhere to drain to.
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
        # Replicas run in Ray's folder: relative paths would lead elsewhere.
        "TWIN_HOME": str(settings.home.resolve()),
        "TWIN_RECIPES": str(settings.recipes.resolve()),
        "TWIN_FILES_URI": settings.files_root,
        "TWIN_MODELS": str(settings.models_root),
        "TWIN_GGUF_CONVERTER": str(settings.gguf_converter.resolve()),
        "TWIN_VLLM_PYTHON": str(settings.vllm_python.absolute()),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def _forget_old_sessions(folder: Path) -> None:
    """Delete the logs of all starts but the last few: Ray itself never does."""
    sessions = sorted(path for path in folder.glob("session_2*") if path.is_dir())
    for path in sessions[:-SESSIONS_KEPT]:
        shutil.rmtree(path, ignore_errors=True)


def _check_free(url: str) -> None:
    address = urlsplit(url)
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex((address.hostname or "127.0.0.1", address.port or 80)) == 0:
            raise BadConfigurationError(
                f"something else listens at {url}: end it, or set another port by "
                "TWIN_SERVE_API_URL and TWIN_ENDPOINT_URL"
            )


def trim(parameters: Any, head: bool) -> None:  # noqa: ARG001 - Ray's signature
    """Leave out what a Serve on one node has no use for; Ray calls this before it starts.

    The server for remote clients has a fixed port, on which two platforms would meet, and the
    monitor serves the autoscaler of clusters.
    """
    parameters.ray_client_server_port = None
    parameters.no_monitor = True


def ray_folder(home: Path) -> Path:
    """Where Ray keeps its sockets and logs: under ``home``, unless that path is too long."""
    folder = home.resolve() / "ray"
    if len(os.fsencode(folder)) <= LONGEST_FOLDER:
        return folder
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"twin-ray-{name}"


def end_tree(process: subprocess.Popen[bytes]) -> None:
    """End a process and all its descendants: SIGTERM, then SIGKILL to what remains."""
    import psutil

    try:
        tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        tree = []
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)
    # Workers that Ray has not taken along; psutil compares start times, so no reused pid is hit.
    _, alive = psutil.wait_procs([item for item in tree if item.is_running()], timeout=2)
    for item in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            item.kill()
    process.wait()


def wait_for_dashboard(
    settings: Settings, process: subprocess.Popen[bytes], seconds: float
) -> None:
    """Wait until Ray's REST API answers.

    Raises:
        TryAgainError: Ray ended, or does not answer in time.
    """
    import httpx

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise TryAgainError(
                f"Ray ended at its start (exit code {process.returncode}): its output says why"
            )
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{settings.serve_api_url}/api/version", timeout=2).is_success:
                return
        time.sleep(0.2)
    raise TryAgainError(f"Ray does not answer at {settings.serve_api_url} after {seconds:.0f} s")
