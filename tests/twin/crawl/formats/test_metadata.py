"""What pages say about their articles."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml.html import document_fromstring

from twin.crawl.formats.metadata import Metadata, read_metadata

URL = "https://e.org/2021/03/04/on-rivers/"


def read(head: str = "", body: str = "", url: str = URL) -> Metadata:
    page = f'<html lang="en-GB"><head>{head}</head><body>{body}</body></html>'
    return read_metadata(document_fromstring(page), url)


def ld(**data: object) -> str:
    text = json.dumps({"@graph": [{"@type": "WebSite"}, {"@type": "BlogPosting", **data}]})
    return f'<script type="application/ld+json">{text}</script>'


def ld_of(data: object) -> str:
    return f'<script type="application/ld+json">{json.dumps(data)}</script>'


SITE = "<meta property='og:site_name' content='The Weir'>"


@pytest.mark.parametrize(
    ("head", "body", "title"),
    [
        ("<title>On Rivers | The Weir</title>", "<h1>On Rivers</h1>", "On Rivers"),
        ("<title>On Rivers - Weir</title><meta property='og:site_name' content='Weir'>", "",
         "On Rivers"),
        ("<title>Rivers - a history</title>", "", "Rivers - a history"),
        (ld(headline="On &amp; Rivers"), "<h1>The Weir</h1>", "On & Rivers"),
        ("<meta property='og:title' content='On Rivers and Weirs'>",
         "<h1>On Rivers</h1><h1>On Rivers and Weirs</h1>", "On Rivers and Weirs"),
        (ld(headline="On Rivers") + "<title>On Rivers - by Ines - The Weir Letters</title>",
         "<h1>The Weir Letters</h1><h1>On Rivers</h1>", "On Rivers"),
        ("<meta name='og:title' value='On Rivers'>", "", "On Rivers"),
        ("", "<h1>Only</h1>", "Only"),
        ("", "", None),
    ],
)  # fmt: skip
def test_titles(head: str, body: str, title: str | None) -> None:
    assert read(head, body).title == title


@pytest.mark.parametrize(
    ("head", "body", "byline"),
    [
        (ld(author=[{"name": "Ines Marsh"}, {"name": "K. Du"}]), "", "Ines Marsh, K. Du"),
        (ld(author="By Ines Marsh"), "", "Ines Marsh"),
        (ld(author={"@id": "#ines"}) + ld_of({"@type": "Person", "@id": "#ines",
         "name": "Ines Marsh"}), "", "Ines Marsh"),
        (ld(author=[{"@id": "#nobody"}, {"@id": ["#x"]}]), "", None),
        (SITE + ld(author={"@type": "Organization", "name": "The Weir"}), "", None),
        (ld(author="The Weir", publisher={"@type": "Organization", "name": "The Weir"})
         + "<meta name='author' content='Ines Marsh'>", "", "Ines Marsh"),
        (SITE + ld(author={"@type": "Person", "name": "The Weir"}), "", "The Weir"),
        ("<meta name='author' content='Ines Marsh'>", "", "Ines Marsh"),
        ("<meta name='citation_author' content='Marsh, Ines'>"
         "<meta name='citation_author' content='Du, Ken'>", "", "Ines Marsh, Ken Du"),
        ("<meta property='article:author' content='https://f.com/ines'>",
         "<a rel='author'>Ines Marsh</a>", "Ines Marsh"),
        ("", "<p class='byline'>Von Ines Marsh | 3. März</p>", "Ines Marsh"),
        ("", "<div class='post-author'>Written by: Ines Marsh on 3 May</div>", "Ines Marsh"),
        ("", "<p class='byline'>It was in the year 1999 that all of this began</p>", None),
        ("", "", None),
    ],
)  # fmt: skip
def test_bylines(head: str, body: str, byline: str | None) -> None:
    assert read(head, body).byline == byline


@pytest.mark.parametrize(
    ("head", "body", "expected"),
    [
        (ld(datePublished="2020-05-06T07:08:09+02:00"), "", "2020-05-06T05:08:09"),
        ("<meta property='article:published_time' content='2020-05-06'>", "", "2020-05-06"),
        ("<meta name='date' content='Wed, 06 May 2020 07:08:09 GMT'>", "", "2020-05-06T07:08:09"),
        ("", "<time datetime='2020-05-06'>x</time>", "2020-05-06"),
        ("", "<span class='post-date'>May 6th, 2020</span>", "2020-05-06"),
        ("", "<span class='date'>6 May 2020</span>", "2020-05-06"),
        ("<meta name='date' content='0001-01-01'>", "", "2021-03-04"),
        ("", "<time>yesterday</time>", "2021-03-04"),
    ],
)
def test_dates(head: str, body: str, expected: str) -> None:
    """The last two fall back on the date in the address."""
    assert read(head, body).published == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_what_else_a_page_says() -> None:
    head = (
        "<link rel='canonical' href='/a/?utm_source=x'><meta name='robots' content='NoAI, noindex'>"
        "<meta name='tdm-reservation' content='1'><meta property='article:tag' content='weirs'>"
        "<meta property='article:tag' content='rivers'>"
        + ld(dateModified="2021-01-02", articleBody="<p>One &amp; two.</p>")
    )
    body = "<h1>T</h1><p class='subtitle'>Below</p><a rel='license' href='/by'>CC</a>"
    found = read(head, body)
    assert found.subtitle == "Below" and found.language == "en"
    assert found.tags == ("weirs", "rivers") and found.licence == "https://e.org/by"
    assert found.reserved == ("noai", "noindex", "tdm")
    assert found.modified == datetime(2021, 1, 2, tzinfo=UTC)
    assert found.canonical_url == "https://e.org/a/"
    assert found.body is not None and found.body.split() == ["One", "&", "two."]


def test_a_subtitle_is_below_the_title_and_not_elsewhere() -> None:
    teasers = "<p>Text.</p>" * 3 + "<div class='x'></div>" * 9 + "<p class='subtitle'>Other</p>"
    assert read("", f"<h1>T</h1>{teasers}").subtitle is None
    card = "<h4 class='base-main-card__subtitle'>Keeper of piers | Author of two books</h4>"
    assert read("", f"<h1>T</h1>{card}").subtitle is None
    assert read("", f"<h1>T</h1>{card}<p class='subtitle'>Below</p>").subtitle == "Below"


def test_broken_data_is_no_data() -> None:
    for text in ("{", "[" * 5000, '{"@type": 5}', '{"@type":"Article","author":[[{}]]}'):
        script = f'<script type="application/ld+json">{text}</script>'
        assert read(script, "<h1>T</h1>").title == "T"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["@type", "name", "url", "@graph"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "headline",
                "author",
                "datePublished",
                "keywords",
                "articleBody",
                "license",
                "inLanguage",
                "publisher",
                "mainEntity",
            ]
        ),
        JSON,
    )
)
def test_any_data_is_read_without_error(data: dict[str, object]) -> None:
    script = json.dumps({"@type": "Article", **data}).replace("<", "\\u003c")
    found = read(f'<script type="application/ld+json">{script}</script>', "<h1>T</h1>")
    assert found.title is None or found.title.strip()
