"""Crawls of a site that changes in between: what is asked for, stored, gone and told."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.forked_twin import run_twin
from tests.twin.crawl.crawls import Crawl, Crawled, environment, recipe_file, run_crawl, web
from tests.twin.crawl.site_server import Answer, SiteServer, article, serve, sitemap, sitemap_index
from twin.domain.document import DocumentStatus
from twin.domain.result import JobResult
from twin.features.build import build
from twin.job import Job
from twin.recipes import load_recipe
from twin.settings import Settings
from twin.stores.index import open_index
from twin.stores.warehouse import open_warehouse

MONDAY = "Mon, 05 Jan 2026 10:00:00 GMT"


@pytest.fixture
def site() -> Iterator[SiteServer]:
    with serve({}) as running:
        yield running


def post(title: str, body: str = "", **fields: Any) -> Answer:
    return Answer(article(title, body=body), validated=True, **fields)


def link(*paths: str) -> str:
    return " ".join(f'<a href="{path}">{path}</a>' for path in paths)


def states(settings: Settings) -> dict[str, str]:
    """Path of every document to its status."""
    with open_warehouse(settings) as warehouse:
        return {
            re.sub(r"^[a-z]+://[^/]+", "", item.url): item.status.value
            for item in warehouse.summaries("tester")
        }


def twin(settings: Settings, *arguments: str) -> tuple[int, str]:
    """Code and output of a command that is no job."""
    done = run_twin(*arguments, env=environment(settings), timeout=60)
    return done.returncode, done.stdout + done.stderr


# Conditional requests


def test_a_known_page_is_asked_for_news_only_and_still_leads_on(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    """By ETag and by date; listings, pages that are not included and documents alike."""
    site.routes.update(
        {
            "/": Answer(article("Home", 5, body=link("/posts/a", "/tags/t/")), validated=True),
            "/tags/t/": post("Tagged", link("/posts/b")),
            "/posts/a": post("A", link("/posts/dated")),
            "/posts/b": post("B"),
            "/posts/dated": Answer(article("Dated"), last_modified=MONDAY),
        }
    )
    source = web(site.url, include=["/posts/"])
    first = crawl(source)
    assert first.code == 0, first.error
    assert set(site.answers.values()) == {200, 404}  # robots.txt is not there
    again = crawl(source)
    assert again.code == 99, again.error
    assert again.tally() == {"unchanged": 3, "skipped": 2}
    absent = ("/robots.txt", "/.well-known/tdmrep.json")
    assert site.answers == {**dict.fromkeys(absent, 404), **dict.fromkeys(site.routes, 304)}
    # A new page behind one that has not changed, and a changed page.
    site.routes["/tags/t/"] = post("Tagged", link("/posts/b", "/posts/new"))
    site.routes["/posts/new"] = post("New")
    site.routes["/posts/dated"] = Answer(article("Dated", body="<p>News in many words.</p>"))
    third = crawl(source)
    assert third.code == 0, third.error
    assert third.tally() == {"added": 1, "changed": 1, "unchanged": 2, "skipped": 2}
    assert {path for path, status in site.answers.items() if status == 304} == {
        "/", "/posts/a", "/posts/b",
    }  # fmt: skip
    code, said = twin(stores_settings, "crawl", "diff", "--recipe", recipe_of(third), "--text")
    assert code == 0, said
    assert re.search(r"^site: 1 added, 1 changed by the crawl of ", said), said
    assert f"+ New  {site.url}/posts/new" in said and f"~ Dated  {site.url}/posts/dated" in said
    assert re.search(r"^\+News in many words\.$", said, re.M), said
    assert not re.search(r"^-[^-]", said, re.M), said


def recipe_of(done: Crawled) -> str:
    return str(done.result["recipe"])


def test_no_304_hides_a_change_of_readers_or_a_lost_snapshot(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    site.routes["/"] = post("Home")
    crawl(web(site.url))
    with open_warehouse(stores_settings) as warehouse:
        warehouse.collection("pages").update_many({}, {"$set": {"reader": "of yesterday"}})
    crawl(web(site.url))
    assert site.answers["/"] == 200, "an older reader's outcome counts for nothing"
    crawl(web(site.url))
    assert site.answers["/"] == 304
    assert crawl(web(site.url), options=("--full",)).code == 99
    assert site.answers["/"] == 200, "all is fetched with --full"
    crawl(web(site.url), min_words=30)
    assert site.answers["/"] == 200, "other rules may see the page otherwise"
    for file in (stores_settings.home / "files" / "snapshots").rglob("*.warc.gz"):
        file.unlink()
    crawl(web(site.url), min_words=30)
    assert site.answers["/"] == 200, "its raw bytes are lost, so they are fetched again"
    crawl(web(site.url), min_words=30)
    assert site.answers["/"] == 304


def test_a_304_behind_a_redirect_is_not_believed(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    """The page was asked with another page's date, and answers that it has not changed since."""
    site.routes.update(
        {
            "/": post("Home", link("/old")),
            "/old": Answer(article("Old"), last_modified=MONDAY),
        }
    )
    crawl(web(site.url))
    site.routes["/old"] = Answer(status=301, headers={"Location": "/new"})
    site.routes["/new"] = Answer(article("New"), last_modified=MONDAY)
    done = crawl(web(site.url))
    assert done.code == 0, done.error
    assert states(stores_settings)["/new"] == "live"


