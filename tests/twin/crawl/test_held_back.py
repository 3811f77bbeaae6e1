"""What a failed crawl brings is not live until one ends well, or a person says so."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.twin.crawl.crawls import Crawl, Crawled, environment, live, web
from tests.twin.crawl.formats.pages import words
from tests.twin.crawl.site_server import Answer, SiteServer, article, serve, sitemap
from twin.cli import app
from twin.settings import Settings, get_settings

BROKEN = Answer(status=500)


@pytest.fixture
def site() -> Iterator[SiteServer]:
    with serve({}) as running:
        yield running


def fill(site: SiteServer, **pages: Answer | str) -> None:
    """Pages by name: an answer, or the words of an article."""
    site.routes.clear()
    for name, page in pages.items():
        site.routes[f"/{name}"] = page if isinstance(page, Answer) else Answer(article(page))
    site.routes["/sitemap.xml"] = sitemap(*(f"{site.url}/{name}" for name in pages))


def twin(settings: Settings, monkeypatch: pytest.MonkeyPatch, *command: str) -> tuple[int, str]:
    for key, value in environment(settings).items():
        if key.startswith("TWIN_"):
            monkeypatch.setenv(key, value)
    get_settings.cache_clear()
    done = CliRunner().invoke(app, list(command))
    get_settings.cache_clear()
    return done.exit_code, done.output


def run(crawl: Crawl, site: SiteServer) -> Crawled:
    return crawl(web(site.url, sitemaps=[f"{site.url}/sitemap.xml"], follow_links=False), retries=0)


def test_what_a_failed_crawl_brought_is_live_once_one_ends_well(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    fill(site, a="A", b=BROKEN, c=BROKEN)
    done = run(crawl, site)
    assert done.code == 75 and "2 of 3 pages failed" in done.line
    assert done.result["detail"]["site: held back"] == 1
    assert "twin crawl accept --recipe tester --source site" in done.error
    assert set(live(stores_settings)) == set()
    fill(site, a="A", b="B", c="C")
    done = run(crawl, site)
    assert done.code == 0 and done.tally() == {"added": 2, "unchanged": 1}
    assert set(live(stores_settings)) == {"/a", "/b", "/c"}
    assert run(crawl, site).code == 99


def test_nothing_new_but_what_was_held_back_is_news(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    fill(site, a="A", b=BROKEN)
    assert run(crawl, site).code == 75
    fill(site, a="A")
    done = run(crawl, site)
    assert done.code == 0 and done.tally() == {"unchanged": 1}
    assert set(live(stores_settings)) == {"/a"}


def test_a_text_stands_as_it_was_until_a_person_accepts_the_new_one(
    crawl: Crawl,
    site: SiteServer,
    stores_settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(site, a="First words", b="B", c="C")
    assert run(crawl, site).code == 0
    fill(site, a="Other words", b=BROKEN, c=BROKEN, d="D")
    done = run(crawl, site)
    assert done.code == 75
    assert done.tally() == {"added": 1, "changed": 1, "failed": 2}
    assert done.result["detail"]["site: held back"] == 2
    found = live(stores_settings)
    assert {path: item.title for path, item in found.items()} == {
        "/a": "First words", "/b": "B", "/c": "C",
    }  # fmt: skip
    assert "First words" in found["/a"].content
    held = twin(stores_settings, monkeypatch, "warehouse", "list", "--held")
    assert held[0] == 0 and "Other words" in held[1] and "2 documents" in held[1]

    accept = ("crawl", "accept", "--recipe", str(tmp_path / "recipe.yaml"))
    code, output = twin(stores_settings, monkeypatch, *accept, "--source", "other")
    assert code == 99 and "no document of other waits" in output
    code, output = twin(stores_settings, monkeypatch, *accept, "--source", "site")
    assert code == 0, output
    found = live(stores_settings)
    assert {path: item.title for path, item in found.items()} == {
        "/a": "Other words", "/b": "B", "/c": "C", "/d": "D",
    }  # fmt: skip
    assert "Other words" in found["/a"].content
    assert twin(stores_settings, monkeypatch, *accept)[0] == 99


def test_a_source_that_fails_holds_back_no_other(
    crawl: Crawl, site: SiteServer, stores_settings: Settings, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "note.md").write_text(f"# Note\n\n{words()}")
    fill(site, a="A", b=BROKEN)
    lists = [f"{site.url}/sitemap.xml"]
    done = crawl(
        web(site.url, sitemaps=lists, follow_links=False),
        {"kind": "folder", "name": "notes", "path": str(notes)},
        retries=0,
    )
    assert done.code == 75
    assert set(live(stores_settings)) == {"folder://notes/note.md"}
