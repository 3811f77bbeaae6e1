"""Waiting when a host asks for it, and stopping when the budget is spent: against a real server."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from itertools import pairwise

import pytest
from scrapy.http import Response

from tests.twin.crawl.crawls import Crawl, web
from tests.twin.crawl.site_server import Answer, SiteServer, article, serve, sitemap
from twin.crawl.web.politeness import retry_after


@pytest.fixture
def site() -> Iterator[SiteServer]:
    with serve({}) as running:
        yield running


def answers(*given: Answer, times: list[float]) -> Callable[[BaseHTTPRequestHandler], None]:
    """A route that answers one after the other, the last for ever, and notes when it was asked."""

    def route(handler: BaseHTTPRequestHandler) -> None:
        answer = given[min(len(times), len(given) - 1)]
        times.append(time.monotonic())
        body = answer.body.encode() if isinstance(answer.body, str) else answer.body
        handler.send_response(answer.status)
        headers = {"Content-Type": answer.media_type, "Content-Length": str(len(body))}
        for name, value in {**headers, **answer.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return route


def source(site: SiteServer, *paths: str) -> dict[str, object]:
    site.routes["/sitemap.xml"] = sitemap(*(f"{site.url}{path}" for path in paths))
    return web(site.url, sitemaps=[f"{site.url}/sitemap.xml"], follow_links=False)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("1e9", None),
        ("\u0663", None),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
        ("Fri, 31 Foo 1999 23:59:59 GMT", None),
    ],
)
def test_retry_after_as_servers_write_it(value: str, seconds: float | None) -> None:
    headers = {"Retry-After": value.encode("utf-8")}
    assert retry_after(Response("http://x", status=429, headers=headers)) == seconds


def test_retry_after_as_a_date() -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    asked = retry_after(Response("http://x", headers={"Retry-After": moment}))
    assert asked is not None and 85 < asked <= 90


def test_a_busy_host_is_left_alone_as_long_as_it_asks(crawl: Crawl, site: SiteServer) -> None:
    busy: list[float] = []
    calm: list[float] = []
    late = Answer("later", 429, {"Retry-After": "2"})
    site.routes["/a"] = answers(late, Answer(article("A")), times=busy)
    site.routes["/b"] = answers(Answer(article("B")), times=calm)
    done = crawl(source(site, "/a", "/b"), concurrency_per_host=1)
    assert done.code == 0, done.error
    assert done.tally() == {"added": 2}
    assert len(busy) == 2
    assert busy[1] - busy[0] >= 1.9
    assert calm[0] - busy[0] >= 1.9  # the other page waited too


def test_failures_that_pass_are_retried_later_each_time(crawl: Crawl, site: SiteServer) -> None:
    times: list[float] = []
    site.routes["/a"] = answers(Answer("", 500), Answer("", 502), Answer(article("A")), times=times)
    done = crawl(source(site, "/a"), backoff_seconds=0.8)
    assert done.tally() == {"added": 1}
    first, second = (later - earlier for earlier, later in pairwise(times))
    assert first >= 0.4  # half of it at least, by jitter
    assert second >= 0.8  # twice as long


def test_retries_end(crawl: Crawl, site: SiteServer) -> None:
    times: list[float] = []
    site.routes["/a"] = answers(Answer("", 503), times=times)
    site.routes["/b"] = Answer(article("B"))
    done = crawl(source(site, "/a", "/b"), retries=2, max_failed_share=1)
    assert done.tally() == {"added": 1, "failed": 1}
    assert len(times) == 3


def test_a_host_that_asks_for_too_much_is_left_for_the_next_crawl(
    crawl: Crawl, site: SiteServer
) -> None:
    times: list[float] = []
    site.routes["/a"] = answers(Answer("", 429, {"Retry-After": "86400"}), times=times)
    done = crawl(source(site, "/a"), max_wait_seconds=5)
    assert done.code == 75  # worth another try, later
    assert "answered 429" in done.line
    assert len(times) == 1


def test_crawl_delay_of_robots_txt_is_kept(crawl: Crawl, site: SiteServer) -> None:
    site.routes["/robots.txt"] = Answer(
        "User-agent: *\nCrawl-delay: 0.7\nDisallow: /secret", media_type="text/plain"
    )
    times: list[float] = []
    paths = [f"/{number}" for number in range(4)]
    for path in paths:
        site.routes[path] = answers(Answer(article(path)), times=times)
    done = crawl(source(site, *paths, "/secret"))
    assert done.tally() == {"added": 4, "skipped": 1}
    assert all(later - earlier >= 0.6 for earlier, later in pairwise(sorted(times)))
    assert "/secret" not in site.requests


@pytest.mark.parametrize("status", [500, 503, 429])
def test_without_its_robots_txt_a_site_is_left_for_the_next_crawl(
    crawl: Crawl, site: SiteServer, status: int
) -> None:
    """A server in trouble has not said that all is allowed (RFC 9309, 2.3.1.4)."""
    site.routes["/robots.txt"] = Answer("<h1>Sorry</h1>", status)
    site.routes["/a"] = Answer(article("A"))
    assert crawl(source(site, "/a"), retries=1).code == 75
    assert set(site.requests) == {"/robots.txt"}
    done = crawl(source(site, "/a"), retries=0)
    assert f"was not fetched: its site's robots.txt: answered {status}" in done.line
    assert crawl(source(site, "/a"), retries=0, obey_robots=False).code == 0


def test_a_robots_txt_that_is_cut_off_allows_nothing(crawl: Crawl, site: SiteServer) -> None:
    def cut(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"User-agent: *\nDis")
        handler.close_connection = True

    site.routes.update({"/robots.txt": cut, "/a": Answer(article("A"))})
    done = crawl(source(site, "/a"), retries=0)
    assert done.code == 75
    assert "its site's robots.txt: connection broke before the end" in done.line
    assert "/a" not in site.requests


def test_a_site_that_sends_more_than_the_budget_is_left(crawl: Crawl, site: SiteServer) -> None:
    paths = [f"/{number}" for number in range(40)]
    for path in paths:
        site.routes[path] = Answer(article(path, words=4_000))
    done = crawl(source(site, *paths), max_bytes=200_000, concurrency_per_host=1)
    assert done.code == 0, done.error
    assert done.result["detail"]["site: stopped by"] == "crawl.max_bytes"
    assert 0 < done.tally()["added"] < 30  # those already asked for still come


def test_a_crawl_that_takes_longer_than_the_budget_stops(crawl: Crawl, site: SiteServer) -> None:
    def slow(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.5)
        body = article(handler.path).encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    paths = [f"/{number}" for number in range(60)]
    site.routes.update(dict.fromkeys(paths, slow))
    started = time.monotonic()
    done = crawl(source(site, *paths), max_seconds=4, concurrency_per_host=1)
    assert done.code == 0, done.error
    assert done.result["detail"]["site: stopped by"] == "crawl.max_seconds"
    assert 0 < done.tally()["added"] < 30
    assert time.monotonic() - started < 25
