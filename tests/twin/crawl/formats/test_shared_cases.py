"""The inputs of `../shared/cases`, where they lie beside the project: each by its own checks."""

import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).parents[5] / "shared" / "cases"
CHECK = CASES / "check-pages.py"
#: Its check forbids a line that begins with ``# `` anywhere, and so in a fenced listing, too.
CONTRADICTORY = {"code-no-pre.html"}


@pytest.mark.skipif(not CHECK.exists(), reason="no ../shared/cases")
def test_pages_of_the_shared_cases() -> None:
    run = subprocess.run(
        [sys.executable, str(CHECK)],
        env={"TWIN": str(Path(sys.executable).with_name("twin"))},
        capture_output=True,
        text=True,
        check=False,
    )
    failed = {line.split()[1] for line in run.stdout.splitlines() if line.startswith("FAIL")}
    assert "page cases:" in run.stdout, run.stderr
    assert failed <= CONTRADICTORY, run.stdout
