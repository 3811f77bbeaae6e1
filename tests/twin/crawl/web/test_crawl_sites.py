"""Crawls of real (small, sometimes nasty) web sites over loopback, by the real command."""

import gzip
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests import servers
from tests.twin.crawl.crawls import Crawl, documents, run_crawl, web
from tests.twin.crawl.site_server import (
    Answer,
    Route,
    SiteServer,
    article,
    serve,
    sitemap,
    sitemap_index,
)
from twin.settings import Settings
from twin.stores.warehouse import open_warehouse

ALLOW = "(the source's allow_private lists exceptions as host:port)"


@pytest.fixture
def site() -> Iterator[SiteServer]:
    with serve({}) as running:
        yield running


def stored(settings: Settings) -> dict[str, str]:
    """Path of every document to its title, whether its crawl has ended well or not."""
    return {path: item.title for path, item in documents(settings).items()}


def quarantine(settings: Settings) -> dict[str, str]:
    with open_warehouse(settings) as warehouse:
        return {
            re.sub(r"https?://[^/]+", "", item.url): item.reason
            for item in warehouse.quarantined("tester")
        }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_page_that_sends_its_readers_on_is_the_page_it_sends_them_to(
    crawl: Crawl, site: SiteServer, stores_settings: Settings, encoding: str
) -> None:
    """By a ``meta`` element, to which only browsers and crawls pay heed."""

    def sends_to(url: str) -> Answer:
        head = f'<meta HTTP-EQUIV="Refresh" content="0; url={url}">'
        media_type = f"text/html; charset={encoding}"
        return Answer(article("Moved", head=head).encode(encoding), media_type=media_type)

    site.routes.update(
        {
            "/map.xml": sitemap(f"{site.url}/away"),
            "/old": sends_to("/new"),
            "/new": Answer(article("New", body="<p>A refreshing day.</p>")),
            "/away": sends_to("http://169.254.169.254/latest/"),
        }
    )
    done = crawl(web(site.url, start_urls=[f"{site.url}/old"], sitemaps=[f"{site.url}/map.xml"]))
    assert stored(stores_settings) == {"/new": "New"}, done.error


