"""Pages that their publisher reserves are left out, and what was stored of them is withdrawn."""

import json
from collections.abc import Iterator

import pytest
import yaml

from tests.twin.crawl.crawls import Crawl, paths, recipe_file, run_crawl, web
from tests.twin.crawl.feeds import TEXT, rss, rss_item
from tests.twin.crawl.site_server import Answer, SiteServer, article, serve, sitemap
from twin.domain.document import DocumentStatus
from twin.settings import Settings
from twin.stores.warehouse import open_warehouse


@pytest.fixture
def site() -> Iterator[SiteServer]:
    with serve({}) as running:
        yield running


def source(site: SiteServer, *paths: str) -> dict[str, object]:
    site.routes["/sitemap.xml"] = sitemap(*(f"{site.url}{path}" for path in paths))
    return web(site.url, sitemaps=[f"{site.url}/sitemap.xml"], follow_links=False)


def test_reserved_pages_are_left_out(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    site.routes |= {
        "/free": Answer(article("Free")),
        "/header": Answer(article("Header"), headers={"X-Robots-Tag": "noai"}),
        "/tdm": Answer(article("Tdm"), headers={"TDM-Reservation": "1"}),
        "/mine/a": Answer(article("Mine")),
        "/.well-known/tdmrep.json": Answer(
            json.dumps([{"location": "/mine/", "tdm-reservation": 1}])
        ),
    }
    done = crawl(source(site, "/free", "/header", "/tdm", "/mine/a"))
    assert done.code == 0, done.error
    assert done.tally() == {"added": 1, "skipped": 3}
    assert site.requests.count("/.well-known/tdmrep.json") == 1
    with open_warehouse(stores_settings) as warehouse:
        (document,) = warehouse.live_documents("tester")
    assert document.title == "Free"
    assert document.reserved == ()


def test_what_is_declared_of_a_page_holds_for_its_text_in_a_feed(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    items = (rss_item(name, f"{site.url}/{name}/a", f"<p>{TEXT}</p>") for name in ("mine", "free"))
    declared = json.dumps([{"location": "/mine/", "tdm-reservation": 1}])
    site.routes |= {"/feed": Answer(rss(*items)), "/.well-known/tdmrep.json": Answer(declared)}
    done = crawl(web(site.url, feeds=[f"{site.url}/feed"], follow_links=False))
    assert done.code == 0 and done.tally() == {"added": 1, "skipped": 1}, done.error
    assert paths(stores_settings) == {"/free/a"}


def test_a_page_that_becomes_reserved_is_withdrawn(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    site.routes |= {"/a": Answer(article("A")), "/b": Answer(article("B"))}
    assert crawl(source(site, "/a", "/b")).tally() == {"added": 2}
    site.routes["/b"] = Answer(article("B"), headers={"X-Robots-Tag": "noai"})
    assert crawl(source(site, "/a", "/b")).tally() == {"unchanged": 1, "skipped": 1, "gone": 1}
    with open_warehouse(stores_settings) as warehouse:
        assert [item.title for item in warehouse.live_documents("tester")] == ["A"]
        (gone,) = warehouse.summaries("tester", DocumentStatus.GONE)
    assert gone.title == "B"
    site.routes["/b"] = Answer(article("B"))
    assert crawl(source(site, "/a", "/b")).tally() == {"unchanged": 1, "restored": 1}


def test_consent_overrules_and_is_recorded(
    site: SiteServer, stores_settings: Settings, tmp_path
) -> None:
    site.routes["/a"] = Answer(article("A"), headers={"X-Robots-Tag": "noai"})
    path = recipe_file(tmp_path, [source(site, "/a")])
    recipe = yaml.safe_load(path.read_text())
    recipe["rights"] = {"licence": "CC-BY-4.0", "consent": "hers", "honour_reservations": False}
    path.write_text(yaml.safe_dump(recipe))
    assert run_crawl(stores_settings, path).tally() == {"added": 1}
    with open_warehouse(stores_settings) as warehouse:
        (document,) = warehouse.live_documents("tester")
    assert document.reserved == ("noai",)
    assert (document.licence, document.consent) == ("CC-BY-4.0", "hers")
    # Changed rights are recorded though the page is the same.
    recipe["rights"]["licence"] = "CC0-1.0"
    path.write_text(yaml.safe_dump(recipe))
    assert run_crawl(stores_settings, path).code == 99
    with open_warehouse(stores_settings) as warehouse:
        (document,) = warehouse.live_documents("tester")
    assert document.licence == "CC0-1.0"


def test_reservations_cannot_be_ignored_without_consent(
    site: SiteServer, stores_settings: Settings, tmp_path
) -> None:
    path = recipe_file(tmp_path, [source(site, "/a")])
    recipe = yaml.safe_load(path.read_text())
    recipe["rights"] = {"honour_reservations": False}
    path.write_text(yaml.safe_dump(recipe))
    done = run_crawl(stores_settings, path)
    assert done.code == 65
    assert "needs rights.consent" in done.line
