"""A crawl says who asks, and how to reach them: seen by a real server."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest
from pydantic import ValidationError

from tests.twin.crawl.crawls import Crawl, web
from tests.twin.crawl.site_server import SiteServer, article, serve
from twin.settings import Settings


@pytest.fixture
def site() -> Iterator[SiteServer]:
    with serve({}) as running:
        yield running


@pytest.fixture
def seen(site: SiteServer) -> list[str]:
    """The names under which the site was asked for its page."""
    names: list[str] = []

    def route(handler: BaseHTTPRequestHandler) -> None:
        names.append(str(handler.headers.get("User-Agent")))
        body = article("A").encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    site.routes["/"] = route
    return names


def test_the_operators_contact_is_told(
    crawl: Crawl, site: SiteServer, seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWIN_CONTACT", "ada@example.org")
    done = crawl(web(site.url))
    assert done.code == 0
    assert seen == ["llm-twin/0.1 (+ada@example.org)"]
    assert "TWIN_CONTACT" not in done.error


def test_a_recipe_may_name_itself(
    crawl: Crawl, site: SiteServer, seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWIN_CONTACT", "ada@example.org")
    assert crawl(web(site.url), user_agent="ada's reader (ada@example.com)").code == 0
    assert seen == ["ada's reader (ada@example.com)"]


def test_without_a_contact_the_operator_is_told(
    crawl: Crawl, site: SiteServer, seen: list[str]
) -> None:
    done = crawl(web(site.url))
    assert done.code == 0
    assert seen == ["llm-twin/0.1 (no contact given)"]
    assert done.error.count("set TWIN_CONTACT or crawl.user_agent") == 1


@pytest.mark.parametrize("contact", ["two words", "a)\r\nX-Other: b", ""])
def test_a_contact_that_is_none_is_refused(contact: str) -> None:
    with pytest.raises(ValidationError, match="contact"):
        Settings(contact=contact)
