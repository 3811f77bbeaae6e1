"""Which URLs belong to a source, and what they are called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.crawl.web.site import HostCopies, Site
from twin.crawl.web.urls import canonical, page_number, same_page
from twin.recipes import WebSource


def source(**fields: object) -> WebSource:
    return WebSource.model_validate({"kind": "web", "name": "s", **fields})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://Example.org", "https://example.org/"),
        ("https://example.org:443/a#part", "https://example.org/a"),
        ("http://example.org:8080/a", "http://example.org:8080/a"),
        ("https://e.org/a?utm_source=x&id=7&fbclid=q", "https://e.org/a?id=7"),
        ("https://e.org/a?b=%C3%BC&c=", "https://e.org/a?b=%C3%BC&c="),
        ("https://[::1]:8000/a", "https://[::1]:8000/a"),
    ],
)
def test_canonical_urls(url: str, expected: str) -> None:
    assert canonical(url) == expected
    assert canonical(expected) == expected


@given(
    st.from_regex(
        r"https?://[A-Za-z]{1,9}\.org(/[\w%~.-]{0,9}){0,3}(\?[\w=&]{0,20})?", fullmatch=True
    )
)
def test_a_canonical_url_is_its_own(url: str) -> None:
    assert canonical(canonical(url)) == canonical(url)


def test_pages_have_numbers_of_their_own_whichever_way_they_are_spelled() -> None:
    urls = [f"https://e.org/a/{number}" for number in range(10_000)]
    assert len({page_number(url) for url in urls}) == len(urls)
    assert page_number("http://www.e.org/a/7/") == page_number(urls[7]) < 2**64


def test_same_page_looks_past_scheme_www_and_trailing_slash() -> None:
    assert same_page("http://www.e.org/a/", "https://e.org/a")
    assert not same_page("https://e.org/a", "https://e.org/b")
    assert not same_page("https://e.org/a?id=1", "https://e.org/a?id=2")


def test_a_copy_is_fetched_from_but_never_named() -> None:
    copies = HostCopies({"Blog.example": "http://127.0.0.1:8099/mirror/"})
    assert copies.fetch_url("https://blog.example/a?b=1") == "http://127.0.0.1:8099/mirror/a?b=1"
    assert copies.fetch_url("https://blog.example") == "http://127.0.0.1:8099/mirror/"
    assert copies.fetch_url("https://other.example/a") == "https://other.example/a"
    assert copies.public_url("http://127.0.0.1:8099/mirror/a?b=1") == "https://blog.example/a?b=1"
    assert copies.public_url("http://127.0.0.1:8099/mirrored") == "http://127.0.0.1:8099/mirrored"
    assert copies.addresses == ("127.0.0.1:8099",)


def test_a_site_keeps_to_its_hosts_and_patterns() -> None:
    site = Site(
        source(
            start_urls=["https://www.e.org/"], include=["/posts/."], exclude=[r"\.pdf$"],
            hosts={"e.org": "http://127.0.0.1:1"},
        )
    )  # fmt: skip
    assert site.may_fetch("https://e.org/posts/a") and site.may_fetch("https://www.e.org/about")
    assert not site.may_fetch("https://e.org/a.pdf")
    assert not site.may_fetch("https://blog.e.org/") and not site.may_fetch(
        "https://evil.org/e.org"
    )
    assert site.may_be_document("https://e.org/posts/a")
    assert not site.may_be_document("https://e.org/posts/")
    assert site.canonical("http://127.0.0.1:1/posts/a#x") == "https://e.org/posts/a"
    assert site.host_names == ["e.org"]


def test_without_include_every_page_may_be_a_document_and_none_is_expected() -> None:
    site = Site(source(feeds=["https://e.org/feed"]))
    assert site.may_be_document("https://e.org/x") and not site.is_expected("https://e.org/x")
