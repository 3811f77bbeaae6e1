"""Markdown files as articles."""

from datetime import UTC, datetime

import pytest

from twin.crawl.formats.markdown import language, published, read_markdown, tags, title_from_url

URL = "folder://f/why-pods.md"


def test_front_matter_says_what_is_known() -> None:
    article = read_markdown(
        "---\ntitle: Why Pods\nsubtitle: One job, one box\ndate: 2026-03-01\nlang: en-GB\n"
        "tags: [ops, pods]\n---\n# Why Pods\n\nBecause.\n\n## More\n\nText.\n",
        URL,
    )
    assert article.title == "Why Pods" and article.subtitle == "One job, one box"
    assert article.published == datetime(2026, 3, 1, tzinfo=UTC)
    assert article.language == "en" and article.tags == ("ops", "pods")
    assert article.content == "Because.\n\n## More\n\nText.\n"


def test_the_first_heading_is_the_title_and_leaves_the_text() -> None:
    article = read_markdown("Some words before.\n\n# The `Title` #\n\nText.", URL)
    assert article.title == "The `Title`"
    assert article.content == "Some words before.\n\n\nText.\n"


def test_a_heading_that_says_something_else_than_the_title_stays() -> None:
    article = read_markdown("---\ntitle: One\n---\n# Two\n\nText.", URL)
    assert article.title == "One" and article.content.startswith("# Two")


def test_code_is_no_title_and_stays_as_it_is() -> None:
    code = "```python\n# not a title\nif x:\n    y = 1\n```"
    article = read_markdown(f"{code}\n\nText.", URL)
    assert article.title == "why pods" and code in article.content


def test_empty_front_matter_is_none() -> None:
    assert read_markdown("---\n---\n# T\n\nText.", URL).title == "T"


def test_horizontal_rules_are_no_front_matter() -> None:
    assert read_markdown("Text.\n\n---\n\nMore: text.\n\n---\n", URL).content.count("---") == 2


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T10:00:00+02:00", datetime.fromisoformat("2026-03-01T10:00:00+02:00")),
        (datetime(2026, 3, 1, 4, 5), datetime(2026, 3, 1, 4, 5, tzinfo=UTC)),
        ("last spring", None),
        (None, None),
        (20260301, None),
    ],
)
def test_dates(value: object, expected: datetime | None) -> None:
    assert published(value) == expected


def test_small_readings() -> None:
    assert [language(tag) for tag in ("en-us", "DE", "und-x", "english", "", None)] == [
        "en", "de", "und", None, None, None,
    ]  # fmt: skip
    assert tags(["a, b", "b", " c "]) == ("a", "b", "c") and tags("x,y") == ("x", "y")
    assert tags(None) == ()
    assert tags([2026, ["nested"], {"a": 1}, None, "plain"]) == ("2026", "plain")


def test_lists_nested_by_aliases_cost_nothing():
    """The "billion laughs", in the front matter of a page."""
    levels = "\n".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" if n else "a0: &a0 [lol]" for n in range(9)
    )
    text = f"---\n{levels}\ntags: *a8\ntitle: Laughs\n---\nText.\n"
    assert read_markdown(text, "https://x.example/laughs").tags == ()
    assert title_from_url("https://e.org/posts/a%20b_c-d/") == "a b c d"
    assert title_from_url("https://e.org/") == "e.org"
