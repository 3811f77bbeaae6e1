# ruff: noqa: E501 - markup as it is
"""Which parts of a page are taken for its article."""

import json

import pytest

from twin.crawl.formats.furniture import is_boilerplate
from twin.crawl.formats.html import extract_html

SENTENCES = [
    f"Paragraph {n} tells of the {what}, which took years to build and was paid for twice."
    for n, what in enumerate(["bridge", "harbour", "orchard", "archive", "ferry", "barrier"])
]


def text_of(article: str, around: str = "", head: str = "") -> list[str]:
    """Lines of the text that is extracted from a page with a title and this article."""
    page = (
        f"<html><head><title>The Works</title>{head}</head><body><nav><a href='/'>Home</a></nav>"
        f"<div class='page'><h1>The Works</h1><div class='entry-content'>{article}</div>{around}"
        "</div></body></html>"
    )
    return extract_html(page, "https://e.org/works").text.split("\n")


def paragraphs(sentences: list[str]) -> str:
    return "".join(f"<p>{sentence}</p>" for sentence in sentences)


@pytest.mark.parametrize(
    "furniture",
    [
        "<div class='share-bar'><p>Tell all of your friends about this fine story today.</p></div>",
        "<div class='newsletter-signup'><p>Our letter comes to your inbox once every week.</p></div>",
        "<figure><img src='a.png'><figcaption>The bridge as it was seen in 1961.</figcaption></figure>",
        "<p>Read more: <a href='/b'>How the harbour was paid for by the town, twice</a></p>",
        "<aside><h3>Most read</h3><p>A story about something else that has words in it.</p></aside>",
        "<div style='display:none'><p>This is hidden from every reader of the whole page.</p></div>",
        "<p>Photo: Ines Marsh/Weir Pictures</p>",
    ],
)
def test_furniture_between_paragraphs_is_left_out(furniture: str) -> None:
    body = paragraphs(SENTENCES[:3]) + furniture + paragraphs(SENTENCES[3:])
    assert text_of(body) == SENTENCES


@pytest.mark.parametrize(
    "piece",
    [
        "<p>It rained.</p>",
        "<ul><li>one thing</li><li>another thing</li></ul>",
        "<div>Text right in a division, as some editors write it, without a paragraph.</div>",
        "<pre>make bridge\n  --twice</pre>",
        "<h2>On Harbours</h2>",
        "<blockquote>We would do it again, said the mayor of the town.</blockquote>",
        "<table><tr><th>Year</th><th>Cost</th></tr><tr><td>1961</td><td>12</td></tr></table>",
        "$$ E = m c^2 $$",
    ],
)
def test_what_stands_between_paragraphs_is_kept(piece: str) -> None:
    lines = text_of(paragraphs(SENTENCES[:3]) + piece + paragraphs(SENTENCES[3:]))
    assert lines[:3] == SENTENCES[:3] and lines[-3:] == SENTENCES[3:]
    assert len(lines) > len(SENTENCES)


def test_what_stands_around_the_article_is_left_out() -> None:
    comments = "".join(
        f"<li class='comment'><p>{sentence} Or so I have heard it told by others.</p></li>"
        for sentence in SENTENCES * 2
    )
    teasers = "".join(
        f"<div class='card'><h3><a href='/{n}'>Story {n}</a></h3><p>{sentence[:40]}…</p></div>"
        for n, sentence in enumerate(SENTENCES)
    )
    around = (
        f"<ol id='comments' class='comment-list'>{comments}</ol><div class='related'>{teasers}</div>"
        "<div class='author-bio bio'><p>Ines Marsh has written about rivers for many years.</p></div>"
        "<footer><p>© 2024 The Weir. All rights reserved.</p></footer>"
    )
    before = "<p class='byline'>By Ines Marsh</p><p>3 May 2021</p>"
    assert text_of(before + paragraphs(SENTENCES), around) == SENTENCES


def test_a_heading_over_nothing_goes_and_the_title_is_not_repeated() -> None:
    body = "<h2>The Works</h2>" + paragraphs(SENTENCES) + "<h2>Also of Interest</h2>"
    assert text_of(body) == SENTENCES


def test_lines_between_breaks_are_paragraphs() -> None:
    assert text_of("<br><br>".join(SENTENCES)) == SENTENCES


def test_an_article_that_a_script_is_to_show_is_no_furniture() -> None:
    hidden = f"<div style='visibility: hidden'>{paragraphs(SENTENCES)}</div>"
    assert text_of(hidden) == SENTENCES


def test_data_of_the_page_tells_its_text_from_others() -> None:
    """Nothing in this markup says which half is the article, but its data does."""

    def division(sentences: list[str]) -> str:
        return f"<div class='x'><div class='y'>{paragraphs(sentences)}</div></div>"

    others = [sentence.replace("Paragraph", "Section") for sentence in SENTENCES]
    data = json.dumps({"@type": "NewsArticle", "articleBody": "\n".join(SENTENCES)})
    head = f'<script type="application/ld+json">{data}</script>'
    assert text_of(division(others) + division(SENTENCES), head=head) == SENTENCES


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("By Ines Marsh", True),
        ("3 May 2021", True),
        ("Published 3 May 2021 at 14:00", True),
        ("Sign up for our weekly newsletter", True),
        ("Share this article", True),
        ("© 2024 The Weir", True),
        ("Tags: rivers, weirs", True),
        ("It was first published on 12 June 1999.", False),
        ("Topics that nobody reads are the best ones.", False),
        ("Sign in to the console and open the settings.", False),
        ("By default the job is a pod.", False),
        ("Copyright law is older than the press.", False),
        ("More on this later.", False),
        ("Photography is an art.", False),
    ],
)
def test_lines_that_are_no_text(line: str, expected: bool) -> None:
    assert is_boilerplate(line, len(line.split())) is expected
