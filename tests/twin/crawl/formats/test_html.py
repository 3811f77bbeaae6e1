"""HTML pages as articles."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.twin.crawl.site_server import article
from twin.crawl.formats import html as html_article
from twin.crawl.formats.html import read_html, restore_formulas
from twin.crawl.page import ListingError, Page, UnusableError
from twin.crawl.read_article import read_article
from twin.recipes import CrawlSection

URL = "https://e.org/posts/pods/"
CODE = "def f(x):\n    if x:\n        return x ** 2\n\n    return None"


def test_text_and_metadata_of_a_page() -> None:
    head = (
        '<link rel="canonical" href="/posts/pods/"><meta name="keywords" content="ops, pods">'
        '<meta property="article:published_time" content="2026-03-01T08:00:00Z">'
    )
    code = f"<pre><code class='language-python'>{CODE}</code></pre>"
    body = f"<h2>How</h2>{code}<ul><li>one</li><li>two</li></ul>"
    found = read_html(article("Why Pods", head=head, body=body), URL)
    assert found.title == "Why Pods" and found.language == "en" and found.tags == ("ops", "pods")
    assert found.published == datetime(2026, 3, 1, tzinfo=UTC)
    assert found.canonical_url == URL
    assert "an author might have said once" in found.content
    assert "## How" in found.content and f"```python\n{CODE}\n```\n" in found.content
    assert "- one\n- two" in found.content
    assert "newsletter" not in found.content and "Home" not in found.content
    assert "# Why Pods" not in found.content


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("/posts/whole/?utm_source=x", "https://e.org/posts/whole/"),
        ("https://www.e.org/a", "https://www.e.org/a"),
        ("https://medium.example/cross-post", None),
        ("http://[broken", None),
        ("", "https://e.org/posts/pods/"),
    ],
)
def test_the_canonical_url_is_one_of_the_same_host(link: str, expected: str | None) -> None:
    html = article("A", head=f'<link rel="canonical" href="{link}">')
    assert read_html(html, URL).canonical_url == expected


def test_a_page_that_breaks_the_extractor_is_refused_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(tree: object) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr(html_article, "repair", broken)
    with pytest.raises(UnusableError, match="the extractor failed: RecursionError: too deep"):
        read_html(article("A"), URL)


def test_deep_nesting_is_no_trouble() -> None:
    deep = "<div>" * 3000 + "deep" + "</div>" * 3000
    try:
        assert read_html(article("Deep", body=deep), URL).title
    except UnusableError as error:
        assert "extractor failed" in str(error) or "no main text" in str(error)


def test_a_page_without_a_date_gets_none() -> None:
    found = read_html(article("Undated", body="<p>In 2019 we went to the sea.</p>"), URL)
    assert found.published is None


def test_a_page_without_text_is_refused() -> None:
    page = Page(URL, b"<html><body><nav><a href='/'>Home</a></nav></body></html>", "text/html")
    with pytest.raises(UnusableError, match="words, fewer than"):
        read_article(page, CrawlSection())
    with pytest.raises(UnusableError):
        read_html("<!-- nothing -->", URL)


def test_listings_are_refused_only_where_nobody_expects_an_article() -> None:
    html = article("Tags")
    with pytest.raises(ListingError):
        read_html(html, "https://e.org/tags/", listings=True)
    assert read_html(html, "https://e.org/tags/").title == "Tags"


@pytest.mark.parametrize(
    ("escaped", "expected"),
    [
        (r"let $\mathbf{x}\_0 \sim q(x\_{i, t})$ be", r"let $\mathbf{x}_0 \sim q(x_{i, t})$ be"),
        (r"$\\\_$ was escaped before", r"$\_$ was escaped before"),
        (r"$$a\_1 \[b\]$$", "$$a_1 [b]$$"),
        (r"costs $5 and a\_b costs $6", r"costs $5 and a\_b costs $6"),
        (r"`$a\_b$` and \[note\]", r"`$a\_b$` and \[note\]"),
        ("```\n$a\\_b$\n```\n", "```\n$a\\_b$\n```\n"),
    ],
)
def test_formulas_are_latex_again(escaped: str, expected: str) -> None:
    assert restore_formulas(escaped) == expected


def test_real_posts_keep_code_formulas_and_tables(shared: Path) -> None:
    posts = shared / "sites" / "lilianweng.github.io" / "posts"

    def read(name: str) -> str:
        file = posts / name / "index.html"
        return read_html(file.read_text(), f"https://lilianweng.github.io/posts/{name}/").content

    code = read("2017-07-22-stock-rnn-part-2")
    assert "class RNNConfig():\n   # ... old ones\n   embedding_size = 3" in code
    assert r"$(p_{i, tw}, p_{i, tw+1}, \dots, p_{i, (t+1)w-1})$" in code
    diffusion = read("2021-07-11-diffusion-models")
    assert r"$\mathbf{x}_0 \sim q(\mathbf{x})$" in diffusion
