"""What of an answer its sources support, with the real embedder."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from twin.domain.answer import Passage
from twin.models.embedder import load_embedder
from twin.rag.citations import Citer, Citing
from twin.rag.support import SupportVerifier
from twin.settings import Settings

PODS = "A pod states what it needs.\n\nEvery job is a pod. A killed pod starts again after 30 s."
CRAWL = "The crawler waits a second between two pages of one host."
REFUSAL = "I have not written about that."


def passage(title, text):
    return Passage(
        rank=1, score=1.0, chunk_id=title, document_id=title, revision="r", url="u", title=title,
        text=text,
    )  # fmt: skip


SOURCES = (passage("Crawling", CRAWL), passage("Pods", PODS))


@pytest.fixture(scope="module")
def citer():
    return Citer(SupportVerifier(load_embedder("all-minilm-l6-v2", Settings())))


def test_a_supported_sentence_quotes_the_sentence_of_its_source(citer):
    answer = "Yes.  Every job is a pod.\nBananas are rich in potassium and taste sweet 🍌."
    pods, bananas = citer.cite(answer, SOURCES)
    assert answer[pods.start : pods.end] == "Every job is a pod."
    assert pods.supported
    [citation] = pods.citations
    assert citation.source == 2
    assert citation.quote == "Every job is a pod."
    assert PODS[citation.start : citation.end] == citation.quote
    assert answer[bananas.start : bananas.end].endswith("sweet 🍌.")
    assert (bananas.supported, bananas.citations) == (False, ())


def test_the_quotation_is_the_sentence_that_supports_most(citer):
    [found] = citer.cite("When a pod is killed, it starts again after 30 s.", SOURCES)
    assert found.citations[0].quote == "A killed pod starts again after 30 s."


def test_without_sources_nothing_is_supported(citer):
    [found] = citer.cite("Every job is a pod.", ())
    assert not found.supported


def test_a_source_that_supports_by_its_title_alone_is_quoted_without_words(citer):
    [found] = citer.cite("Every job is a pod.", (passage("Every job is a pod.", ""),))
    assert (found.citations[0].quote, found.citations[0].source) == ("", 1)


def cited(citer, answer, begun):
    async def run(threads):
        citing = Citing(citer, SOURCES, threads, refusal=REFUSAL)
        for _ in range(begun):
            citing.begin()
        return await citing.end(answer)

    with ThreadPoolExecutor(1) as threads:
        return asyncio.run(run(threads))


def test_sources_made_ready_before_change_nothing(citer):
    answer = "Every job is a pod."
    assert cited(citer, answer, 0) == cited(citer, answer, 2) == citer.cite(answer, SOURCES)


def test_a_refusal_claims_nothing_and_without_a_citer_nothing_is_checked(citer):
    assert cited(citer, REFUSAL, 1) == ()
    assert cited(None, "Every job is a pod.", 1) == ()
