"""A publication on Substack, by the API that its own pages use."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.twin.crawl.crawls import Crawl, documents, held, paths
from tests.twin.crawl.site_server import Answer, SiteServer, article, serve
from twin.settings import Settings

SENTENCE = "This is a sentence of {} that its author might have said, on the whole. "


def post(slug: str, words: int = 150, **fields: Any) -> dict[str, Any]:
    """A post as `/api/v1/posts/SLUG` gives it, of the fields that we know of."""
    text = SENTENCE.format(slug) * (words // 14)
    return {
        "id": 7, "slug": slug, "title": f"On {slug}", "subtitle": f"What {slug} is",
        "type": "newsletter", "audience": "everyone", "wordcount": len(text.split()),
        "post_date": "2026-03-01T08:00:00.000Z", "updated_at": "2026-03-02T08:00:00.000Z",
        "body_html": f"<p>{text}</p><h2>The end</h2><p>This is the end of {slug}.</p>"
        '<div class="subscription-widget-wrap"><p>Subscribe now</p></div>',
        "publishedBylines": [{"id": 1, "name": "Tess Tester", "handle": "tess"}],
        "postTags": [{"id": "x", "name": "pods"}], "reaction_count": 3, **fields,
    }  # fmt: skip


class Publication:
    """Answers the archive and the posts; the API gives at most ``page`` posts a time."""

    def __init__(self, *posts: dict[str, Any], page: int = 3) -> None:
        self.posts = list(posts)
        self.page = page
        self.asked: list[int] = []

    def routes(self) -> dict[str, Any]:
        return {f"/api/v1/posts/{item['slug']}": json_answer(item) for item in self.posts}

    def archive(self, offset: int, limit: int) -> list[dict[str, Any]]:
        self.asked.append(offset)
        items = self.posts[offset : offset + min(limit, self.page)]
        return [{key: item[key] for key in item if key != "body_html"} for item in items]


def json_answer(data: object) -> Answer:
    return Answer(json.dumps(data), media_type="application/json; charset=utf-8")


class Routes(dict[str, Any]):
    """Routes with an archive."""

    def __init__(self, publication: Publication) -> None:
        super().__init__(publication.routes())
        self.publication = publication

    def get(self, path: str, default: Any = None) -> Any:
        parts = urlsplit(path)
        if parts.path == "/api/v1/archive" and parts.path not in self:
            query = parse_qs(parts.query)
            offset, limit = int(query["offset"][0]), int(query["limit"][0])
            return json_answer(self.publication.archive(offset, limit))
        return super().get(path, super().get(parts.path, default))


@pytest.fixture
def site() -> Iterator[SiteServer]:
    with serve({}) as running:
        yield running


def substack(site: SiteServer, **fields: Any) -> dict[str, Any]:
    url = "https://tess.substack.com"
    return {"kind": "substack", "name": "letters", "url": url,
            "hosts": {"tess.substack.com": site.url}, **fields}  # fmt: skip


def test_the_whole_archive_is_read(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    publication = Publication(*(post(f"p{n}") for n in range(8)))
    site.routes = Routes(publication)
    done = crawl(substack(site))
    assert done.code == 0, done.error
    found = documents(stores_settings)
    assert set(found) == {f"/p/p{n}" for n in range(8)}
    assert publication.asked == [0, 3, 6, 8]
    one = found["/p/p1"]
    assert one.url == "https://tess.substack.com/p/p1" and one.platform == "substack"
    assert (one.title, one.subtitle, one.byline) == ("On p1", "What p1 is", "Tess Tester")
    assert one.published and one.published.isoformat() == "2026-03-01T08:00:00+00:00"
    assert one.modified and one.tags == ("pods",) and one.kind == "article"
    assert "## The end\n\nThis is the end of p1." in one.content
    assert one.content.count("This is a sentence of p1") == 150 // 14
    # Likes come and go; the text is the same.
    publication.posts = [{**item, "reaction_count": 99} for item in publication.posts]
    site.routes = Routes(publication)
    again = crawl(substack(site))
    assert again.code == 99 and again.tally("letters") == {"unchanged": 8}


def test_a_page_of_the_archive_that_is_all_excluded_is_not_its_end(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    threads = [post(f"open-thread-{n}") for n in range(3)]
    publication = Publication(post("a"), post("b"), post("c"), *threads, post("d"))
    site.routes = Routes(publication)
    assert crawl(substack(site, exclude=["/p/open-thread"])).code == 0
    assert paths(stores_settings) == {f"/p/{name}" for name in "abcd"}


def test_what_is_behind_the_paywall_is_set_aside_whole(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    full = post("full")
    beginning = full["body_html"][:600]
    publication = Publication(
        post("open"),
        post("paid", audience="only_paid", body_html=beginning, wordcount=900),
        post("nothing", audience="only_paid", body_html=None),
        post("founders", audience="founding", body_html="", wordcount=0),
        # Free to read in full, whoever it was meant for.
        post("unlocked", audience="only_paid"),
    )
    site.routes = Routes(publication)
    done = crawl(substack(site), max_failed_share=0)
    assert done.code == 0, done.error
    assert paths(stores_settings) == {"/p/open", "/p/unlocked"}
    assert held(stores_settings) == {
        "/p/paid": "behind a paywall (for only paid)",
        "/p/nothing": "behind a paywall (for only paid)",
        "/p/founders": "behind a paywall (for founding)",
    }
    # The author opens it: it comes out of quarantine.
    publication.posts[1] = post("paid")
    site.routes = Routes(publication)
    assert crawl(substack(site)).code == 0
    assert "/p/paid" in paths(stores_settings) and "/p/paid" not in held(stores_settings)


def test_guests_and_other_kinds_of_posts(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    guest = [{"name": "Gus Guest"}]
    both = [{"name": "Gus Guest"}, {"name": "Tess Tester"}]
    site.routes = Routes(
        Publication(
            post("guest", publishedBylines=guest), post("both", publishedBylines=both),
            post("nobody", publishedBylines=[]), post("talk", type="podcast"),
            post("jingle", type="podcast", body_html="<p>Listen!</p>", wordcount=1),
            post("thread", type="thread", body_html=None, wordcount=0),
        )
    )  # fmt: skip
    done = crawl(substack(site), max_failed_share=0)
    assert done.code == 0, done.error
    found = documents(stores_settings)
    assert {path: item.kind for path, item in found.items()} == {
        "/p/both": "article", "/p/nobody": "article", "/p/talk": "podcast",
    }  # fmt: skip
    assert paths(stores_settings, "gus-guest") == {"/p/guest"}
    assert done.tally("letters") == {"added": 4, "guests": 1, "skipped": 2}


def test_an_archive_that_never_ends_is_left(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    """One that ignores the offset, and one that always has new posts."""
    same = [post("one"), post("two")]
    site.routes = Routes(Publication(*same))
    site.routes["/api/v1/archive"] = json_answer(same)
    assert crawl(substack(site)).code == 0
    assert paths(stores_settings) == {"/p/one", "/p/two"}
    assert sum("archive" in path for path in site.requests) == 2

    class Endless(Publication):
        def archive(self, offset: int, limit: int) -> list[dict[str, Any]]:
            self.asked.append(offset)
            return [post(f"n{offset + n}") for n in range(limit)]

    endless = Endless(post("n0"))
    site.routes = Routes(endless)
    done = crawl(substack(site), max_pages=60, max_failed_share=1)
    assert done.code == 0, done.error
    assert len(endless.asked) <= 4


@pytest.mark.parametrize(
    "answer",
    [
        Answer("<html><body>Just a moment...</body></html>"),
        Answer("[1, 2]", media_type="application/json"),
        Answer("[" * 100_000, media_type="application/json"),
        Answer('{"error": "no"}', media_type="application/json"),
        Answer(b"\xff\xfe\x00", media_type="application/json"),
        Answer("", media_type="application/json"),
    ],
)
def test_an_archive_that_is_none_is_named(crawl: Crawl, site: SiteServer, answer: Answer) -> None:
    site.routes = Routes(Publication())
    site.routes["/api/v1/archive"] = answer
    done = crawl(substack(site))
    assert done.code == 65 and "is no archive of Substack's API" in done.line


def test_a_publication_that_is_down_is_worth_another_try(crawl: Crawl, site: SiteServer) -> None:
    site.routes = Routes(Publication())
    site.routes["/api/v1/archive"] = Answer(status=404)
    gone = crawl(substack(site))
    assert gone.code == 65 and "answered 404" in gone.line


def test_where_the_api_has_no_post_its_page_is_read(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    publication = Publication(post("html"), post("refused"), post("fine"), post("nowhere"))
    site.routes = Routes(publication)
    site.routes["/api/v1/posts/html"] = Answer("<html>Just a moment</html>")
    site.routes["/api/v1/posts/refused"] = Answer(status=403)
    site.routes["/api/v1/posts/nowhere"] = Answer(status=404)
    site.routes["/p/html"] = Answer(article("Of its page"))
    paid = '<script type="application/ld+json">{"isAccessibleForFree":false}</script>'
    site.routes["/p/refused"] = Answer(article("Refused", head=paid))
    done = crawl(substack(site), max_failed_share=0.5)
    assert done.code == 0, done.error
    assert {path: item.title for path, item in documents(stores_settings).items()} == {
        "/p/html": "Of its page", "/p/fine": "On fine",
    }  # fmt: skip
    assert "behind a paywall" in held(stores_settings)["/p/refused"]
    assert held(stores_settings)["/p/nowhere"] == "answered 404"


def test_only_the_posts_that_are_named_are_read(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    site.routes = Routes(Publication(post("one"), post("two")))
    link = "https://tess.substack.com/p/two?r=1ab2c&utm_medium=ios"
    done = crawl(substack(site), options=("--link", link))
    assert done.code == 0, done.error
    assert paths(stores_settings) == {"/p/two"}
    assert not any("archive" in path for path in site.requests)
    gone = crawl(substack(site, posts=["https://tess.substack.com/p/gone"]))
    assert gone.code == 65 and "https://tess.substack.com/p/gone" in gone.line


def test_a_domain_of_its_own(crawl: Crawl, site: SiteServer, stores_settings: Settings) -> None:
    elsewhere = post("one", canonical_url="https://tess.example/p/one")
    site.routes = Routes(Publication(elsewhere))
    source = {"kind": "substack", "name": "letters", "url": "https://tess.example/",
              "hosts": {"tess.example": site.url}}  # fmt: skip
    assert crawl(source).code == 0
    assert documents(stores_settings)["/p/one"].url == "https://tess.example/p/one"


def test_a_slow_answer_is_no_reason_to_hang(crawl: Crawl, site: SiteServer) -> None:
    def never(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"[")
        handler.wfile.flush()
        handler.connection.settimeout(20)
        handler.rfile.read(1)

    site.routes = Routes(Publication())
    site.routes["/api/v1/archive"] = never
    done = crawl(substack(site), download_timeout_seconds=1)
    assert done.code == 75
