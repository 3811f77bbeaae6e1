"""Extraction beside the best-known extractors, on the same labelled pages in the same run."""

import logging
import os
import time
from collections.abc import Callable, Sequence

import html2text
import pytest
import readability
import trafilatura
from lxml.html import fromstring

from tests.bench.extraction.pages import LabelledPage, labelled_pages
from tests.bench.extraction.score import Score, overlap, score
from twin.crawl.formats.html import extract_html
from twin.crawl.page import UnusableError

MIN_PAGES = 60
MIN_SHARE_OF_SPEED = 0.5


def ours(page: str) -> str:
    """The `text` of `twin crawl extract`."""
    try:
        return extract_html(page, None).text
    except UnusableError:
        return ""


def trafilatura_precision(page: str) -> str:
    return trafilatura.extract(page, favor_precision=True, include_comments=False) or ""


def readability_lxml(page: str) -> str:
    summary = readability.Document(page).summary()
    return "\n".join(fromstring(summary).itertext())


def html_to_text(page: str) -> str:
    converter = html2text.HTML2Text()
    converter.ignore_links = converter.ignore_images = converter.ignore_emphasis = True
    return converter.handle(page)


EXTRACTORS: dict[str, Callable[[str], str]] = {
    "ours": ours,
    "trafilatura, precision": trafilatura_precision,
    "readability-lxml": readability_lxml,
    "html2text": html_to_text,
}


@pytest.fixture
def one_core() -> None:
    """All on one core, so that pages/s are those of one."""
    if hasattr(os, "sched_setaffinity"):
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(allowed)})
        yield
        os.sched_setaffinity(0, allowed)
    else:
        yield


@pytest.mark.usefixtures("one_core")
def test_extraction_is_better_than_the_others_and_fast_enough() -> None:
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    logging.getLogger("readability").setLevel(logging.CRITICAL)
    pages = list(labelled_pages())
    assert len(pages) >= MIN_PAGES
    results = {name: measure(extract, pages) for name, extract in EXTRACTORS.items()}
    print(f"\n{len(pages)} labelled pages, 4-token shingles, one core")
    print(f"{'extractor':24} {'precision':>9} {'recall':>7} {'F1':>13} {'pages/s':>8}")
    for name, (result, speed) in results.items():
        print(
            f"{name:24} {result.precision:9.3f} {result.recall:7.3f} "
            f"{result.f1:6.3f} ±{result.error:.3f} {speed:8.1f}"
        )
    ours_score, ours_speed = results["ours"]
    for name, (other, _) in results.items():
        assert name == "ours" or ours_score.f1 >= other.f1, name
    assert ours_speed >= MIN_SHARE_OF_SPEED * results["trafilatura, precision"][1]


def measure(extract: Callable[[str], str], pages: Sequence[LabelledPage]) -> tuple[Score, float]:
    """Score, and pages in a second of CPU time; the first page is for warming up."""
    extract(pages[0].html)
    started = time.process_time()
    texts = [extract(page.html) for page in pages]
    seconds = time.process_time() - started
    found = [overlap(page.gold, text) for page, text in zip(pages, texts, strict=True)]
    return score(found), len(pages) / seconds
