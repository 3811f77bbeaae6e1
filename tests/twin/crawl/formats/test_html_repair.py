"""Mending HTML before extraction."""

from pathlib import Path

from lxml.html import document_fromstring, fragment_fromstring, tostring

from tests.twin.crawl.site_server import article
from twin.crawl.formats.html import read_html
from twin.crawl.formats.html_repair import repair


def repaired(html: str) -> str:
    return tostring(repair(fragment_fromstring(html)), encoding="unicode")


def test_anchor_signs_leave_headings() -> None:
    heading = (
        '<div><h2>Motivation<a hidden href="#m">#</a></h2><h3><a href="/x">Linked</a></h3></div>'
    )
    assert repaired(heading) == ('<div><h2>Motivation</h2><h3><a href="/x">Linked</a></h3></div>')


def test_an_unclosed_figure_gives_its_text_back() -> None:
    rest = "<h2>What Follows</h2>" + "<p>A paragraph of the article, long enough to matter.</p>" * 5
    html = article("Cut", body=f'<figure><img src="a.png"><figcaption>A</figcaption>{rest}')
    assert "## What Follows" in read_html(html, "https://e.org/cut").content
    small = '<div><figure><img src="a.png"><figcaption><p>Caption</p></figcaption></figure></div>'
    assert repaired(small) == small


def test_real_posts_are_kept_nearly_whole(shared: Path) -> None:
    """Words of the extracted text over words of the post's own container, references included."""
    shares = {}
    for file in sorted((shared / "sites/lilianweng.github.io/posts").glob("20*/index.html")):
        html = file.read_text()
        container = document_fromstring(html.encode()).xpath(
            '//div[contains(@class, "post-content")]'
        )[0]
        for script in container.xpath(".//script"):
            script.drop_tree()
        kept = len(read_html(html, f"https://e.org/{file.parent.name}/").content.split())
        shares[file.parent.name] = kept / len(container.text_content().split())
    assert min(shares.values()) > 0.8, shares
    assert sum(shares.values()) / len(shares) > 0.92
