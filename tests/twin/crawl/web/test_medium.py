"""Medium: profiles and publications, by feed, sitemap and named articles."""

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import pytest

from tests.twin.crawl.crawls import Crawl, documents, held
from tests.twin.crawl.feeds import TEXT, rss, rss_item
from tests.twin.crawl.site_server import Answer, SiteServer, article, serve, sitemap, sitemap_index
from twin.settings import Settings

ONE = "https://medium.com/@tess/one-1a2b3c4d5e6f"
PIXEL = '<img src="https://medium.com/_/stat?event=post.clientViewed" width="1" height="1" alt="">'
FOOTER = (
    '<hr><p><a href="https://medium.com/mag/one">One</a> was originally published in '
    '<a href="https://medium.com/mag">Mag</a> on Medium, where people are continuing the '
    "conversation by highlighting and responding to this story.</p>"
)
PAID = '<script type="application/ld+json">{"isAccessibleForFree":false}</script>'


def source_tag(url: str) -> str:
    return f"{url}?source=rss-0a1b2c3d4e5f------2"


def announced(title: str, url: str) -> str:
    """An item of a member's article, as Medium's feeds have it."""
    snippet = (
        '<div class="medium-feed-item"><p class="medium-feed-snippet">Its first words.</p>'
        f'<p class="medium-feed-link"><a href="{escape(source_tag(url))}">Continue reading on '
        "Medium »</a></p></div>"
    )
    return rss_item(title, source_tag(url), "", description=snippet, creator="Tess Tester")


def item(title: str, url: str, creator: str = "Tess Tester") -> str:
    text = TEXT.replace("sentence", f"sentence of {title}").replace("pods", title)
    body = f"<p>{text}</p><p>The end of {title}.</p>{FOOTER}{PIXEL}"
    return rss_item(title, source_tag(url), body, creator=creator, categories=("ops",))


def medium(site: SiteServer, url: str | None = "https://medium.com/@tess", **more: Any) -> dict:
    source = {"kind": "medium", "name": "medium", "hosts": {"medium.com": site.url}, **more}
    return {**source, "url": url} if url else source


@pytest.fixture
def site() -> Iterator[SiteServer]:
    with serve({}) as running:
        yield running