def test_links_are_followed_on_the_same_host_only(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    links = (
        '<a href="/posts/one?utm_source=home#top">1</a> <a href="two">2</a>'
        '<a href="/tags/x/">tag</a> <a href="http://127.0.0.2/offsite">away</a>'
        '<a href="/secret/plan">secret</a> <a href="/drafts/a">a</a> <a href="mailto:x@e.org">m</a>'
    )
    site.routes.update(
        {
            "/": Answer(article("Home", 40, body=links)),
            "/robots.txt": Answer("User-agent: *\nDisallow: /secret/", media_type="text/plain"),
            "/posts/one": Answer(article("One", body='<a href="/posts/moved">m</a>')),
            "/posts/moved": Answer(status=301, headers={"Location": "/posts/three"}),
            "/posts/three": Answer(article("Three")),
            "/two": Answer(article("Two")),
            "/tags/x/": Answer(article("Tagged x")),
            "/secret/plan": Answer(article("Secret")),
            "/drafts/a": Answer(article("Draft")),
        }
    )
    done = crawl(web(site.url, exclude=["/drafts/"]))
    assert done.code == 0, done.error
    assert stored(stores_settings) == {
        "/": "Home", "/posts/one": "One", "/two": "Two", "/posts/three": "Three",
    }  # fmt: skip
    asked = set(site.requests)
    assert "/robots.txt" in asked and not {"/secret/plan", "/drafts/a"} & asked
    # The second crawl stores nothing and says so.
    again = crawl(web(site.url, exclude=["/drafts/"]))
    assert again.code == 99 and "all 4 documents" in again.line
    assert again.tally() == {"unchanged": 4, "skipped": 2}


def test_sitemap_index_feed_and_gzip(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    inner = sitemap(f"{site.url}/a", f"{site.url}/b", f"{site.url}/about")
    index = sitemap_index(f"{site.url}/inner.xml.gz", f"{site.url}/index.xml")  # itself
    feed = (
        '<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><entry>'
        f'<link rel="alternate" href="{site.url}/c"/><link rel="edit" href="/edit"/></entry></feed>'
    )
    rss = (
        f'<?xml version="1.0"?><rss version="2.0"><channel><link>{site.url}/</link><item>'
        f"<link>{site.url}/d</link></item></channel></rss>"
    )
    site.routes.update(
        {
            "/index.xml": index,
            "/inner.xml.gz": Answer(
                gzip.compress(inner.body.encode()), media_type="application/gzip"
            ),
            "/atom.xml": Answer(feed, media_type="application/atom+xml"),
            "/rss.xml": Answer(rss, media_type="text/xml"),
            **{f"/{name}": Answer(article(name)) for name in "abcd"},
            "/about": Answer(article("About")),
        }
    )
    done = crawl(
        web(
            site.url, sitemaps=[f"{site.url}/index.xml"], include=["/[a-d]$"], follow_links=False,
            feeds=[f"{site.url}/atom.xml", f"{site.url}/rss.xml"],
        )
    )  # fmt: skip
    assert done.code == 0, done.error
    assert stored(stores_settings) == {"/a": "a", "/b": "b", "/c": "c", "/d": "d"}
    assert not {"/about", "/edit"} & set(site.requests)
    assert site.requests.count("/index.xml") == 1


def test_bad_sitemaps_of_an_index_fail_alone(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    """Whatever an index names, the good sitemaps beside it are read, and other hosts left alone."""
    packed = gzip.compress(sitemap(f"{site.url}/never").body.encode() * 20)  # type: ignore[union-attr]
    with serve({"/map.xml": sitemap(f"{site.url}/b")}) as elsewhere:
        other = f"localhost:{elsewhere.address.split(':')[1]}"
        site.routes.update(
            {
                "/index.xml": sitemap_index(
                    "http://[x", "http://x:99999/", f"http://{other}/map.xml",
                    *(f"{site.url}/{name}" for name in (
                        "gone.xml", "bomb.xml.gz", "broken.xml.gz", "cut.xml.gz", "page",
                        "away.xml", "good.xml",
                    )),
                ),
                "/bomb.xml.gz": Answer(gzip.compress(b" " * 3_000_000)),
                "/broken.xml.gz": Answer(packed[:12] + b"\xff" * 40),
                "/cut.xml.gz": Answer(packed[:12]),
                "/page": Answer(article("Page")),
                "/away.xml": Answer(status=302, headers={"Location": f"http://{other}/map.xml"}),
                "/good.xml": sitemap(f"{site.url}/a"),
                "/a": Answer(article("A")),
                "/b": Answer(article("B")),
            }
        )  # fmt: skip
        source = web(site.url, sitemaps=[f"{site.url}/index.xml"], follow_links=False)
        source["allow_private"] += [other]
        done = crawl(source, max_page_bytes=300_000, max_failed_share=0.9)
        assert done.code == 0, done.error
        assert elsewhere.requests == []
    assert stored(stores_settings) == {"/a": "A"}
    led_away = f"leads to another host (after a redirect to http://{other}/map.xml)"
    assert quarantine(stores_settings) == {
        "/gone.xml": "answered 404",
        "/bomb.xml.gz": "larger than crawl.max_page_bytes",
        "/broken.xml.gz": "is no sitemap",
        "/cut.xml.gz": "is no sitemap",
        "/page": "is no sitemap",
        "/away.xml": led_away,
    }


def test_an_index_that_never_ends_is_left(crawl: Crawl, site: SiteServer) -> None:
    """Every sitemap names the next one, as a calendar does that is written on demand."""

    class Endless(dict[str, Route]):
        def get(self, path: str, default: Route) -> Route:  # type: ignore[override]
            found = re.fullmatch(r"/(\d+)\.xml", path)
            if found is None:
                return super().get(path, default)
            return sitemap_index(f"{site.url}/{int(found[1]) + 1}.xml", f"{site.url}/good.xml")

    site.routes = Endless({"/good.xml": sitemap(f"{site.url}/a"), "/a": Answer(article("A"))})
    done = crawl(web(site.url, sitemaps=[f"{site.url}/0.xml"], follow_links=False), max_pages=5)
    assert done.code == 0, done.error
    assert done.tally() == {"added": 1}
    assert done.result["detail"]["site: beyond crawl.max_pages"] == 1
    assert sum(path.endswith(".xml") for path in site.requests) == 5


def test_every_bad_page_is_reported_with_its_reason_and_the_good_ones_are_kept(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    """The misbehaving site: one crawl meets everything that a page can do wrong."""

    def cut_off(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html")
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        handler.wfile.write(b"<html><p>half a page")
        handler.close_connection = True

    def slow(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(5)

    bomb = gzip.compress(b"x" * 3_000_000)
    bad = {
        "/missing": Answer(status=404),
        "/broken": Answer(status=500),
        "/cut": cut_off,
        "/slow": slow,
        "/large": Answer("x" * 400_000),
        "/bomb": Answer(bomb, headers={"Content-Encoding": "gzip"}),
        "/latin": Answer(article("Caf\u00e9").encode("latin-1")),
        "/codec": Answer("w\u00f6rd " * 80, media_type="text/markdown; charset=undefined"),
        "/half": Answer(article(r"\ud83dHalf"), media_type="text/html; charset=unicode_escape"),
        "/empty": Answer(""),
        "/short": Answer(article("Short", words=1)),
        "/pdf": Answer(b"%PDF-1.7", media_type="application/pdf"),
        "/loop": Answer(status=302, headers={"Location": "/loop2"}),
        "/loop2": Answer(status=302, headers={"Location": "/loop"}),
        "/metadata": Answer(status=302, headers={"Location": "http://169.254.169.254/latest/"}),
        "/inside": Answer(status=302, headers={"Location": "http://127.0.0.1:9/admin"}),
    }
    good = {f"/good-{n}": Answer(article(f"Good {n}")) for n in range(3)}
    site.routes.update({**bad, **good})
    pages = [path for path in bad if path != "/loop2"]
    site.routes["/sitemap.xml"] = sitemap(*(f"{site.url}{path}" for path in [*pages, *good]))
    done = crawl(
        web(site.url, sitemaps=[f"{site.url}/sitemap.xml"], include=["."], follow_links=False),
        max_page_bytes=300_000, download_timeout_seconds=1, max_failed_share=0.95,
    )  # fmt: skip
    assert done.code == 0, done.error
    assert sorted(stored(stores_settings)) == sorted(good)
    assert quarantine(stores_settings) == {
        "/missing": "answered 404",
        "/broken": "answered 500",
        "/cut": "connection broke before the end",
        "/slow": "no answer in time (crawl.download_timeout_seconds)",
        "/large": "larger than crawl.max_page_bytes",
        "/bomb": "larger than crawl.max_page_bytes",
        "/latin": "invalid utf-8 at byte 35",
        "/codec": "invalid undefined at byte 0",
        "/half": "holds half a character (a surrogate without its pair)",
        "/empty": "empty",
        "/short": "14 words, fewer than crawl.min_words = 20",
        "/pdf": "not a PDF, or a damaged one",
        "/loop": "redirects in a circle",
        "/metadata": "leads to another host (after a redirect to http://169.254.169.254/latest/)",
        "/inside": f"was not fetched: 127.0.0.1:9 is refused: not the allowed port {ALLOW} "
        f"(after a redirect to http://127.0.0.1:9/admin)",
    }


def test_a_page_that_leads_to_another_host_is_left_and_counted(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    """As of a site's own short links; what was an article there before is gone."""
    site.routes.update(
        {
            "/": Answer(article("Home", body='<a href="/a">a</a> <a href="/go/x">x</a>')),
            "/a": Answer(article("A")),
            "/go/x": Answer(status=302, headers={"Location": "http://elsewhere.example/x"}),
        }
    )
    done = crawl(web(site.url), gone_after=1)
    assert done.code == 0, done.error
    assert done.tally() == {"added": 2, "skipped": 1}
    site.routes["/a"] = Answer(status=301, headers={"Location": "http://elsewhere.example/a"})
    again = crawl(web(site.url), gone_after=1)
    assert again.tally() == {"unchanged": 1, "gone": 1, "skipped": 2}
    assert stored(stores_settings) == {"/": "Home"}
    assert quarantine(stores_settings) == {}


def test_a_page_that_leads_to_one_already_read_is_gone(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    """Whichever of the two is asked for first."""
    links = '<a href="/a">a</a> <a href="/b">b</a> <a href="/c">c</a>'
    site.routes.update({f"/{name}": Answer(article(name)) for name in "abc"})
    site.routes["/"] = Answer(article("Home", body=links))
    assert crawl(web(site.url), gone_after=1, concurrency_per_host=1).tally() == {"added": 4}
    for name in "ac":
        site.routes[f"/{name}"] = Answer(status=301, headers={"Location": "/b"})
    again = crawl(web(site.url), gone_after=1, concurrency_per_host=1)
    assert again.code == 0, again.error
    assert again.tally() == {"unchanged": 2, "gone": 2}
    assert stored(stores_settings) == {"/": "Home", "/b": "b"}


def test_wrongly_linked_canonical_page_is_fetched_instead(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    canonical = f'<link rel="canonical" href="{site.url}/posts/whole/">'
    site.routes.update(
        {
            "/": Answer(article("Whole", head=canonical + "<!-- for print -->")),
            "/posts/whole/": Answer(article("Whole", head=canonical)),
        }
    )
    assert crawl(web(site.url)).code == 0
    assert stored(stores_settings) == {"/posts/whole/": "Whole"}


def test_a_copy_stands_in_for_the_real_host(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    """Absolute links, redirects and robots.txt of the real host all lead to the copy."""
    site.routes.update(
        {
            "/": Answer(article("Home", body='<a href="https://blog.example/a">a</a>')),
            "/a": Answer(status=301, headers={"Location": f"{site.url}/a/"}),
            "/a/": Answer(article("A", body='<a href="https://blog.example/hidden">h</a>')),
            "/robots.txt": Answer("User-agent: *\nDisallow: /hidden", media_type="text/plain"),
        }
    )
    source = {"kind": "web", "name": "site", "start_urls": ["https://blog.example/"]}
    done = crawl(
        source, options=("--map-host", f"blog.example={site.url}"), delay_seconds=50,
    )  # fmt: skip
    assert done.code == 0, done.error
    with open_warehouse(stores_settings) as warehouse:
        urls = {item.url for item in warehouse.live_documents("tester")}
    assert urls == {"https://blog.example/", "https://blog.example/a/"}
    assert "/hidden" not in site.requests
    # Between each two of its five requests it would have waited that long.
    assert done.result["seconds"] < 50, "nobody to be polite to on a copy"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433"])
def test_a_private_address_is_refused_before_anything_is_sent(
    crawl: Crawl, site: SiteServer, host: str
) -> None:
    port = site.address.split(":")[1]
    done = crawl(web(site.url, start_urls=[f"http://{host}:{port}/"], allow_private=[]))
    assert done.code == 65 and "allow_private" in done.line and " refused: " in done.line
    assert site.requests == []


def test_a_site_that_is_down_is_worth_another_try(crawl: Crawl) -> None:
    url = f"http://127.0.0.1:{servers.free_port()}"
    done = crawl(web(url))
    assert done.code == 75
    assert done.line == (
        f"twin crawl run: error: source 'site': {url}/ was not fetched: its site's robots.txt: "
        "connection refused"
    )
    again = crawl(web(url), obey_robots=False)
    assert again.line == f"twin crawl run: error: source 'site': {url}/ connection refused"


@pytest.mark.parametrize(
    ("status", "code"), [(404, 65), (403, 65), (503, 75)], ids=["gone", "forbidden", "overloaded"]
)
def test_a_start_page_that_answers_an_error(
    crawl: Crawl, site: SiteServer, status: int, code: int
) -> None:
    site.routes["/"] = Answer("no", status=status)
    done = crawl(web(site.url))
    assert done.code == code
    assert done.line.endswith(f"source 'site': {site.url}/ answered {status}")


def test_entries_that_are_something_else_are_named(crawl: Crawl, site: SiteServer) -> None:
    site.routes["/page"] = Answer(article("Page"))
    site.routes["/bomb"] = Answer(gzip.compress(b" " * 20_000_000))
    page, bomb = f"{site.url}/page", f"{site.url}/bomb"
    done = crawl(web(site.url, sitemaps=[page, bomb]), web(site.url, name="feed", feeds=[page]))
    assert done.code == 65
    assert f"source 'site': {bomb} larger than crawl.max_page_bytes" in done.line
    assert f"source 'site': {page} is no sitemap" in done.line
    assert f"source 'feed': {page} is no RSS or Atom feed" in done.line


def test_a_source_without_documents_fails_and_the_others_are_stored(
    crawl: Crawl, site: SiteServer, stores_settings: Settings, tmp_path: Path
) -> None:
    site.routes["/"] = Answer(article("Home"))
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "one.md").write_text("# One\n\n" + "word " * 50)
    done = crawl(
        web(site.url),
        web(site.url, name="other", include=["/never/"]),
        {"kind": "folder", "name": "notes", "path": str(notes)},
    )
    assert done.code == 65 and "source 'other' gave no document" in done.line
    assert set(stored(stores_settings).values()) == {"Home", "One"}


def test_no_more_than_max_pages_are_asked_for(crawl: Crawl, site: SiteServer) -> None:
    links = "".join(f'<a href="/{n}">n</a>' for n in range(30))
    site.routes.update({f"/{n}": Answer(article(f"Page {n}")) for n in range(30)})
    site.routes["/"] = Answer(article("Home", body=links))
    done = crawl(web(site.url), max_pages=5)
    assert done.code == 0
    assert done.tally() == {"added": 5}
    assert done.result["detail"]["site: beyond crawl.max_pages"] == 26


def test_the_real_blog(
    crawl: Crawl, shared: Path, stores_settings: Settings, root: Path, tmp_path: Path
) -> None:
    """Every post of the sitemap becomes one document, nothing else does, twice is once."""
    folder = shared / "sites" / "lilianweng.github.io"
    named = re.findall(r"<loc>(.*?)</loc>", (folder / "sitemap.xml").read_text())
    posts = {url for url in named if re.search(r"/posts/.+", url)}
    recipe = tmp_path / "lilianweng.yaml"
    recipe.write_text((root / "include" / "recipes" / "lilianweng.yaml").read_text())
    port = servers.free_port()
    command = [
        sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "-d", folder,
    ]  # fmt: skip
    with servers.server(command, port, tmp_path / "web.log"):
        option = f"lilianweng.github.io=http://127.0.0.1:{port}"
        first = run_crawl(stores_settings, recipe, "--map-host", option)
        again = run_crawl(stores_settings, recipe, "--map-host", option, "--full")
    assert (first.code, again.code) == (0, 99), first.error + again.error
    with open_warehouse(stores_settings) as warehouse:
        found = list(warehouse.live_documents("lilianweng"))
        revisions = sum(len(warehouse.revisions(item.id)) for item in found)
    assert {item.url for item in found} == posts and len(posts) >= 50
    assert revisions == len(posts)
    assert all(item.language == "en" and item.published for item in found)
    assert min(len(item.content.split()) for item in found) > 500


def test_dead_links_that_a_page_mentions_are_told_and_fail_nothing(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    links = "".join(f'<a href="/dead-{n}">d</a>' for n in range(4))
    links += '<a href="/a">a</a> <a href="/moved">m</a>'
    site.routes["/"] = Answer(article("Home", body=links))
    site.routes["/a"] = Answer(article("A", body='<a href="/dead-0">again</a>'))
    site.routes["/dead-3"] = Answer(status=410)
    site.routes["/moved"] = Answer(status=302, headers={"Location": "/dead-9"})
    done = crawl(web(site.url), max_failed_share=0.2)
    assert done.code == 0, done.error
    assert done.tally() == {"added": 2, "skipped": 5, "dead_links": 5}
    told = {url.removeprefix(site.url): why for url, why in done.result["failures"].items()}
    assert told == {
        "/dead-0": "a dead link: answered 404", "/dead-1": "a dead link: answered 404",
        "/dead-2": "a dead link: answered 404", "/dead-3": "a dead link: answered 410",
        "/moved": "a dead link: answered 404",
    }  # fmt: skip
    assert quarantine(stores_settings) == {}


@pytest.mark.parametrize("named_by", ["sitemap", "nested", "feed", "archive", "include", "before"])
def test_a_dead_page_that_the_site_lists_or_the_recipe_names_has_failed(
    crawl: Crawl, site: SiteServer, stores_settings: Settings, named_by: str
) -> None:
    site.routes["/"] = Answer(article("Home", body='<a href="/dead">d</a> <a href="/a">a</a>'))
    site.routes["/a"] = Answer(article("A"))
    site.routes["/map.xml"] = sitemap(f"{site.url}/dead")
    site.routes["/index.xml"] = sitemap_index(f"{site.url}/map.xml")
    site.routes["/list"] = Answer('<html><body><a href="/dead">d</a></body></html>')
    site.routes["/feed.xml"] = Answer(
        f"<rss version='2.0'><channel><item><title>D</title><link>{site.url}/dead</link></item>"
        "</channel></rss>",
        media_type="application/rss+xml",
    )
    fields = {
        "sitemap": {"sitemaps": [f"{site.url}/map.xml"]},
        "nested": {"sitemaps": [f"{site.url}/index.xml"]},
        "feed": {"feeds": [f"{site.url}/feed.xml"]},
        "archive": {"archives": [f"{site.url}/list"]},
        "include": {"include": ["/dead", "/a"]},
        "before": {},
    }[named_by]
    if named_by == "before":
        site.routes["/dead"] = Answer(article("D"))
        crawl(web(site.url))
        site.routes["/dead"] = Answer(status=404)
    done = crawl(web(site.url, start_urls=[f"{site.url}/"], **fields), max_failed_share=0.9)
    assert done.code == (99 if named_by == "before" else 0), done.error
    assert done.tally()["failed"] == 1
    assert "dead_links" not in done.tally()
    assert quarantine(stores_settings) == {"/dead": "answered 404"}


def test_links_that_may_work_another_time_have_failed(crawl: Crawl, site: SiteServer) -> None:
    site.routes["/"] = Answer(article("Home", body='<a href="/busy">d</a> <a href="/x">x</a>'))
    site.routes["/busy"] = Answer(status=503)
    site.routes["/x"] = Answer(status=403)
    done = crawl(web(site.url), max_failed_share=0.9, retries=0)
    assert done.tally() == {"added": 1, "failed": 2}


def test_pages_that_refer_to_themselves_are_freed_while_the_crawl_runs() -> None:
    """Python's own full collections wait until a quarter of what stays is new: tens of megabytes
    of pages. The reactor is one of a process of its own."""
    code = """
import gc, weakref
from twisted.internet import asyncioreactor
asyncioreactor.install()
from twisted.internet import reactor
from twin.crawl.web import crawl_sites

class Page: pass
page = Page()
page.itself = page
alive = weakref.ref(page)
gc.collect(); gc.disable()
del page
crawl_sites.FULL_COLLECTION_SECONDS = 0.01
crawl_sites._collect_regularly()
def look():
    if alive() is None: reactor.stop()
from twisted.internet.task import LoopingCall
LoopingCall(look).start(0.01)
reactor.run()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
