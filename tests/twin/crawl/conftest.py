"""Fixtures of the crawl's tests."""

from pathlib import Path
from typing import Any

import pytest

from tests.twin.crawl.crawls import Crawl, Crawled, recipe_file, run_crawl
from twin.settings import Settings


@pytest.fixture
def crawl(stores_settings: Settings, tmp_path: Path) -> Crawl:
    """Run a crawl of the given sources to its end."""

    def run(*sources: dict[str, Any], options: tuple[str, ...] = (), **knobs: Any) -> Crawled:
        return run_crawl(stores_settings, recipe_file(tmp_path, list(sources), **knobs), *options)

    return run
