"""Feeds that have the texts, archives over many pages, and one page under many names."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler

import pytest

from tests.twin.crawl.crawls import Crawl, documents, held, paths, web
from tests.twin.crawl.feeds import TEXT, rss, rss_item
from tests.twin.crawl.site_server import Answer, SiteServer, article, serve, sitemap
from twin.domain.document import Forgotten, document_id
from twin.settings import Settings
from twin.stores.warehouse import open_warehouse

ATOM = 'xmlns:atom="http://www.w3.org/2005/Atom"'


@pytest.fixture
def site() -> Iterator[SiteServer]:
    with serve({}) as running:
        yield running


def feed_of(*items: str) -> Answer:
    return Answer(rss(*items), media_type="application/rss+xml")


def test_a_feed_with_the_texts_is_all_that_is_fetched(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    site.routes["/feed"] = feed_of(
        rss_item("One", f"{site.url}/one/?utm_source=rss", f"<p>{TEXT}</p><p>End of one.</p>"),
        rss_item("Two", f"{site.url}/two", f"<p>{TEXT}</p>", creator="Gus Guest"),
        rss_item("Announced", f"{site.url}/three", f'<p>{TEXT}</p><a href="/three">Read more</a>'),
        rss_item("A link", "http://elsewhere.example/a", f"<p>{TEXT}</p>"),
        rss_item("One again", f"{site.url}/one", f"<p>{TEXT}</p>"),
    )
    site.routes["/three"] = Answer(article("Three"))
    done = crawl(web(site.url, feeds=[f"{site.url}/feed"], follow_links=False))
    assert done.code == 0, done.error
    assert {"/one/", "/one", "/two", "/a"}.isdisjoint(site.requests) and "/three" in site.requests
    assert {path: item.title for path, item in documents(stores_settings).items()} == {
        "/one/": "One", "/three": "Three",
    }  # fmt: skip
    (guest,) = documents(stores_settings, "gus-guest").values()
    assert (guest.title, guest.byline, guest.author_name) == ("Two", "Gus Guest", "Gus Guest")
    one = documents(stores_settings)["/one/"]
    assert one.published and "End of one." in one.content and one.language == "en"
    assert done.tally() == {"added": 3, "guests": 1}
    again = crawl(web(site.url, feeds=[f"{site.url}/feed"], follow_links=False))
    assert again.code == 99 and again.tally()["unchanged"] == 3


def test_a_feed_of_several_pages_is_read_to_its_end(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    """RFC 5005; the last page leads back to the first one."""
    for number in range(1, 4):
        link = f'<atom:link rel="next" href="/feed?paged={number % 3 + 1}"/><language>'
        item = rss_item(f"N{number}", f"{site.url}/n{number}", f"<p>{number} {TEXT}</p>")
        body = rss(item).replace("<language>", link).replace("<rss ", f"<rss {ATOM} ")
        site.routes["/feed" + (f"?paged={number}" if number > 1 else "")] = Answer(body)
    site.routes["/feed?paged=1"] = site.routes["/feed"]
    done = crawl(web(site.url, feeds=[f"{site.url}/feed"], follow_links=False))
    assert done.code == 0, done.error
    assert paths(stores_settings) == {"/n1", "/n2", "/n3"}
    assert sum(path.startswith("/feed") for path in site.requests) <= 4


def test_guests_are_the_author_where_the_recipe_says_so(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    site.routes["/feed"] = feed_of(
        rss_item("Two", f"{site.url}/two", f"<p>{TEXT}</p>", creator="Gus Guest")
    )
    done = crawl(web(site.url, feeds=[f"{site.url}/feed"], guests="include"))
    assert done.code == 0 and done.tally() == {"added": 1}
    assert documents(stores_settings)["/two"].byline == "Gus Guest"


@pytest.mark.parametrize("said", ["auto", True, False])
def test_beside_a_sitemap_the_pages_are_read_unless_the_recipe_says_otherwise(
    crawl: Crawl, site: SiteServer, stores_settings: Settings, said: bool | str
) -> None:
    """Else it would be chance, or the day, which of two slightly different texts is stored."""

    def slow(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.5)  # the sitemap would win
        body = rss(rss_item("One", f"{site.url}/one", f"<p>{TEXT}</p>")).encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    site.routes |= {
        "/feed": slow,
        "/map.xml": sitemap(f"{site.url}/one"),
        "/one": Answer(article("One")),
    }
    source = web(
        site.url, feeds=[f"{site.url}/feed"], sitemaps=[f"{site.url}/map.xml"],
        feeds_have_full_text=said, follow_links=False,
    )  # fmt: skip
    assert crawl(source).code == 0
    assert ("/one" in site.requests) is (said is not True)
    assert len(documents(stores_settings)) == 1


def test_feeds_that_are_hostile_end_in_one_line(crawl: Crawl, site: SiteServer) -> None:
    laughs = "".join(
        f'<!ENTITY l{n} "{"".join(f"&l{n - 1};" for _ in range(10))}">' for n in range(1, 10)
    )
    site.routes |= {
        "/large": Answer(b"<rss>" + b" " * 50_000_000, media_type="application/rss+xml"),
        "/laughs": Answer(
            f'<!DOCTYPE rss [<!ENTITY l0 "lol">{laughs}]><rss><channel><item><link>{site.url}/a'
            "</link><title>&l9;</title></item></channel></rss>"
        ),
        "/deep": Answer("<rss>" + "<a>" * 100_000),
        "/page": Answer(article("A page")),
        "/a": Answer(article("A")),
    }
    started = time.monotonic()
    feeds = [f"{site.url}/{name}" for name in ("large", "laughs", "deep", "page")]
    done = crawl(web(site.url, feeds=feeds, follow_links=False))
    assert done.code == 65
    assert f"{site.url}/large larger than crawl.max_page_bytes" in done.line
    assert f"{site.url}/page is no RSS or Atom feed" in done.line
    assert f"{site.url}/laughs" not in done.line
    assert done.tally() == {"added": 1}
    assert time.monotonic() - started < 60
    assert done.result["seconds"] < 30 and done.result["peak_memory_mb"] < 600


@pytest.mark.parametrize(
    ("address", "link"),
    [
        ("/archive?page={}", '<a href="/archive?page={}">Older</a>'),
        ("/archive/page/{}/", '<a href="/archive/page/{}/">{}</a>'),
        ("/older-{}", '<a rel="next" href="/older-{}">Older</a>'),
    ],
)
def test_archives_are_turned_page_by_page_to_their_end(
    crawl: Crawl, site: SiteServer, stores_settings: Settings, address: str, link: str
) -> None:
    pages = 4
    for number in range(1, pages + 2):
        posts = range(number * 3, number * 3 + 3) if number <= pages else range(3, 6)
        links = "".join(f'<a href="/post/{n}">p{n}</a>' for n in posts)
        path = "/archive" if number == 1 else address.format(number)
        # The last page has no new post, and a link to a page after it all the same.
        more = link.replace("{}", str(number + 1))
        site.routes[path] = Answer(f"<html><body><h1>Archive</h1>{links}{more}</body></html>")
        for n in posts:
            site.routes[f"/post/{n}"] = Answer(article(f"Post {n}", body='<a href="/x">x</a>'))
    done = crawl(
        web(site.url, archives=[f"{site.url}/archive"], include=["/post/"], follow_links=False)
    )
    assert done.code == 0, done.error
    assert len(documents(stores_settings)) == pages * 3
    assert address.format(pages + 2) not in site.requests and "/x" not in site.requests


def test_a_calendar_without_end_is_left(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    class Calendar(dict):
        def get(self, path: str, default: object = None) -> object:
            if path.startswith("/calendar/"):
                year, month = (int(part) for part in path.split("/")[2:4])
                after = f"/calendar/{year + month // 12}/{month % 12 + 1}"
                return Answer(
                    f'<html><body><p>Nothing.</p><a href="{after}">next</a></body></html>'
                )
            return super().get(path, default)

    links = '<a href="/calendar/2026/1">Events</a><a href="/post">post</a>'
    site.routes = Calendar(
        {"/": Answer(article("Home", body=links)), "/post": Answer(article("P"))}
    )
    done = crawl(web(site.url))
    assert done.code == 0, done.error
    assert sum(path.startswith("/calendar/") for path in site.requests) < 70
    assert set(documents(stores_settings)) == {"/", "/post"}


def test_one_page_is_one_document_whichever_way_it_is_linked(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    """The server answers under every name; the first crawl links one, the second another."""
    page = Answer(article("A"))
    site.routes |= {"/a": page, "/a/": page, "/a/index.html": page, "/a?r=7": page}
    links = '<a href="/a/index.html">1</a><a href="/a?utm_medium=x">2</a><a href="/a/#end">3</a>'
    site.routes["/"] = Answer(article("Home", body='<a href="/a">a</a>'))
    assert crawl(web(site.url)).code == 0
    assert paths(stores_settings) == {"/", "/a"}
    site.routes["/"] = Answer(article("Home", words=300, body=links))
    again = crawl(web(site.url), options=("--full",))
    assert again.code == 0 and again.tally() == {"changed": 1, "unchanged": 1}  # the home page
    assert paths(stores_settings) == {"/", "/a"}


def test_a_stored_document_keeps_its_name(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    """A site that begins to write a slash behind its addresses has no new articles."""
    site.routes |= {"/map.xml": sitemap(f"{site.url}/a"), "/a": Answer(article("A"))}
    source = web(site.url, sitemaps=[f"{site.url}/map.xml"], follow_links=False)
    assert crawl(source).code == 0
    slash = Answer(article("A", head='<link rel="canonical" href="/a/">'))
    site.routes |= {"/map.xml": sitemap(f"{site.url}/a/"), "/a/": slash}
    again = crawl(source)
    assert again.code == 99 and paths(stores_settings) == {"/a"}


def test_what_is_forgotten_is_so_under_every_name(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    site.routes |= {"/a": Answer(article("A")), "/a/": Answer(article("A"))}
    source = web(site.url, start_urls=[f"{site.url}/a/"], follow_links=False)
    with open_warehouse(stores_settings) as warehouse:
        url = f"{site.url}/a"
        identity = document_id("tester", url)
        warehouse.forget(
            Forgotten(id=identity, author_id="tester", url=url, reason="x", when=datetime.now(UTC))
        )
    assert crawl(source).code == 65 and paths(stores_settings) == set()


def test_a_page_behind_a_paywall_is_set_aside(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    data = '<script type="application/ld+json">{"isAccessibleForFree": false}</script>'
    box = '<div class="paywall" data-testid="paywall" data-component-name="Paywall"></div>'
    links = '<a href="/free">f</a><a href="/paid">p</a><a href="/cut">c</a>'
    site.routes |= {
        "/": Answer(article("Home", body=links)),
        "/free": Answer(article("Free", head=data.replace("false", "true"))),
        "/paid": Answer(article("Paid", head=data)),
        "/cut": Answer(article("Cut", body=box)),
    }
    done = crawl(web(site.url, include=["/free", "/paid", "/cut"]))
    assert done.code == 0 and paths(stores_settings) == {"/free"}
    assert all("behind a paywall" in held(stores_settings)[path] for path in ("/paid", "/cut"))


def test_cross_posts_of_two_sources_become_one_document(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    with serve({"/p": Answer(article("Mine", 400))}) as other:
        host = f"localhost:{other.address.split(':')[1]}"
        canonical = f'<link rel="canonical" href="http://{host}/p">'
        site.routes["/copy"] = Answer(article("Mine", 420, head=canonical))
        sources = [
            web(site.url, name="copy", start_urls=[f"{site.url}/copy"], follow_links=False),
            web(f"http://{host}", name="blog", start_urls=[f"http://{host}/p"], follow_links=False),
        ]
        for names in (["copy"], ["blog"], ["copy"], ["copy", "blog"]):
            options = tuple(part for name in names for part in ("--source", name))
            done = crawl(*sources, options=options)
            assert done.code in {0, 99}, done.error
        assert done.code == 99
        assert done.result["detail"]["cross_posts"] == {"texts": 1, "duplicates": 1, "changed": 0}
    (kept,) = documents(stores_settings).values()
    assert kept.source == "blog" and kept.also_at == (f"{site.url}/copy",)


def test_links_given_by_hand(crawl: Crawl, site: SiteServer, stores_settings: Settings) -> None:
    """A post is that page alone; the recipe's sources are left alone, its allowances hold."""
    site.routes |= {
        f"/{name}": Answer(article(name.upper(), body='<a href="/c">c</a>')) for name in "abc"
    }
    site.routes["/feed"] = feed_of(rss_item("Fed", f"{site.url}/fed", f"<p>{TEXT}</p>"))
    links = ("--link", f"{site.url}/a", "--link", f"{site.url}/b?utm_id=1", "--link",
             f"{site.url}/feed")  # fmt: skip
    done = crawl(web(site.url), options=links)
    assert done.code == 0, done.error
    assert paths(stores_settings) == {"/a", "/b", "/fed"}
    assert crawl(web(site.url), options=links).code == 99
    refused = crawl(web(site.url), options=("--link", "http://127.0.0.1:1/x"))
    assert refused.code == 65 and "is refused: not the allowed port" in refused.line
    wrong = crawl(web(site.url), options=("--link", "https://www.linkedin.com/in/jane"))
    assert wrong.code == 65 and "linkedin_export" in wrong.line


@pytest.mark.parametrize("wall", ["redirect", "script", "robots"])
def test_linkedins_wall_is_named(crawl: Crawl, site: SiteServer, wall: str) -> None:
    path = "/pulse/what-i-think-jane-doe"
    script = Answer('<html><script>location.href="https://e.org/authwall?x"</script></html>')
    site.routes |= {
        path: script if wall == "script" else Answer(status=302, headers={"Location": "/authwall"}),
        "/authwall": Answer(article("Sign in to LinkedIn")),
    }
    if wall == "robots":
        site.routes["/robots.txt"] = Answer("User-agent: *\nDisallow: /", media_type="text/plain")
    done = crawl(
        web(site.url), options=("--link", f"https://www.linkedin.com{path}",
                                "--map-host", f"www.linkedin.com={site.url}"),
    )  # fmt: skip
    assert done.code == 65
    reason = "Forbidden by robots.txt" if wall == "robots" else "asks to sign in"
    assert reason in done.line
