"""A page is read again when what decides about it has changed, and only then."""

from typing import Any

import pytest

from twin.crawl import rules
from twin.recipes import Recipe


def recipe(source: dict[str, Any] | None = None, **sections: Any) -> Recipe:
    site = {"kind": "web", "name": "site", "start_urls": ["https://e.org/"], **(source or {})}
    return Recipe.model_validate(
        {"name": "t", "author": {"id": "t", "name": "Tess"}, "sources": [site], **sections}
    )


def of(one: Recipe) -> str:
    return rules.rules_of(one, one.sources[0])


@pytest.mark.parametrize(
    "changed",
    [
        recipe({"exclude": ["/tags/"]}),
        recipe({"guests": "include"}),
        recipe(author={"id": "t", "name": "Tessa"}),
        recipe(crawl={"min_words": 7}),
        recipe(crawl={"keep_links": True}),
        recipe(rights={"licence": "CC-BY-4.0"}),
    ],
)
def test_what_decides_about_a_page_is_in_its_rules(changed: Recipe) -> None:
    assert of(changed) != of(recipe())


@pytest.mark.parametrize(
    "same",
    [
        recipe({"hosts": {"e.org": "http://127.0.0.1:9"}}),
        recipe({"allow_private": ["127.0.0.1:9"]}),
        recipe(crawl={"delay_seconds": 9, "max_pages": 3, "snapshot_crawls": 2}),
        recipe(name="another"),
    ],
)
def test_how_a_page_is_reached_is_not(same: Recipe) -> None:
    assert of(same) == of(recipe())


def test_nor_does_an_older_reader_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = of(recipe())
    monkeypatch.setattr(rules, "READER_VERSION", "next")
    assert of(recipe()) != before
