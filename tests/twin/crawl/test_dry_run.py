"""`twin crawl run --dry-run`: what a crawl would do, by the real command against a real server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.forked_twin import run_twin
from tests.twin.crawl.crawls import crawl_arguments, environment, recipe_file, run_crawl, web
from tests.twin.crawl.feeds import rss, rss_item
from tests.twin.crawl.formats.pages import words
from tests.twin.crawl.site_server import Answer, SiteServer, article, serve, sitemap
from twin.settings import Settings
from twin.stores.warehouse import COLLECTIONS, open_warehouse


@pytest.fixture
def site() -> Iterator[SiteServer]:
    with serve({"/robots.txt": Answer("User-agent: *\nDisallow: /private", media_type="text/plain")
               }) as running:  # fmt: skip
        yield running


def dry_run(settings: Settings, recipe: Path, *options: str) -> tuple[int, list[str], str]:
    """Exit code, what the command prints, and what it says on standard error."""
    arguments = crawl_arguments(recipe, "--dry-run", *options)
    done = run_twin(*arguments, env=environment(settings), timeout=120)
    return done.returncode, done.stdout.splitlines(), done.stderr


def stored(settings: Settings) -> dict[str, list[Any]]:
    """Everything in the warehouse."""
    with open_warehouse(settings) as warehouse:
        return {name: list(warehouse.records(name)) for name in COLLECTIONS}


def listing(site: SiteServer) -> None:
    pages = ("/a", "/b", "/private/c", "/tag/d")
    site.routes |= {page: Answer(article(page)) for page in pages}
    site.routes["/sitemap.xml"] = sitemap(*(f"{site.url}{page}" for page in pages))
    site.routes["/feed"] = Answer(
        rss(rss_item("E", f"{site.url}/e", "")), media_type="application/rss+xml"
    )


def test_a_site_s_pages_are_told_and_not_fetched(
    stores_settings: Settings, site: SiteServer, tmp_path: Path
) -> None:
    listing(site)
    lists = {"sitemaps": [f"{site.url}/sitemap.xml"], "feeds": [f"{site.url}/feed"]}
    source = web(site.url, exclude=["/tag/"], follow_links=False, **lists)
    recipe = recipe_file(tmp_path, [source])
    code, lines, error = dry_run(stores_settings, recipe)
    assert code == 0, error
    assert lines[0] == "source site (web): would ask for 3 (3 new, 0 known), leave out 2"
    assert sorted(lines[1:6]) == [
        f"  new    {site.url}/a",
        f"  new    {site.url}/b",
        f"  new    {site.url}/e",
        f"  out    {site.url}/private/c  (Forbidden by robots.txt)",
        f"  out    {site.url}/tag/d  (the source's exclude)",
    ]
    assert lines[6].startswith("limits of each source: 5,000 pages")
    assert lines[-1].startswith("dry run: nothing was stored")
    assert sorted(site.requests) == ["/feed", "/robots.txt", "/sitemap.xml"]
    assert not any(stored(stores_settings).values())
    assert not (stores_settings.home / "files").exists()


def test_after_a_crawl_its_pages_are_known_and_the_warehouse_is_as_it_was(
    stores_settings: Settings, site: SiteServer, tmp_path: Path
) -> None:
    listing(site)
    source = web(site.url, sitemaps=[f"{site.url}/sitemap.xml"], follow_links=False)
    recipe = recipe_file(tmp_path, [source])
    assert run_crawl(stores_settings, recipe).code == 0
    before = stored(stores_settings)
    site.routes["/sitemap.xml"] = sitemap(*(f"{site.url}/{page}" for page in ("a", "b", "new")))
    code, lines, error = dry_run(stores_settings, recipe)
    assert code == 0, error
    assert lines[0] == "source site (web): would ask for 3 (1 new, 2 known), leave out 0"
    assert stored(stores_settings) == before


def test_links_are_listed_as_far_as_the_start_page_leads(
    stores_settings: Settings, site: SiteServer, tmp_path: Path
) -> None:
    links = '<a href="/a">a</a><a href="/list/b">b</a>'
    site.routes |= {"/": Answer(article("Home", body=links)), "/a": Answer(article("A"))}
    recipe = recipe_file(tmp_path, [web(site.url, include=["/a$"])], max_pages=2)
    code, lines, error = dry_run(stores_settings, recipe)
    assert code == 0, error
    told = lines[: lines.index("  beyond crawl.max_pages: 1") + 1]
    assert set(told[1:-1]) == {
        f"  new    {site.url}/  (for its links only)",
        f"  new    {site.url}/a",
        "  and the pages that these lead to (follow_links), as far as the limits allow",
    }
    assert sorted(site.requests) == ["/", "/robots.txt"]


def test_the_files_of_a_folder(stores_settings: Settings, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    for name, text in {"a.md": words(), "b.md": "x" * 3_000, "c.txt": words()}.items():
        (notes / name).write_text(text)
    (notes / "d.md").symlink_to("/etc/hostname")
    recipe = recipe_file(
        tmp_path, [{"kind": "folder", "name": "notes", "path": "notes"}], max_page_bytes=2_500
    )
    code, lines, error = dry_run(stores_settings, recipe)
    assert code == 0, error
    assert lines[0] == "source notes (folder): would ask for 1 (1 new, 0 known), leave out 2"
    assert lines[1:4] == [
        "  new    folder://notes/a.md",
        "  out    folder://notes/b.md  (3,000 bytes, more than crawl.max_page_bytes = 2,500)",
        "  out    folder://notes/d.md  (a link out of the folder)",
    ]
    assert not any(stored(stores_settings).values())


def test_without_a_warehouse_all_is_new(
    settings: Settings, site: SiteServer, tmp_path: Path
) -> None:
    listing(site)
    recipe = recipe_file(tmp_path, [web(site.url, feeds=[f"{site.url}/feed"], follow_links=False)])
    code, lines, error = dry_run(settings, recipe)
    assert code == 0, error
    assert "the warehouse does not answer: what is known was taken for new" in lines


def test_a_list_that_is_not_there_ends_it_as_a_crawl(
    stores_settings: Settings, site: SiteServer, tmp_path: Path
) -> None:
    recipe = recipe_file(tmp_path, [web(site.url, sitemaps=[f"{site.url}/sitemap.xml"])])
    code, _, error = dry_run(stores_settings, recipe)
    assert code == 65
    assert f"source 'site': {site.url}/sitemap.xml answered 404" in error
