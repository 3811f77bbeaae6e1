"""Crawl jobs of one source, in this process."""

from typing import Any

from tests.twin.crawl.stored import stored_documents
from twin.crawl.run import CrawlOptions, crawl
from twin.domain.document import Document
from twin.domain.result import JobResult
from twin.job import Job
from twin.recipes import Recipe
from twin.settings import Settings
from twin.stores.warehouse import open_warehouse


def job(settings: Settings, source: dict[str, Any], **limits: object) -> Job:
    """A crawl of one source, not yet run."""
    recipe = Recipe.model_validate(
        {
            "name": "tester",
            "author": {"id": "tester", "name": "Tess Tester"},
            "sources": [{"name": "source", **source}],
            "crawl": {"min_words": 20, **limits},
        }
    )
    return Job(recipe, settings, "r1", JobResult(job="crawl run", recipe="tester", run_id="r1"))


def run(settings: Settings, source: dict[str, Any], **limits: object) -> Job:
    """Crawl one source."""
    done = job(settings, source, **limits)
    crawl(done, CrawlOptions())
    return done


def documents(settings: Settings) -> dict[str, Document]:
    """Documents that stand, whether their crawl has ended well or not, by URL."""
    return {item.url: item for item in stored_documents(settings)}


def held(settings: Settings) -> dict[str, str]:
    """What is in quarantine: URL to reason."""
    with open_warehouse(settings) as warehouse:
        return {item.url: item.reason for item in warehouse.quarantined("tester")}


def tally(done: Job) -> dict[str, int]:
    """Pages of the source by what became of them, those that are."""
    sources: Any = done.result.detail["sources"]
    return {key: count for key, count in sources["source"].items() if count}
