"""Fixtures that every test may use."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


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
