"""Crawls as a user runs them: the whole command in a process of its own (a reactor runs once)."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.forked_twin import TwinProcess
from tests.twin.crawl.stored import stored_documents
from twin.domain.document import Document, DocumentStatus
from twin.settings import Settings
from twin.stores.warehouse import open_warehouse

_LOGGED = re.compile(r"\d{4}-\d\d-\d\dT\S+ \[\w+ *\] ")


@dataclass
class Crawled:
    """How a crawl ended."""

    code: int
    error: str
    result: dict[str, Any]

    @property
    def line(self) -> str:
        """The one line in which the command says why it failed; fails if there are more."""
        lines = [line for line in self.error.splitlines() if not _LOGGED.match(line)]
        assert len(lines) == 1, self.error
        return lines[0]

    def tally(self, source: str = "site") -> dict[str, int]:
        return {key: n for key, n in self.result["detail"]["sources"][source].items() if n}


Crawl = Callable[..., Crawled]


def recipe_file(folder: Path, sources: list[dict[str, Any]], **crawl: Any) -> Path:
    """A recipe of these sources, in no hurry to be polite."""
    path = folder / "recipe.yaml"
    knobs = {
        "delay_seconds": 0,
        "backoff_seconds": 0.05,
        "min_words": 20,
        "concurrency_per_host": 8,
        **crawl,
    }
    recipe = {
        "name": "tester",
        "author": {"id": "tester", "name": "Tess Tester"},
        "sources": sources,
        "crawl": knobs,
    }
    path.write_text(yaml.safe_dump(recipe))
    return path


def environment(settings: Settings) -> dict[str, str]:
    return {
        **os.environ,
        "TWIN_HOME": str(settings.home),
        "TWIN_MONGO_URI": settings.mongo_uri.get_secret_value(),
        "TWIN_MONGO_DATABASE": settings.mongo_database,
    }


def crawl_command(recipe: Path, *options: str) -> list[str]:
    """The command line of a crawl by an interpreter of its own."""
    return [sys.executable, "-m", "twin.cli", *crawl_arguments(recipe, *options)]


def crawl_arguments(recipe: Path, *options: str) -> list[str]:
    """The same for `tests.forked_twin`."""
    return ["crawl", "run", "--recipe", str(recipe), *options]


def web(url: str, **fields: Any) -> dict[str, Any]:
    """A web source that starts at ``url`` on loopback."""
    source = {"kind": "web", "name": "site", "allow_private": [url.split("/")[2]], **fields}
    if not {"start_urls", "sitemaps", "feeds", "archives"} & fields.keys():
        source["start_urls"] = [f"{url}/"]
    return source


def run_crawl(
    settings: Settings, recipe: Path, *options: str, before: Callable[[int], None] | None = None
) -> Crawled:
    """Crawl to the end; ``before`` is told the process id once the crawl has started."""
    result = recipe.with_name("result.json")
    result.unlink(missing_ok=True)
    process = TwinProcess(
        crawl_arguments(recipe, *options, "--result", str(result)),
        env=environment(settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        if before is not None:
            before(process.pid)
        _, error = process.communicate(timeout=120)
    finally:
        process.kill()
    data = json.loads(result.read_text()) if result.exists() else {}
    return Crawled(process.returncode, error, data)


def documents(settings: Settings, author: str = "tester") -> dict[str, Document]:
    """Path of every document to it, whether its crawl has ended well or not; no cross-posts."""
    states = (DocumentStatus.LIVE, DocumentStatus.HELD)
    return {_path(item.url): item for item in stored_documents(settings, author, states)}


def live(settings: Settings, author: str = "tester") -> dict[str, Document]:
    """Path of every live document to it: what later stages read."""
    with open_warehouse(settings) as warehouse:
        return {_path(item.url): item for item in warehouse.live_documents(author)}


def paths(settings: Settings, author: str = "tester") -> set[str]:
    """Paths of `documents`."""
    return set(documents(settings, author))


def held(settings: Settings) -> dict[str, str]:
    """Path of everything in quarantine to the reason."""
    with open_warehouse(settings) as warehouse:
        return {_path(item.url): item.reason for item in warehouse.quarantined("tester")}


def _path(url: str) -> str:
    return re.sub(r"https?://[^/]+", "", url)
