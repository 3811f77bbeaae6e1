"""The documents of one source: whose they are, what they are called, what they were made of."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.twin.crawl.sources.jobs import job
from twin.crawl.books import Books
from twin.crawl.known_pages import KnownPages
from twin.crawl.page import Article, now
from twin.crawl.source_documents import SourceDocuments
from twin.domain.crawl import Change
from twin.domain.document import Forgotten, document_id
from twin.settings import Settings
from twin.stores.warehouse import Warehouse, open_warehouse

URL = "https://tess.example/tides/"
ARTICLE = Article("Tides", "They come and go.\n")


@pytest.fixture
def warehouse(stores_settings: Settings) -> Iterator[Warehouse]:
    with open_warehouse(stores_settings) as opened:
        opened.prepare()
        yield opened


def documents_of(
    settings: Settings, warehouse: Warehouse, rules: str = "rules 1", **options: Any
) -> SourceDocuments:
    """As a new crawl finds them."""
    one = job(settings, {"kind": "web", "start_urls": [URL]})
    books = Books(one, warehouse, one.recipe.sources[0])
    pages = KnownPages(books.store, "tester", "source", rules, None)
    return SourceDocuments(
        one, warehouse, one.recipe.sources[0], books, pages, rules=rules,
        **{"full": False, **options},
    )  # fmt: skip


def test_what_was_stored_is_made_of_the_same_bytes_by_the_same_rules(
    stores_settings: Settings, warehouse: Warehouse
) -> None:
    documents = documents_of(stores_settings, warehouse)
    document = documents.draft(URL, ARTICLE, now())
    digest = documents.digest("bytes 1")
    assert not documents.is_made_of(document.id, digest)
    assert documents.store([(document, digest)]) == [Change.ADDED]
    for later in (documents, documents_of(stores_settings, warehouse)):
        assert later.is_made_of(document.id, later.digest("bytes 1"))
        assert not later.is_made_of(document.id, later.digest("bytes 2"))
    full = documents_of(stores_settings, warehouse, full=True)
    assert not full.is_made_of(document.id, digest)
    others = documents_of(stores_settings, warehouse, "rules 2")
    assert not others.is_made_of(document.id, others.digest("bytes 1"))
    documents.drop(document.id)
    assert not documents.is_made_of(document.id, digest)


def test_an_article_is_its_writers(stores_settings: Settings, warehouse: Warehouse) -> None:
    documents = documents_of(stores_settings, warehouse)
    own = documents.draft(URL, ARTICLE, now())
    assert (own.author_id, own.author_name, own.source) == ("tester", "Tess Tester", "source")
    assert own.id == document_id("tester", URL)
    guest = documents.draft(URL, Article("Tides", "Text.", byline="Gus Guest"), now())
    assert (guest.author_id, guest.author_name) == ("gus-guest", "Gus Guest")
    assert guest.id == document_id("gus-guest", URL)


def test_a_page_keeps_the_name_it_was_stored_under(
    stores_settings: Settings, warehouse: Warehouse
) -> None:
    documents = documents_of(stores_settings, warehouse)
    other = URL.replace("https://", "http://www.").rstrip("/")
    assert documents.name(other) == other
    documents.store([(documents.draft(URL, ARTICLE, now()), documents.digest("bytes"))])
    documents.keep_name(URL)
    assert documents.name(other) == URL
    assert documents_of(stores_settings, warehouse).name(other) == URL


def test_what_was_forgotten_keeps_its_name_too(
    stores_settings: Settings, warehouse: Warehouse
) -> None:
    """Or another way to link it would bring it back."""
    identity = document_id("tester", URL)
    warehouse.forget(
        Forgotten(id=identity, author_id="tester", url=URL, reason="asked", when=now())
    )
    documents = documents_of(stores_settings, warehouse)
    assert identity in documents.forgotten
    assert documents.name(URL.replace("https:", "http:")) == URL
