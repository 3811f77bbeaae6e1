"""What it costs to read the DAG files, and what a process that Airflow forks has imported."""

import itertools
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.airflow_environment import ROOT

#: Reads all files, first in a fork that has what the processes of Airflow fork with.
PARSING = """
import json, os, sys, time
from airflow.dag_processing.dagbag import DagBag
if os.fork() == 0:
    from include.forked_imports import import_libraries
    import_libraries()
    before = set(sys.modules)
    DagBag('dags')
    print(json.dumps({'imported': sorted(set(sys.modules) - before)}), flush=True)
    os._exit(0)
os.wait()
start = time.process_time()
bag = DagBag('dags')
print(json.dumps({'seconds': time.process_time() - start, 'dags': len(bag.dags)}))
"""


def parse_in_a_process() -> dict[str, Any]:
    """What `PARSING` prints, in a process of its own."""
    output = subprocess.run(
        [sys.executable, "-c", PARSING],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return dict(itertools.chain.from_iterable(line.items() for line in lines))


@pytest.fixture(scope="module")
def parsed() -> dict[str, Any]:
    return parse_in_a_process()


def test_parsing_takes_under_two_cpu_seconds(parsed: dict[str, Any]) -> None:
    """In a process of its own, with everything that the files import beyond Airflow itself."""
    count = len(list((ROOT / "dags").glob("*.py")))
    assert parsed["dags"] == count
    # The best of three, since a first run may have to compile the libraries' bytecode.
    best = parsed["seconds"]
    for _ in range(2):
        if best >= 2:
            best = min(best, parse_in_a_process()["seconds"])
    print(f"\nDAG parsing: {best:.2f} CPU seconds for {count} files")
    assert best < 2


def test_a_forked_process_imports_no_library_that_its_parent_has_not(
    parsed: dict[str, Any],
) -> None:
    """Each task, and each reading of a file, would take most of a second of a processor for it."""
    large = ("kubernetes", "airflow.providers.cncf")
    assert "include.jobs" in parsed["imported"], "what is ours is read anew"
    assert [name for name in parsed["imported"] if name.startswith(large)] == []
