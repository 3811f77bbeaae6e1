"""An article over several pages is one document; what merely comes next is another."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.twin.crawl.crawls import Crawl, documents, paths, recipe_file, web
from tests.twin.crawl.site_server import Answer, SiteServer, serve, sitemap
from tests.twin.crawl.test_replay import drop, replay
from tests.twin.crawl.web.test_canonical_claims import home
from twin.crawl.web.part_numbers import goes_on_from, part_of
from twin.settings import Settings

PROSE = {
    1: "The harbour office keeps two ledgers, one for boats that have arrived, one for the others.",
    2: "Most of the trouble of the first year came from code that asked the wrong table politely.",
    3: "When the bell rings at eight the keeper writes it down, and nobody is allowed to erase it.",
    4: "A tide table that nobody corrects is a promise that the sea has never once agreed to keep.",
}


@pytest.fixture
def site() -> Iterator[SiteServer]:
    with serve({}) as running:
        yield running


def part(
    number: int,
    *,
    title: str = "Ledgers",
    canonical: str | None = None,
    next: str | None = None,
    prev: str | None = None,
    body: str = "",
) -> Answer:
    """A page of an article, with prose of its own."""
    links = {"canonical": canonical, "next": next, "prev": prev}
    head = "".join(f'<link rel="{rel}" href="{href}">' for rel, href in links.items() if href)
    text = "".join(f"<p>{PROSE[number]} ({count})</p>" for count in range(3))
    return Answer(
        f"<html lang='en'><head><title>{title}</title>{head}</head><body><article><h1>{title}</h1>"
        f"{text}{body}</article></body></html>",
        validated=True,
    )


def prose_of(content: str) -> list[int]:
    """Which pages' texts are in it, in their order; each must be there once."""
    places = {number: content.find(text) for number, text in PROSE.items()}
    assert all(content.count(f"{text} (0)") <= 1 for text in PROSE.values())
    return sorted((number for number in PROSE if places[number] >= 0), key=places.__getitem__)


def long_article(site: SiteServer) -> None:
    site.routes |= {
        "/": home("/long"),
        "/long": part(1, canonical="/long", next="/long/2"),
        "/long/2": part(2, canonical="/long", next="/long/3", prev="/long"),
        "/long/3": part(3, canonical="/long", prev="/long/2"),
    }


@pytest.mark.parametrize("links", [("/long",), ("/long/3", "/long/2", "/long")])
def test_all_parts_are_one_document(
    crawl: Crawl, site: SiteServer, stores_settings: Settings, tmp_path: Path, links: tuple[str]
) -> None:
    """`multi-page.recipe.md` of the shared cases, by whichever part it is found."""
    long_article(site)
    site.routes["/"] = home(*links)
    done = crawl(web(site.url, include=["/long"]))
    assert done.code == 0, done.error
    (document,) = documents(stores_settings).values()
    assert document.url == f"{site.url}/long" and document.title == "Ledgers"
    assert prose_of(document.content) == [1, 2, 3]
    again = crawl(web(site.url, include=["/long"]))
    assert again.code == 99 and again.tally()["unchanged"] == 1
    site.routes["/long/3"] = part(4, canonical="/long", prev="/long/2")
    assert crawl(web(site.url, include=["/long"])).tally()["changed"] == 1
    (document,) = documents(stores_settings).values()
    assert prose_of(document.content) == [1, 2, 4]
    drop(stores_settings)
    recipe = recipe_file(tmp_path, [web(site.url, include=["/long"])])
    assert replay(stores_settings, recipe).code == 0
    found = documents(stores_settings)
    assert set(found) == {"/long"}, {path: prose_of(one.content) for path, one in found.items()}
    (document,) = documents(stores_settings).values()
    assert prose_of(document.content) == [1, 2, 4]


@pytest.mark.parametrize(
    ("first", "others"),
    [
        ("/post/", ["/post/2/", "/post/3/"]),
        ("/post", ["/post?page=2", "/post?page=3"]),
        ("/post", ["/post?page=1", "/post?page=2"]),
        ("/post.html", ["/post-2.html", "/post-3.html"]),
        ("/post/", ["/post/page/2/", "/post/page/3/"]),
    ],
)
def test_parts_that_only_share_their_title(
    crawl: Crawl, site: SiteServer, stores_settings: Settings, first: str, others: list[str]
) -> None:
    """As WordPress cuts posts: each page is its own canonical one."""
    names = [first, *others]
    site.routes["/"] = home(*names)
    for place, name in enumerate(names):
        site.routes[name] = part(
            place + 1,
            title="Ledgers" if place == 0 else f"Ledgers - Page {place + 1} of 3",
            canonical=name,
            next=names[place + 1] if place < 2 else None,
            prev=names[place - 1] if place else None,
        )
    done = crawl(web(site.url, include=["/post"]))
    assert done.code == 0, done.error
    found = documents(stores_settings)
    assert prose_of(found[first].content) == [1, 2, 3]
    assert set(found) == {first}


