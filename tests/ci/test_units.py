"""Which tests go to one process of several, and in which order."""

from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import ROOT, TOGETHER, unit_of


@pytest.mark.parametrize("start", TOGETHER)
def test_a_unit_s_paths_are_there(start: str) -> None:
    assert (ROOT / start).exists()


@pytest.mark.parametrize(
    ("file", "unit"),
    [
        ("tests/twin/serving/test_graph.py", "ray"),
        ("tests/twin/serving/test_limits.py", "serving"),
        ("tests/e2e/test_loop.py", "ray"),
        ("tests/twin/evaluation/test_evaluate.py", "evaluation"),
        ("tests/twin/features/test_build.py", "tests/twin/features/test_build.py"),
    ],
)
def test_the_unit_of_a_file(file: str, unit: str) -> None:
    assert unit_of(file) == unit


def test_the_platform_of_the_session_is_one_unit_s() -> None:
    """Another process would start a platform of its own."""
    uses = Counter(
        unit_of(path.relative_to(ROOT).as_posix())
        for path in (ROOT / "tests" / "twin").rglob("test_*.py")
        if "serving_platform" in path.read_text("utf-8")
    )
    assert uses.keys() == {"ray"}


def test_each_test_file_lies_in_a_folder_that_make_test_names() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    lines = [line for line in makefile.splitlines() if "-m pytest" in line and "slow" not in line]
    named = {word for line in lines for word in line.split() if word.startswith("tests/")}
    apart = {"tests/bench", "tests/kubernetes", "tests/vllm"}  # other targets of their own
    files = (path.relative_to(ROOT) for path in (ROOT / "tests").rglob("test_*.py"))
    folders = {Path(*file.parts[:2]).as_posix() for file in files}
    assert folders - apart <= named
