"""HTML pages as articles."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml.html import document_fromstring

from tests.twin.crawl.site_server import article
from twin.crawl.formats import html as html_article
from twin.crawl.formats.html import extract_html, read_html
from twin.crawl.page import ListingError, Page, UnusableError
from twin.crawl.read_article import read_article
from twin.recipes import CrawlSection

if TYPE_CHECKING:
    from lxml.html import HtmlElement

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
    assert found.published == datetime(2026, 3, 1, 8, tzinfo=UTC)
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

    monkeypatch.setattr(html_article, "rewrite", broken)
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
    with pytest.raises(UnusableError, match="no main text"):
        read_article(page, CrawlSection())
    with pytest.raises(UnusableError):
        read_html("<!-- nothing -->", URL)


def test_listings_are_refused_only_where_nobody_expects_an_article() -> None:
    html = article("Tags")
    with pytest.raises(ListingError):
        read_html(html, "https://e.org/tags/", listings=True)
    assert read_html(html, "https://e.org/tags/").title == "Tags"


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


def test_ten_real_posts_keep_code_tables_and_formulas(shared: Path) -> None:
    posts = sorted((shared / "sites/lilianweng.github.io/posts").glob("20*/index.html"))
    counts = {"code": 0, "tables": 0, "formulas": 0}
    for file in posts[:: max(1, len(posts) // 10)][:10]:
        page = file.read_text()
        container = document_fromstring(page.encode()).xpath(
            '//div[contains(@class, "post-content")]'
        )[0]
        content = read_html(page, f"https://lilianweng.github.io/posts/{file.parent.name}/").content
        for pre in container.xpath(".//pre"):
            code = pre.text_content().strip("\n").rstrip()
            lines = "\n".join(line.rstrip() for line in code.split("\n"))
            assert lines in content, file
            counts["code"] += 1
        for table in container.xpath(".//table[not(.//pre)]"):
            cells = [" ".join(c.text_content().split()) for c in table.xpath(".//td|.//th")]
            words = [cell for cell in cells if cell.isalnum()]
            assert all(word in content for word in words), file
            counts["tables"] += 1
        text = "".join(container.itertext())
        for formula in re.findall(r"(?<![$\\])\$[^\s$][^$\n]{0,80}[^\s$]\$(?!\d)", text):
            counts["formulas"] += 1
            assert " ".join(formula.split()) in content or not_in_prose(container, formula), file
    assert counts["code"] >= 5 and counts["tables"] >= 2 and counts["formulas"] >= 100, counts


def not_in_prose(container: "HtmlElement", formula: str) -> bool:
    """Formulas in captions are left out, and so is what the dollars of two prices enclose."""
    blocks = container.xpath(".//p[not(ancestor::figure)]|.//li[not(ancestor::figure)]")
    return not any(formula in block.text_content() for block in blocks)


def test_images_of_an_article_that_is_called_a_newsletter() -> None:
    picture = '<figure><img src="/tide.png" alt="A tide"></figure>'
    text = "<p>A paragraph of the letter, in plain words and at some length, about the tides.</p>"
    page = (
        f"<html><body><article class='newsletter-post post'><h1>Tides</h1>{text * 3}{picture}"
        f"{text}<div class='newsletter-box'><img src='/ad.png'></div>{text}</article></body></html>"
    )
    found = read_html(page, URL, links=True).content
    assert "![A tide](https://e.org/tide.png)" in found and "ad.png" not in found


def test_images_before_and_after_the_text_are_part_of_it() -> None:
    text = "<p>A paragraph of the letter, in plain words and at some length, about the tides.</p>"
    lead = "<div class='img'><figure><img src='/lead.png' alt='Lead'><figcaption>At low tide."
    around = "<div class='avatar'><img src='/me.png'></div><p>By Ines <img src='/tiny.png'></p>"
    page = (
        "<html><body><img src='/banner.png'><div class='top'><img src='/logo.png'><a>Home</a></div>"
        f"<div class='entry'><h1>Tides</h1>{around}{lead}</figcaption></figure></div>{text * 4}"
        "<p><a href='/b'><img src='/last.png' alt='Last'></a></p></div>"
        "<div class='related'><img src='/other.png'></div></body></html>"
    )
    found = read_html(page, URL, links=True).content
    assert re.findall(r"e\.org/(\w+)\.png", found) == ["lead", "last"]
    assert found.startswith('![Lead](https://e.org/lead.png "At low tide.")\n\nA paragraph')
    assert found.endswith("![Last](https://e.org/last.png)\n")


def test_a_saved_medium_page(shared: Path) -> None:
    page = (shared / "sites/medium.com/medium-1.html").read_text()
    found = extract_html(page, None)
    article = found.article
    assert article.title == "The Open Journalism Project: Better Student Journalism"
    assert article.byline == "Pippin Lee"
    assert article.published is not None and article.published.date().isoformat() == "2015-03-17"
    assert found.stated_url is not None and found.stated_url.startswith(
        "https://medium.com/@pippin"
    )
    assert found.text.count("\n") > 60 and len(found.text.split()) > 2_300
    assert "In late 2011 I sat in the design room" in found.text
    assert "just think it’s pretty cool to share what we’ve learned so far" in found.text  # noqa: RUF001
    for furniture in ("Recommend", "Follow", "Sign in", "Published in", "min read", "Mar 17"):
        assert furniture not in found.text, furniture


def test_a_saved_network_article(shared: Path) -> None:
    page = (shared / "sites/www.linkedin.com/pulse-1.html").read_text()
    found = extract_html(page, None)
    assert found.article.title == "What will set your soul on fire in 2017"
    assert found.article.byline == "Ellyn Shook"
    assert found.article.published == datetime(2016, 12, 19, tzinfo=UTC)
    assert found.text.startswith("I couldn’t resist") and found.text.endswith("new year.")  # noqa: RUF001
    assert "\n7. **Family. Family. Family.** Enough said." in found.article.content
    for furniture in ("Like", "comments", "Share", "Follow", "Tagged in", "December 19"):
        assert furniture not in found.text, furniture


def test_a_saved_note_of_a_newsletter_site(shared: Path) -> None:
    page = (shared / "sites/substack.com/general--substack-app.html").read_text()
    found = extract_html(page, None)
    assert found.article.byline == "Rich Holmes"
    assert found.text.startswith("Google's former CEO says")
    assert "You always own your intellectual property" not in found.text


SNIPPETS = """<p> </p> <article> <table> <tr> <td> </table> <ul> <li> </ul> <pre> <code> </pre> </a>
<a/href='//[x'> <a/href='/x'> <b> <i> </b> <br> <br><br> <h1> </h1> <h2> <blockquote> <math> </math>
<div/class='share'> </div> <annotation/encoding='tex'> <img/src='a'/class='latex'/alt='x_1'> <svg>
<script/type='application/ld+json'>{"@type":["Article"],"author":[[]]}</script> <script> <style>
<!-- <![CDATA[ ]]> &#xD83D; &#0; &amp; <span/class='caption'> <figure> <figcaption> <template>
<body> </html> <base/href='x'> <time/datetime='9999-99-99'> <meta/charset='x'>"""
MARKUP = st.sampled_from(SNIPPETS.replace("/class", " class").split())


@settings(max_examples=150, deadline=None)
@given(st.lists(MARKUP | st.text(max_size=40), max_size=60).map("".join), st.booleans())
def test_mangled_pages_raise_nothing_but_that_they_are_unusable(page: str, listings: bool) -> None:
    prose = "<p>A paragraph that any extractor would take for the text of an article, or so.</p>"
    for text in (page, f"<html><body>{prose * 3}{page}{prose}"):
        try:
            found = extract_html(text, URL, listings=listings)
        except UnusableError:
            continue
        assert found.text.strip() and found.article.content.strip()


def test_pages_are_read_in_threads_as_they_are_alone() -> None:
    """Each thread parses and walks trees of its own; libxml2 must not mix them up."""
    pages = [
        article(f"Title {n}", body=f"<h2>H{n}</h2>" + f"<p>Number {n}, and words.</p>" * 30)
        for n in range(40)
    ]
    alone = [read_html(page, URL) for page in pages]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda page: read_html(page, URL), pages * 3)) == alone * 3


def test_the_text_of_a_page_that_a_script_writes_is_read_from_its_data() -> None:
    body = "First paragraph of the story.\n\nSecond paragraph, which says rather more than that."
    data = json.dumps({"@type": "NewsArticle", "headline": "Told by Data", "articleBody": body})
    page = (
        f'<html><head><script type="application/ld+json">{data}</script></head>'
        '<body><div id="root"></div></body></html>'
    )
    found = extract_html(page, URL)
    assert found.article.title == "Told by Data"
    assert found.article.content == f"{body}\n"
    assert found.text == body.replace("\n\n", "\n")