def test_posts_that_follow_one_another_stay_apart(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    """By other names, by numbers for names, and by dates."""
    site.routes |= {
        "/": home("/tides", "/ebb", "/posts/1", "/posts/2"),
        "/tides": part(1, title="Tides", canonical="/tides", next="/ebb"),
        "/ebb": part(2, title="Ebb", canonical="/ebb", prev="/tides"),
        "/posts/1": part(3, title="First", canonical="/posts/1", next="/posts/2"),
        "/posts/2": part(4, title="Second", prev="/posts/1"),
    }
    assert crawl(web(site.url, include=["/."])).code == 0
    found = documents(stores_settings)
    assert {path: prose_of(item.content) for path, item in found.items()} == {
        "/tides": [1], "/ebb": [2], "/posts/1": [3], "/posts/2": [4],
    }  # fmt: skip


def test_pages_of_a_blog_are_no_parts(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    """A list of posts, whose pages share the title, and that the reader takes for an article."""
    for number in (1, 2):
        name = "/blog" if number == 1 else f"/blog?page={number}"
        site.routes[name] = Answer(
            f"<html><head><title>Blog</title><meta property='og:type' content='website'>"
            f"<link rel='canonical' href='{name}'><link rel='next' href='/blog?page={number + 1}'>"
            f"</head><body><main><p>{PROSE[number]}</p><p>{PROSE[number]} (1)</p></main></body>"
        )
    site.routes["/"] = home("/blog")
    assert crawl(web(site.url)).code == 0
    assert prose_of(documents(stores_settings)["/blog"].content) == [1]


def test_a_part_that_is_not_there_or_leads_in_a_circle(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    long_article(site)
    site.routes["/long/3"] = Answer(status=404)
    assert crawl(web(site.url, include=["/long$"])).code == 0
    assert prose_of(documents(stores_settings)["/long"].content) == [1, 2]
    site.routes["/long/3"] = part(3, canonical="/long", next="/long/2")
    assert crawl(web(site.url, include=["/long$"])).code == 0
    assert prose_of(documents(stores_settings)["/long"].content) == [1, 2, 3]


def test_notes_of_each_part_are_its_own(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    long_article(site)
    note = '<p>A claim<sup><a href="#fn1" id="r1">1</a></sup>.</p><ol class="footnotes">'
    for number in (1, 2):
        body = f'{note}<li id="fn1">Source {number}. <a href="#r1">↩</a></li></ol>'
        name, follows = ("/long", "/long/2") if number == 1 else ("/long/2", None)
        site.routes[name] = part(number, canonical="/long", next=follows, body=body)
    assert crawl(web(site.url, include=["/long$"])).code == 0
    content = documents(stores_settings)["/long"].content
    assert "[^1]: Source 1." in content and "[^2-1]: Source 2." in content
    assert content.count("[^1]") == 2 and content.count("[^2-1]") == 2


def test_a_mirror_keeps_the_parts_that_it_cannot_join(
    crawl: Crawl, stores_settings: Settings, tmp_path: Path
) -> None:
    """Files have no order: each is a document, and none takes another's place."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    for number, name in ((1, "long.html"), (2, "long-2.html")):
        html = part(number, canonical="https://e.org/long.html", prev="https://e.org/long.html")
        (folder / name).write_text(str(html.body))
    source = {"kind": "folder", "name": "site", "path": str(folder), "url_prefix": "https://e.org/"}
    assert crawl(source).tally() == {"added": 2}
    found = documents(stores_settings)
    assert prose_of(found["/long.html"].content) == [1]
    assert prose_of(found["/long-2.html"].content) == [2]


def test_a_site_map_that_lists_parts(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    long_article(site)
    site.routes["/map.xml"] = sitemap(*(f"{site.url}/long{end}" for end in ("", "/2", "/3")))
    source = web(site.url, sitemaps=[f"{site.url}/map.xml"], follow_links=False)
    assert crawl(source).code == 0
    assert paths(stores_settings) == {"/long"}


@pytest.mark.parametrize(
    ("url", "first", "number"),
    [
        ("https://e.org/a", "e.org/a?", None),
        ("https://e.org/a/2", "e.org/a?", 2),
        ("https://www.e.org/a/2/", "e.org/a?", 2),
        ("https://e.org/a/page/3/", "e.org/a?", 3),
        ("https://e.org/a?page=2&x=1", "e.org/a?x=1", 2),
        ("https://e.org/a-2.html", "e.org/a.html?", 2),
        ("https://e.org/a_2.htm", "e.org/a.htm?", 2),
        ("https://e.org/2024", "e.org/2024?", None),
        ("https://e.org/a?p=1234", "e.org/a?p=1234", None),
    ],
)
def test_numbers_of_addresses(url: str, first: str, number: int | None) -> None:
    assert part_of(url) == (first, number)


@pytest.mark.parametrize(
    ("url", "previous", "named"),
    [
        ("https://e.org/a/2", "https://e.org/a", "https://e.org/a"),
        ("https://e.org/a/3", "https://e.org/a/2", "https://e.org/a/2"),
        ("https://e.org/a/3", "https://e.org/a", "https://e.org/a"),
        ("https://e.org/a/2", None, None),
        ("https://e.org/a/2", "https://e.org/b", None),
        ("https://e.org/a", "https://e.org/b", None),
        ("https://e.org/posts/8", "https://e.org/posts/6", None),
    ],
)
def test_the_page_before(url: str, previous: str | None, named: str | None) -> None:
    assert goes_on_from(url, previous) == named
