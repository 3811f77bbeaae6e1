"""Telling listings from articles."""

from pathlib import Path

import pytest
from lxml.html import HtmlElement, document_fromstring

from tests.twin.crawl.site_server import article
from twin.crawl.formats.listing import is_listing

TEASER = (
    '<article><h2>{0}</h2><p>How {0} came to be, in short.</p><a href="/{0}">more</a></article>'
)
TEASERS = "".join(TEASER.format(name) for name in ("one", "two", "three"))


def page(html: str) -> HtmlElement:
    return document_fromstring(html)


@pytest.mark.parametrize(
    "path",
    [
        "/tags/",
        "/tags/nlp/",
        "/tag/nlp",
        "/category/x/",
        "/archives/",
        "/archive.html",
        "/posts/page/3/",
    ],
)
def test_listings_by_address(path: str) -> None:
    assert is_listing(f"https://e.org{path}", page(article("Any")))


@pytest.mark.parametrize(
    "path", ["/", "/posts/on-tags/", "/archive/2024/a-story/", "/page/about", "/p/search-engines"]
)
def test_articles_by_address(path: str) -> None:
    assert not is_listing(f"https://e.org{path}", page(article("Any")))


def test_a_page_of_teasers_is_a_listing() -> None:
    assert is_listing("https://e.org/", page(f"<html><body>{TEASERS}</body></html>"))


def test_an_article_with_related_teasers_is_an_article() -> None:
    related = f'<a href="/x">x</a></article>{TEASERS}<article>'
    assert not is_listing("https://e.org/a", page(article("Own", words=300, body=related)))


def test_real_blog(shared: Path) -> None:
    blog = shared / "sites" / "lilianweng.github.io"
    for name, expected in {"": True, "posts": True, "archives": True, "posts/page/3": True}.items():
        file = blog / name / "index.html"
        tree = document_fromstring(file.read_bytes())
        assert is_listing(f"https://lilianweng.github.io/{name}/", tree) is expected, name
    posts = sorted((blog / "posts").glob("20*/index.html"))
    assert len(posts) > 40
    for file in posts:
        url = f"https://lilianweng.github.io/posts/{file.parent.name}/"
        assert not is_listing(url, document_fromstring(file.read_bytes())), url
