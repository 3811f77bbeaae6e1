"""Fixtures that every test may use, and which tests one process of several runs together."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent

#: How a test's path begins, and the unit that it belongs to. One process runs a unit; these units
#: come before all others, in this order. What starts Ray runs one at a time and takes longest; the
#: tests of the other two share fixtures that take long to make. Any other file is its own unit.
TOGETHER = {
    "tests/twin/serving/test_graph.py": "ray",
    "tests/twin/serving/test_local_ray.py": "ray",
    "tests/twin/serving/test_start.py": "ray",
    "tests/twin/rollout/": "ray",
    "tests/twin/features/test_spread.py": "ray",
    "tests/twin/laptop/": "ray",
    "tests/e2e/": "ray",
    "tests/twin/evaluation/": "evaluation",
    "tests/twin/serving/": "serving",
}


def unit_of(file: str) -> str:
    """Name of the unit that the tests of a file belong to."""
    return next((unit for start, unit in TOGETHER.items() if file.startswith(start)), file)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist, which Airflow's environment has not
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out the tests as `TOGETHER` says."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return unit_of(super()._split_scope(nodeid))

    return Scheduling(config, log)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_testnodedown(node: Any, error: object) -> None:
    """Say how a process of tests ended: pytest-xdist says only that it did."""
    if not error:
        return
    process = node.gateway._io.popen
    try:
        code = process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        code = None
    ending = "still runs, but its pipe is closed" if code is None else f"ended with {code}"
    sys.stderr.write(f"\n{node.gateway.id} (pid {process.pid}) {ending} (-N: by signal N)\n")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the units of `TOGETHER` first, in a process among several."""
    if hasattr(config, "workerinput"):
        starts = list(TOGETHER)

        def place(item: pytest.Item) -> int:
            own = (number for number, start in enumerate(starts) if item.nodeid.startswith(start))
            return next(own, len(starts))

        items.sort(key=place)


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The workplace's folder of real pages; tests that need it skip where it is absent."""
    folder = ROOT.parent / "shared"
    if not (folder / "sites").is_dir():
        pytest.skip("no ../shared here")
    return folder