def test_a_profile_is_its_feed_and_the_articles_that_are_named(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    old = "https://medium.com/@tess/old-9a8b7c6d5e4f"
    aside = '<a href="/@rival/best-of-all-000011112222">You may also like</a>'
    site.routes |= {
        "/feed/@tess": Answer(
            rss(
                item("One", ONE),
                item("Elsewhere", "https://magazine.example/two-2a2b3c4d5e6f"),
                announced("Members", "https://medium.com/@tess/members-3a2b3c4d5e6f"),
                announced("Open after all", "https://medium.com/@tess/open-4a2b3c4d5e6f"),
                announced("Away", "https://magazine.example/away-5a2b3c4d5e6f"),
            )
        ),
        "/@tess/old-9a8b7c6d5e4f": Answer(article("Old", body=aside)),
        "/@tess/members-3a2b3c4d5e6f": Answer(article("Members", head=PAID)),
        "/@tess/open-4a2b3c4d5e6f": Answer(article("Open after all")),
        "/@rival/best-of-all-000011112222": Answer(article("Of somebody else")),
    }
    done = crawl(medium(site, articles=[source_tag(old)]), max_failed_share=0)
    assert done.code == 0, done.error
    found = documents(stores_settings)
    assert {path: one.title for path, one in found.items()} == {
        "/@tess/one-1a2b3c4d5e6f": "One", "/two-2a2b3c4d5e6f": "Elsewhere",
        "/@tess/open-4a2b3c4d5e6f": "Open after all", "/@tess/old-9a8b7c6d5e4f": "Old",
    }  # fmt: skip
    one = found["/@tess/one-1a2b3c4d5e6f"]
    assert (one.url, one.platform, one.byline) == (ONE, "medium", "Tess Tester")
    assert one.tags == ("ops",) and one.content.rstrip().endswith("The end of One.")
    assert set(held(stores_settings)) == {"/@tess/members-3a2b3c4d5e6f", "/away-5a2b3c4d5e6f"}
    assert all("paywall" in reason for reason in held(stores_settings).values())
    assert not any("rival" in path for path in site.requests)
    assert crawl(medium(site, articles=[source_tag(old)])).code == 99


def test_a_publication_has_guests(
    crawl: Crawl, site: SiteServer, stores_settings: Settings
) -> None:
    site.routes["/feed/mag"] = Answer(
        rss(
            item("Mine", "https://medium.com/mag/mine-1a2b3c4d5e6f"),
            item("Theirs", "https://medium.com/mag/theirs-2a2b3c4d5e6f", "Gus Guest"),
        )
    )
    done = crawl(medium(site, "https://medium.com/mag"))
    assert done.code == 0 and done.tally("medium") == {"added": 2, "guests": 1}
    assert [one.title for one in documents(stores_settings).values()] == ["Mine"]
    assert [one.title for one in documents(stores_settings, "gus-guest").values()] == ["Theirs"]


@pytest.mark.parametrize("has_sitemap", [True, False])
def test_a_domain_of_its_own_has_a_sitemap(
    crawl: Crawl, site: SiteServer, stores_settings: Settings, has_sitemap: bool
) -> None:
    base = "https://tess.example"
    site.routes |= {
        "/feed": Answer(rss(item("One", f"{base}/one-1a2b3c4d5e6f"))),
        "/one-1a2b3c4d5e6f": Answer(article("One of the page")),
        "/old-2a2b3c4d5e6f": Answer(article("Old")),
        "/about": Answer(article("About")),
    }
    if has_sitemap:
        names = ("one-1a2b3c4d5e6f", "old-2a2b3c4d5e6f", "about")
        site.routes["/sitemap/sitemap.xml"] = sitemap_index(f"{base}/sitemap/posts.xml")
        site.routes["/sitemap/posts.xml"] = sitemap(*(f"{base}/{name}" for name in names))
    done = crawl(medium(site, f"{base}/", hosts={"tess.example": site.url}))
    assert done.code == 0, done.error
    titles = {one.title for one in documents(stores_settings).values()}
    assert titles == ({"One", "Old"} if has_sitemap else {"One"})


def test_without_a_feed_the_source_fails(crawl: Crawl, site: SiteServer) -> None:
    done = crawl(medium(site))
    assert done.code == 65 and "https://medium.com/feed/@tess answered 404" in done.line


def test_the_real_article(
    crawl: Crawl, shared: Path, site: SiteServer, stores_settings: Settings
) -> None:
    page = (shared / "sites" / "medium.com" / "medium-1.html").read_bytes()
    path = "/@pippinlee/the-open-journalism-project-better-student-journalism-fb39f4f701bb"
    site.routes[path] = Answer(page)
    link = f"https://medium.com{path}?source=user_profile---------7"
    source = {"kind": "medium", "name": "m", "articles": [link], "guests": "include",
              "hosts": {"medium.com": site.url}}  # fmt: skip
    done = crawl(source)
    assert done.code == 0, done.error
    found = documents(stores_settings)[path]
    assert found.title == "The Open Journalism Project: Better Student Journalism"
    assert len(found.content.split()) > 1_000 and found.original_url is None


def test_the_real_linkedin_article(
    crawl: Crawl, shared: Path, site: SiteServer, stores_settings: Settings
) -> None:
    page = (shared / "sites" / "www.linkedin.com" / "pulse-1.html").read_bytes()
    path = "/pulse/what-set-your-soul-fire-2017-ellyn-shook"
    site.routes[path] = Answer(page)
    done = crawl(
        {"kind": "folder", "name": "none", "path": "."},
        options=("--link", f"https://www.linkedin.com{path}?trk=x",
                 "--map-host", f"www.linkedin.com={site.url}"),
        max_failed_share=0,
    )  # fmt: skip
    assert done.code == 0, done.error
    everyone = documents(stores_settings) | documents(stores_settings, "ellyn-shook")
    assert everyone[path].title == "What will set your soul on fire in 2017"
    assert everyone[path].platform == "linkedin"
    assert [asked for asked in site.requests if not asked.startswith(("/robots", "/.well"))] == [
        path
    ]
