"""What a pasted link means."""

import re

import pytest
from pydantic import TypeAdapter

from twin.crawl.sources.by_url import source_of_link
from twin.domain.errors import BadDataError
from twin.recipes import Source

POST = "https://medium.com/@jane/a-title-1a2b3c4d5e6f"


@pytest.mark.parametrize(
    ("link", "kind", "fields"),
    [
        (
            "https://jane.substack.com",
            "substack",
            {"url": "https://jane.substack.com", "posts": ()},
        ),
        ("https://jane.substack.com/archive?sort=new", "substack", {"posts": ()}),
        (
            "https://jane.substack.com/p/a-title?r=1ab2c&utm_campaign=post",
            "substack",
            {"posts": ("https://jane.substack.com/p/a-title",)},
        ),
        (
            "https://open.substack.com/pub/jane/p/a-title?r=1ab2c",
            "substack",
            {"url": "https://jane.substack.com", "posts": ("https://jane.substack.com/p/a-title",)},
        ),
        ("https://substack.com/@jane/note/c-202380205", "web", {"follow_links": False}),
        ("https://medium.com/@jane", "medium", {"url": "https://medium.com/@jane"}),
        ("https://medium.com/feed/@jane", "medium", {"url": "https://medium.com/@jane"}),
        ("https://medium.com/some-magazine", "medium", {"url": "https://medium.com/some-magazine"}),
        ("https://jane.medium.com/", "medium", {"url": "https://jane.medium.com/"}),
        (f"{POST}?source=user_profile---------3", "medium", {"articles": (POST,), "url": None}),
        (
            "https://www.linkedin.com/pulse/what-i-think-jane-doe?trk=feed",
            "web",
            {
                "start_urls": ("https://www.linkedin.com/pulse/what-i-think-jane-doe",),
                "follow_links": False,
            },
        ),
        ("https://e.org/feed/", "web", {"feeds": ("https://e.org/feed/",)}),
        ("https://e.org/atom.xml", "web", {"feeds": ("https://e.org/atom.xml",)}),
        ("https://e.org/sitemap.xml.gz", "web", {"sitemaps": ("https://e.org/sitemap.xml.gz",)}),
        ("https://e.org", "web", {"start_urls": ("https://e.org/",), "follow_links": True}),
        (
            "https://e.org/posts/a/?utm_source=x#top",
            "web",
            {"start_urls": ("https://e.org/posts/a/",), "follow_links": False},
        ),
    ],
)
def test_links(link: str, kind: str, fields: dict[str, object]) -> None:
    source = source_of_link(link)
    assert source.kind == kind
    assert {name: getattr(source, name) for name in fields} == fields
    assert re.fullmatch(r"link-[a-z0-9-]+", source.name)
    again: Source = TypeAdapter(Source).validate_python(source.model_dump())
    assert again == source == source_of_link(link)


def test_links_of_one_page_have_one_name_and_others_another() -> None:
    assert source_of_link(POST).name == source_of_link(f"{POST}?source=rss").name
    assert source_of_link("https://e.org/a").name != source_of_link("https://e.org/b").name
    assert len(source_of_link(f"https://e.org/{'long-' * 50}").name) <= 41


@pytest.mark.parametrize(
    ("link", "fields"),
    [
        ("https://github.com/jane", {"user": "jane", "repositories": ()}),
        ("https://github.com/jane/pods.git", {"user": "jane", "repositories": ("pods",)}),
        (
            "https://github.com/jane/pods/blob/main/docs/why.md",
            {"repositories": ("pods",), "include": ("docs/why.md",)},
        ),
    ],
)
def test_github_links(link: str, fields: dict[str, object]) -> None:
    source = source_of_link(link)
    assert source.kind == "github"
    assert {name: getattr(source, name) for name in fields} == fields


@pytest.mark.parametrize(
    ("link", "hint"),
    [
        ("not a link", "give a whole address"),
        ("ftp://e.org/a", "give a whole address"),
        ("file:///etc/passwd", "give a whole address"),
        ("http://[x", "give a whole address"),
        ("", "give a whole address"),
        ("https://www.linkedin.com/in/jane", "linkedin_export"),
        ("https://www.linkedin.com/posts/jane_pods-activity-7", "linkedin_export"),
        ("https://substack.com/@jane", "give the address of one"),
    ],
)
def test_links_that_cannot_be_crawled_say_what_to_give(link: str, hint: str) -> None:
    with pytest.raises(BadDataError, match=re.escape(hint)):
        source_of_link(link)
