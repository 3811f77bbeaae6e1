"""Feeds and their items."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.twin.crawl.feeds import TEXT, atom, rss, rss_item
from twin.crawl.formats.feed import NoFeedError, feed_items, read_feed_item

URL = "https://e.org/posts/pods"


def test_an_rss_item_is_an_article() -> None:
    body = (
        f"<p>{TEXT}</p><h2>How</h2><pre><code class='language-python'>x = 1\n\ny = 2</code></pre>"
    )
    feed = rss(
        rss_item("Why &amp; How", URL, body, creator="Tess Tester", categories=("ops", "pods")),
        rss_item("Other", f"{URL}2", body),
    )
    one, other = feed_items(feed.encode())
    assert one.link == URL and one.is_whole(URL)
    article = read_feed_item(one.body, URL)
    assert article.title == "Why & How" and article.byline == "Tess Tester"
    assert article.published == datetime(2026, 3, 1, 8, tzinfo=UTC)
    assert article.tags == ("ops", "pods") and article.language == "en"
    assert "## How" in article.content and "```python\nx = 1\n\ny = 2\n```" in article.content
    assert "author might have said" in article.content
    assert b"Other" not in one.body and other.link == f"{URL}2"


def test_an_item_stays_the_same_while_others_come_and_the_feed_is_built_anew() -> None:
    item = rss_item("A", URL, f"<p>{TEXT}</p>")
    before = feed_items(rss(item, built="Mon, 01 Jan 2026 00:00:00 GMT").encode())
    news = rss_item("New", f"{URL}3", f"<p>{TEXT}</p>")
    after = feed_items(rss(news, item, built="Tue, 02 Jan 2026 00:00:00 GMT").encode())
    assert before[0].body == after[1].body


def test_a_title_that_is_repeated_is_left_out_and_a_licence_is_read() -> None:
    """Medium's feeds begin with the title as a heading."""
    body = f"<h3>Why Pods</h3><h4>And how</h4><p>{TEXT}</p><h3>Why Pods</h3><p>{TEXT}</p>"
    by = "https://creativecommons.org/licenses/by/4.0/"
    one = rss_item("Why Pods", URL, body)
    own = one.replace(
        "<pubDate>", f"<creativeCommons:license>{by}</creativeCommons:license><pubDate>"
    )
    licence = "<cc:license rdf:resource='https://e.org/by' />"
    feed = rss(one, own).replace("<language>", f"{licence}<language>").replace(
        "<rss ", '<rss xmlns:cc="http://web.resource.org/cc/" xmlns:rdf="http://rdf.example/" '
        'xmlns:creativeCommons="http://backend.userland.com/creativeCommonsRssModule" ',
    )  # fmt: skip
    first, second = (read_feed_item(item.body, URL) for item in feed_items(feed.encode()))
    assert first.content.startswith("#### And how\n\n") and first.content.count("Why Pods") == 1
    assert (first.licence, second.licence) == ("https://e.org/by", by)


@pytest.mark.parametrize("kind", ["html", "xhtml"])
def test_an_atom_entry_is_an_article(kind: str) -> None:
    (entry,) = feed_items(atom("A title", URL, f"<p>{TEXT}</p><p>Its end.</p>", kind).encode())
    assert entry.link == URL and entry.is_whole(URL)
    article = read_feed_item(entry.body, URL)
    assert article.title == "A title" and article.byline == "Guest Writer"
    assert article.published == datetime(2026, 3, 1, 8, tzinfo=UTC)
    assert article.modified == datetime(2026, 3, 2, 8, tzinfo=UTC)
    assert article.language == "de" and article.tags == ("ops",)
    assert "Its end." in article.content


@pytest.mark.parametrize(
    "end",
    [
        "<p>and so on […]</p>",
        "<p>and so on...</p>",
        '<p>and <a href="https://e.org/posts/pods/?utm_source=rss">Read more</a></p>',
        '<p><a href="https://e.org/posts/pods">Continue reading Why Pods →</a></p>',
        '<p><a href="http://www.e.org/posts/pods/">Why Pods</a></p>',
    ],
)
def test_an_item_that_ends_in_a_link_to_its_rest_is_not_whole(end: str) -> None:
    (item,) = feed_items(rss(rss_item("A", URL, f"<p>{TEXT}</p>{end}")).encode())
    assert not item.is_whole(URL) and not item.is_whole(URL, trusted=True)


@pytest.mark.parametrize(
    "end",
    [
        '<p>The post <a href="https://e.org/posts/pods">A</a> appeared first on E.</p>',
        '<img width="1" height="1" src="https://medium.com/_/stat?event=x"/>',
        '<p>See <a href="https://elsewhere.org/">this</a></p>',
        '<p><a href="https://e.org/posts/pods">I said here</a> what I think of it all, again.</p>',
    ],
)
def test_other_ends_are_ends(end: str) -> None:
    (item,) = feed_items(rss(rss_item("A", URL, f"<p>{TEXT}</p>{end}")).encode())
    assert item.is_whole(URL)
    content = read_feed_item(item.body, URL).content
    assert "appeared first" not in content and "_/stat" not in content


def test_short_items_and_descriptions_are_whole_only_if_the_recipe_says_so() -> None:
    (short,) = feed_items(rss(rss_item("A", URL, "<p>Only a few words.</p>")).encode())
    assert not short.is_whole(URL) and short.is_whole(URL, trusted=True)
    (item,) = feed_items(rss(rss_item("A", URL, "", description=f"<p>{TEXT}</p>")).encode())
    assert not item.is_whole(URL) and item.is_whole(URL, trusted=True)


def test_the_feeds_own_name_is_no_byline() -> None:
    (item,) = feed_items(rss(rss_item("A", URL, TEXT, creator="The Feed")).encode())
    assert read_feed_item(item.body, URL).byline is None


@pytest.mark.parametrize(
    "body", [b"", b"<html><body>no</body></html>", b"\x00\xff", b"{}", b"<rss", b"plain"]
)
def test_what_is_no_feed(body: bytes) -> None:
    if body == b"<rss":
        assert feed_items(b"<rss") == []  # a feed that was cut off has no items
        return
    with pytest.raises(NoFeedError):
        feed_items(body)


def test_entities_are_neither_expanded_nor_fetched(tmp_path: Path) -> None:
    """A billion laughs take no memory, and no file of this machine becomes a text."""
    secret = tmp_path / "secret"
    secret.write_text("the secret word")
    laughs = "".join(
        f'<!ENTITY l{n} "{"".join(f"&l{n - 1};" for _ in range(10))}">' for n in range(1, 10)
    )
    bomb = (
        f'<!DOCTYPE rss [<!ENTITY l0 "lol">{laughs}<!ENTITY file SYSTEM "{secret.as_uri()}">]>'
        f"<rss><channel><item><link>{URL}</link><title>&file; &l9;</title>"
        f"<description>&l9;&file;</description></item></channel></rss>"
    )
    for item in feed_items(bomb.encode()):
        assert len(item.body) < 10_000 and b"secret word" not in item.body
        assert len(item.summary) < 10_000


def test_the_feed_of_the_real_blog_only_announces(shared: Path) -> None:
    items = feed_items((shared / "sites/lilianweng.github.io/posts/index.xml").read_bytes())
    assert len(items) >= 50
    assert not any(item.is_whole(item.link or "") for item in items)
