"""The inputs of `../shared/cases`, which lie beside the project where it is worked on."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "shared" / "cases"


def case(name: str) -> Path:
    """A case's file; the test is skipped where there is none."""
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"needs {name} of the shared cases")
    return path