# Gone


def test_missing_thrice_is_gone_once_is_not_and_410_is_at_once(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    site.routes["/"] = post("Home", link("/a", "/b", "/c"))
    site.routes.update({f"/{name}": post(name.upper()) for name in "abc"})
    source = web(site.url)
    assert crawl(source, max_failed_share=0.9).code == 0
    site.routes["/a"] = Answer(status=404)
    site.routes["/b"] = Answer(status=410)
    second = crawl(source, max_failed_share=0.9)
    assert second.code == 0 and second.tally()["gone"] == 1
    assert states(stores_settings) == {"/": "live", "/a": "live", "/b": "gone", "/c": "live"}
    site.routes["/a"] = post("A")  # it was but a hiccup: counting starts again
    crawl(source, max_failed_share=0.9)
    site.routes["/a"] = Answer(status=404)
    for _ in range(2):
        crawl(source, max_failed_share=0.9)
        assert states(stores_settings)["/a"] == "live"
    # Once more, but that crawl fails: it says nothing.
    assert crawl(source, max_failed_share=0.1).code == 65
    assert states(stores_settings)["/a"] == "live"
    last = crawl(source, max_failed_share=0.9)
    assert last.code == 0 and states(stores_settings)["/a"] == "gone"
    _, said = twin(stores_settings, "crawl", "diff", "--recipe", recipe_of(last))
    assert said.startswith("site: 1 removed by") and f"\n- A  {site.url}/a\n" in said
    # It comes back, with the very bytes that are known.
    site.routes["/a"] = post("A")
    back = crawl(source, max_failed_share=0.9)
    assert back.tally()["restored"] == 1 and states(stores_settings)["/a"] == "live"
    _, said = twin(stores_settings, "crawl", "diff", "--recipe", recipe_of(last))
    assert f"^ A  {site.url}/a" in said


def test_a_retried_run_counts_a_missing_page_once(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    site.routes["/"] = post("Home", link("/a"))
    site.routes["/a"] = post("A")
    crawl(web(site.url))
    site.routes["/a"] = Answer(status=404)
    for _ in range(4):
        crawl(web(site.url), options=("--run-id", "tuesday"), max_failed_share=0.9)
    assert states(stores_settings)["/a"] == "live"


def test_pages_that_a_complete_sitemap_drops_are_gone(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    """Though they still answer; unless the crawl did not read all of the sitemap."""
    site.routes.update({f"/{name}": post(name.upper()) for name in "abcd"})
    site.routes["/map.xml"] = sitemap(*(f"{site.url}/{name}" for name in "abcd"))
    source = web(site.url, sitemaps=[f"{site.url}/map.xml"], follow_links=False)
    crawl(source, gone_after=2)
    site.routes["/a"] = Answer(status=410)
    left_out = crawl(source, gone_after=1, max_pages=2, max_failed_share=0.9)
    assert left_out.result["detail"]["site: beyond crawl.max_pages"] == 2
    assert set(states(stores_settings).values()) == {"live"}, "cut short, it says nothing"
    site.routes["/a"] = post("A")
    site.routes["/map.xml"] = sitemap(*(f"{site.url}/{name}" for name in "abc"))
    assert crawl(source, gone_after=2).code == 99
    site.requests.clear()
    assert crawl(source, gone_after=2).tally() == {"unchanged": 3, "gone": 1}
    assert "/d" not in site.requests
    assert states(stores_settings) == {"/a": "live", "/b": "live", "/c": "live", "/d": "gone"}
    site.routes["/map.xml"] = Answer(status=503)
    assert crawl(source, gone_after=1, retries=0).code == 75
    assert list(states(stores_settings).values()).count("live") == 3


def test_a_part_of_the_sitemap_that_is_lost_says_nothing(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    """Of an index of sitemaps: what it listed need not be gone, and what was dropped stays so."""
    site.routes.update({f"/{name}": post(name.upper()) for name in "abc"})
    parts = [f"{site.url}/one.xml", f"{site.url}/two.xml"]
    site.routes["/map.xml"] = sitemap_index(*parts)
    site.routes["/one.xml"] = sitemap(f"{site.url}/a")
    site.routes["/two.xml"] = sitemap(f"{site.url}/b", f"{site.url}/c")
    source = web(site.url, sitemaps=[f"{site.url}/map.xml"], follow_links=False)
    options = {"gone_after": 1, "max_failed_share": 0.9}
    assert crawl(source, **options).code == 0
    site.routes["/two.xml"] = sitemap(f"{site.url}/b")
    assert crawl(source, **options).tally() == {"unchanged": 2, "gone": 1}
    for broken in (Answer(status=404), Answer("no sitemap", media_type="text/xml")):
        site.routes["/two.xml"] = broken
        done = crawl(source, **options)
        assert done.tally() == {"unchanged": 2, "failed": 1}, done.error
        assert states(stores_settings) == {"/a": "live", "/b": "live", "/c": "gone"}


def test_cross_posts_are_gone_or_kept_as_their_pages_are(
    crawl: Crawl, site: SiteServer, stores_settings: Settings, tmp_path: Path
) -> None:
    """A duplicate stands like any document; when the one that was kept goes, it takes its place."""
    text = " ".join(f"Sentence {number} is of pods and on the whole." for number in range(40))
    site.routes["/"] = post("Home", link("/a", "/b"))
    for name in "ab":
        body = f"<p>{name} {text.replace('pods', name)}</p>"
        site.routes[f"/{name}"] = Answer(article(name.upper(), 1, body=body), validated=True)
    folder = tmp_path / "notes"
    folder.mkdir()
    for name in "ab":
        note = f"# {name.upper()}\n\n{name} {text.replace('pods', name)}\n"
        (folder / f"{name}.md").write_text(note)
    notes = {"kind": "folder", "name": "notes", "path": str(folder)}
    source = web(site.url)
    recipe = recipe_file(tmp_path, [source, notes], max_failed_share=0.9)
    assert run_crawl(stores_settings, recipe).code == 0
    before = states(stores_settings)
    assert sorted(before.values()) == ["duplicate", "duplicate", "live", "live", "live"]
    (kept,) = {path for path in ("/a", "/a.md") if before[path] == "live"}
    (other,) = {"/a", "/a.md"} - {kept}
    assert run_crawl(stores_settings, recipe).code == 99, "and nothing changes by itself"
    assert states(stores_settings) == before

    def lose(path: str) -> None:
        if path.endswith(".md"):
            (folder / path.strip("/")).unlink()
        else:
            site.routes[path] = Answer(status=410)

    lose(kept)
    done = run_crawl(stores_settings, recipe)
    assert done.code == 0, done.error
    assert states(stores_settings)[kept] == "gone"
    assert states(stores_settings)[other] == "live"
    duplicate = next(path for path, state in states(stores_settings).items() if state[0] == "d")
    lose(duplicate)
    done = run_crawl(stores_settings, recipe)
    assert done.code == 0, done.error
    assert states(stores_settings)[duplicate] == "gone"
    assert list(states(stores_settings).values()).count("live") == 3


def test_a_link_says_nothing_of_the_recipes_sources(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    site.routes["/"] = post("Home", link("/a"))
    site.routes["/a"] = post("A")
    site.routes["/single"] = post("Single")
    source = web(site.url)
    assert crawl(source).code == 0
    site.routes["/a"] = Answer(status=410)
    done = crawl(source, options=("--link", f"{site.url}/single"), gone_after=1)
    assert done.code == 0, done.error
    assert set(states(stores_settings).values()) == {"live"}
    assert crawl(source, gone_after=1, max_failed_share=0.9).code == 0
    assert states(stores_settings) == {"/": "live", "/a": "gone", "/single": "live"}


def test_what_a_feed_no_longer_lists_is_asked_for_by_itself(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    """A feed has the newest pages only: the others are known, and stay fresh, until they go."""

    def feed(*names: str) -> Answer:
        items = "".join(f"<item><link>{site.url}/{name}</link></item>" for name in names)
        return Answer(f"<rss><channel>{items}</channel></rss>", media_type="text/xml")

    site.routes.update({f"/{name}": post(name.upper()) for name in "abc"})
    site.routes["/feed"] = feed("a", "b", "c")
    source = web(site.url, feeds=[f"{site.url}/feed"], follow_links=False)
    crawl(source)
    site.routes["/feed"] = feed("c")
    site.routes["/a"] = post("A", "<p>Corrected since then.</p>")
    site.routes["/b"] = Answer(status=410)
    done = crawl(source, max_failed_share=0.5)
    assert done.tally() == {"changed": 1, "unchanged": 1, "gone": 1, "failed": 1}, done.error
    site.routes["/b"] = post("B")  # which nothing leads to any more
    assert crawl(source).tally() == {"restored": 1, "unchanged": 2}
    # What the recipe no longer wants is missed like what is no longer there.
    narrow = web(site.url, feeds=[f"{site.url}/feed"], follow_links=False, exclude=["/a$"])
    crawl(narrow, gone_after=1)
    assert states(stores_settings) == {"/a": "gone", "/b": "live", "/c": "live"}


def test_a_deleted_file_is_gone_at_once_an_unreadable_one_is_not(
    crawl: Crawl, stores_settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.md").write_text(f"# {name}\n\n" + f"Words about {name} go here. " * 20)
    source = {"kind": "folder", "name": "notes", "path": str(folder)}
    assert crawl(source).code == 0
    (folder / "a.md").unlink()
    (folder / "b.md").write_bytes(b"\xff\xfe broken" * 40)
    done = crawl(source, max_failed_share=0.9)
    assert done.code == 0, done.error
    assert states(stores_settings) == {"/a.md": "gone", "/b.md": "live", "/c.md": "live"}
    assert crawl({**source, "path": str(tmp_path / "nothing")}).code == 65
    assert states(stores_settings)["/c.md"] == "live"


def test_the_index_loses_what_the_site_has_lost(
    site: SiteServer, stores_settings: Settings, tmp_path: Path
) -> None:
    site.routes["/"] = post("Home", link("/a"))
    site.routes["/a"] = post("Away")
    recipe = recipe_file(tmp_path, [web(site.url)], max_failed_share=0.9)

    def indexed() -> set[str]:
        loaded = load_recipe(str(recipe), tmp_path)
        result = JobResult(job="features build", recipe=loaded.name, run_id="r")
        build(Job(loaded, stores_settings, "r", result))
        reader = open_index(stores_settings, loaded).read()
        return {chunk.title for chunk in reader.chunks()}

    run_crawl(stores_settings, recipe)
    assert indexed() == {"Home", "Away"}
    site.routes["/a"] = Answer(status=410)
    assert run_crawl(stores_settings, recipe).code == 0
    assert indexed() == {"Home"}
    with open_warehouse(stores_settings) as warehouse:
        (gone,) = warehouse.summaries("tester", DocumentStatus.GONE)
        assert [item.title for item in warehouse.revisions(gone.id)] == ["Away"], "history stays"


# Diff


def test_a_diff_of_a_run_as_json_and_of_none(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    site.routes["/"] = post("Home")
    first = crawl(web(site.url), options=("--run-id", "one"))
    site.routes["/"] = post("Home", "<p>And one more line.</p>")
    crawl(web(site.url), options=("--run-id", "two"))
    recipe = recipe_of(first)
    code, said = twin(stores_settings, "crawl", "diff", "--recipe", recipe, "--run-id", "one")
    assert code == 0 and said.startswith("site: 1 added by")
    _, data = twin(stores_settings, "crawl", "diff", "--recipe", recipe, "--json")
    assert '"kind": "changed"' in data and '"run_id": "two"' in data
    code, said = twin(stores_settings, "crawl", "diff", "--recipe", recipe, "--run-id", "three")
    assert code == 65 and "no crawl of site has ended in run 'three'" in said
