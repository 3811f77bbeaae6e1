"""Telling formats apart, by names and where servers are vague."""

import pytest

from tests.twin.crawl.formats.pages import words
from twin.crawl.formats.media_types import media_type_of, settled_type
from twin.crawl.page import Page, UnusableError
from twin.crawl.read_article import read_article
from twin.recipes import CrawlSection


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b.MD", "text/markdown"), ("x.pdf", "application/pdf"), ("x.py", "text/x-source-code"),
        ("deep/Makefile", "text/x-source-code"), ("CMakeLists.txt", "text/x-source-code"),
        ("x.zip", ".zip"), ("LICENSE", "no suffix"), ("x.txt", "text/plain"),
    ],
)  # fmt: skip
def test_by_name(name: str, expected: str) -> None:
    assert media_type_of(name) == expected


@pytest.mark.parametrize(
    ("said", "url", "body", "expected"),
    [
        ("text/plain", "https://e.org/README.md", b"x", "text/markdown"),
        ("text/plain", "https://e.org/page.html", b"<p>", "text/plain"),
        ("text/plain", "https://e.org/talk.srt", b"1", "application/x-subrip"),
        ("application/octet-stream", "https://e.org/get?id=1", b"%PDF-1.4", "application/pdf"),
        ("application/octet-stream", "https://e.org/a%20b.docx", b"PK",
         "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("application/octet-stream", "https://e.org/x", b"x", "application/octet-stream"),
        ("text/html", "https://e.org/x.pdf", b"%PDF-", "text/html"),
    ],
)  # fmt: skip
def test_where_servers_are_vague(said: str, url: str, body: bytes, expected: str) -> None:
    assert settled_type(said, url, body) == expected


def test_reading_goes_by_it() -> None:
    text = f"# Tides\n\n{words()}".encode()
    limits = CrawlSection()
    article = read_article(Page("https://e.org/README.md", text, "text/plain"), limits)
    assert article.title == "Tides"
    article = read_article(Page("https://e.org/notes", text, "text/plain"), limits)
    assert article.content.startswith("The tide")
    with pytest.raises(UnusableError, match=r"image/png: neither HTML, Markdown nor another"):
        read_article(Page("https://e.org/x", b"x", "image/png"), limits)


def test_a_text_that_unpacks_to_more_than_a_page_may_have_is_refused() -> None:
    from tests.twin.crawl.formats.pdfs import bytes_of, report

    body = bytes_of(report(paragraphs=60))
    limits = CrawlSection(max_page_bytes=len(body))
    with pytest.raises(UnusableError, match="bytes of text, more than"):
        read_article(Page("https://e.org/x", body, "application/pdf"), limits)
