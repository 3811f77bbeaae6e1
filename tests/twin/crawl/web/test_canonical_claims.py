"""What pages call their canonical page is checked against its text before it is believed."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.twin.crawl.crawls import Crawl, documents, paths, recipe_file, web
from tests.twin.crawl.site_server import Answer, SiteServer, article, serve, sitemap
from tests.twin.crawl.test_replay import drop, replay
from twin.settings import Settings

NAMES = ("/a", "/b", "/c")
WORDS = [
    "the",
    "harbour",
    "clerk",
    "keeps",
    "every",
    "ledger",
    "in",
    "ink",
    "and",
    "reads",
    "it",
    "aloud",
    "at",
    "noon",
    "before",
    "a",
    "tide",
    "turns",
    "while",
    "boats",
    "wait",
    "for",
    "rope",
    "or",
    "coal",
    "and",
    "nobody",
    "may",
    "move",
    "any",
    "line",
    "by",
    "hand",
    "without",
    "two",
    "witnesses",
]


@pytest.fixture
def site() -> Iterator[SiteServer]:
    with serve({}) as running:
        yield running


def calls(canonical: str, title: str, words: int = 120) -> Answer:
    """An article of its own words that calls another page its canonical one."""
    draw = random.Random(title)
    text = " ".join(draw.choice(WORDS) for _ in range(120)).split()[:words]
    head = f'<link rel="canonical" href="{canonical}">'
    return Answer(
        f"<html lang='en'><head><title>{title}</title>{head}</head><body><article><h1>{title}</h1>"
        f"<p>{' '.join(text)}.</p></article></body></html>",
        validated=True,
    )


def home(*links: str) -> Answer:
    items = "".join(f'<li><a href="{link}">{link}</a></li>' for link in links)
    return Answer(f"<html><body><h1>Home</h1><ul>{items}</ul></body></html>")


@pytest.mark.parametrize("entry", ["start", "map"])
@pytest.mark.parametrize("fields", [{}, {"include": ["/[abc]$"]}])
def test_every_article_calls_the_home_page_canonical(
    crawl: Crawl, site: SiteServer, stores_settings: Settings, entry: str, fields: dict[str, object]
) -> None:
    """`canonical-home.recipe.md` of the shared cases; the home page comes first, or last."""
    site.routes |= {name: calls(f"{site.url}/", name) for name in NAMES}
    site.routes |= {"/": home(*NAMES), "/map.xml": sitemap(*(site.url + name for name in NAMES))}
    more = {} if entry == "start" else {"sitemaps": [f"{site.url}/map.xml"]}
    done = crawl(web(site.url, **more, **fields))
    assert done.code == 0, done.error
    assert set(NAMES) <= paths(stores_settings) <= {*NAMES, "/"}
    asked = len(site.requests)
    again = crawl(web(site.url, **more, **fields))
    assert again.code == 99 and again.tally().get("unchanged", 0) >= 3, again.error
    assert all(site.answers[name] == 304 for name in NAMES)
    assert len(site.requests) - asked <= asked


def test_one_article_that_all_others_call_canonical(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    """A template that was copied from a post with its head."""
    site.routes |= {name: calls(f"{site.url}/a", name) for name in NAMES}
    site.routes["/"] = home(*NAMES)
    assert crawl(web(site.url, include=["/[abc]$"])).code == 0
    assert paths(stores_settings) == set(NAMES)


def test_a_view_of_an_article_is_no_document(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    """Whole or cut short, before or after the page that it names; and neither at the next crawl."""
    canonical = f"{site.url}/post"
    views = ("/aa?print=1", "/post", "/zz/amp")
    site.routes |= {
        "/": home(*views),
        "/aa?print=1": calls(canonical, "Post"),
        "/post": calls(canonical, "Post"),
        "/zz/amp": calls(canonical, "Post", 90),
    }
    source = web(site.url, include=["aa", "post", "amp"])
    assert crawl(source).tally() == {"added": 1, "skipped": 3}
    assert paths(stores_settings) == {"/post"}
    again = crawl(source)
    assert again.code == 99 and again.tally() == {"unchanged": 1, "skipped": 3}


def test_a_canonical_page_that_is_not_there(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    """Dead, or leading back to the page that names it: the page stands for itself."""
    site.routes |= {
        "/": home("/a", "/b"),
        "/a": calls(f"{site.url}/old/a.html", "a"),
        "/b": calls(f"{site.url}/B", "b"),
        "/B": Answer(status=301, headers={"Location": "/b"}),
    }
    done = crawl(web(site.url, include=["/[ab]$"]))
    assert done.code == 0, done.error
    assert paths(stores_settings) == {"/a", "/b"}


def test_a_canonical_page_that_fails_today_is_looked_at_tomorrow(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    site.routes |= {
        "/": home("/a?view=1"),
        "/a?view=1": calls(f"{site.url}/a", "a"),
        "/a": Answer(status=503),
    }
    source = web(site.url)
    assert crawl(source, retries=0, max_failed_share=1).code in {65, 75}
    assert paths(stores_settings) <= {"/"}
    site.routes["/a"] = calls(f"{site.url}/a", "a")
    assert crawl(source).code == 0
    assert paths(stores_settings) - {"/"} == {"/a"}


def test_a_page_that_the_recipe_does_not_want_under_any_name(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    site.routes |= {
        "/": home("/kept", "/view"),
        "/kept": Answer(article("Kept")),
        "/view": calls(f"{site.url}/secret", "Secret"),
        "/secret": Answer(article("Secret")),
    }
    assert crawl(web(site.url, include=["kept", "view"], exclude=["/secret"])).code == 0
    assert paths(stores_settings) == {"/kept"}


def test_pages_that_name_one_another(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    """A view of a view of an article; and two that name each other."""
    site.routes |= {
        "/": home("/v2", "/x", "/y"),
        "/v2": calls(f"{site.url}/v1", "Post"),
        "/v1": calls(f"{site.url}/post", "Post"),
        "/post": calls(f"{site.url}/post", "Post"),
        "/x": calls(f"{site.url}/y", "x"),
        "/y": calls(f"{site.url}/x", "y"),
    }
    done = crawl(web(site.url, include=["v1", "v2", "post", "/[xy]$"]))
    assert done.code == 0, done.error
    assert paths(stores_settings) == {"/post", "/x", "/y"}


def test_a_replay_gives_the_same(
    crawl: Crawl, site: SiteServer, stores_settings: Settings, tmp_path: Path
) -> None:
    site.routes |= {name: calls(f"{site.url}/", name) for name in NAMES}
    site.routes["/"] = home(*NAMES)
    source = web(site.url, sitemaps=[f"{site.url}/map.xml"], include=["/[abc]$"])
    site.routes["/map.xml"] = sitemap(*(site.url + name for name in NAMES))
    assert crawl(source).code == 0
    before = {path: one.content for path, one in documents(stores_settings).items()}
    drop(stores_settings)
    done = replay(stores_settings, recipe_file(tmp_path, [source]))
    assert done.code == 0, done.error
    assert {path: one.content for path, one in documents(stores_settings).items()} == before


def test_files_of_a_mirror(crawl: Crawl, stores_settings: Settings, tmp_path: Path) -> None:
    """Files have no other page to look at: the first has the name, the others keep their own."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.html").write_text(str(calls("https://e.org/", name).body))
    source = {"kind": "folder", "name": "site", "path": str(folder), "url_prefix": "https://e.org/"}
    assert crawl(source).tally() == {"added": 3}
    titles = {one.title for one in documents(stores_settings).values()}
    assert titles == {"a", "b", "c"}
    assert crawl(source).tally() == {"unchanged": 3}
    shutil.copy(folder / "c.html", folder / "0.html")
    assert crawl(source).code in {0, 99}
    assert {one.title for one in documents(stores_settings).values()} == {"a", "b", "c"}
