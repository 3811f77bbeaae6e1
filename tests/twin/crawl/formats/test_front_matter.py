"""Front matter of many generators, broken ones too, and what says that a page is not published."""

from datetime import UTC, datetime

import pytest

from tests.conftest import ROOT
from twin.crawl.formats.front_matter import NOT_YET, UNPUBLISHED, split
from twin.crawl.formats.markdown import read_markdown
from twin.crawl.page import DraftError

URL = "folder://f/posts/two-ledgers.md"
CASES = ROOT.parent / "shared" / "cases"
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
MARCH = datetime(2024, 3, 5, tzinfo=UTC)


def read(text: str, url: str = URL, **more):
    return read_markdown(text, url, now=NOW, **more)


@pytest.mark.parametrize(
    "front",
    [
        "---\ntitle: Two ledgers\ndate: 2024-03-05\ntags: [a, b]\n---\n",
        "---\ntitle: Two ledgers\ndate: 2024-03-05\ntags: [a, b]\n...\n",
        "\ufeff---\r\ntitle: Two ledgers\r\ndate: 2024-03-05\r\ntags: a, b\r\n---\r\n",
        "--- \nTitle: 'Two ledgers'\nDate: 2024-03-05\nTags: a, b\n---  \n",
        '---\ntitle: "Two ledgers"\npubDate: 2024-03-05\ntags:\n  - a\n  - b\n---\n',
        "---\ntitle: Two ledgers\ndate: 2024-03-05 00:00:00 +0000\nkeywords: a, b\n---\n",
        "---\ntitle: Two ledgers\ndate: March 5, 2024\ntags: [a, b]\n---\n",
        '+++\ntitle = "Two ledgers"\ndate = 2024-03-05\ntags = ["a", "b"]\n+++\n',
        '+++\ntitle = "Two ledgers"\ndate = 2024-03-05T00:00:00Z\n'
        '[taxonomies]\ntags = ["a", "b"]\n+++\n',
        '+++\r\ntitle = "Two ledgers"\r\ndate = 2024-03-05\r\ntags = ["a", "b"]\r\n+++\r\n',
        '{\n "title": "Two ledgers",\n "date": "2024-03-05",\n "tags": ["a", "b"]\n}\n',
        '{"title": "Two ledgers", "date": "2024-03-05", "tags": "a, b"}\n',
        ';;;\n"title": "Two ledgers", "date": "2024-03-05", "tags": ["a", "b"]\n;;;\n',
        '---json\n{"title": "Two ledgers", "date": "2024-03-05", "tags": ["a", "b"]}\n---\n',
        '---toml\ntitle = "Two ledgers"\ndate = 2024-03-05\ntags = ["a", "b"]\n---\n',
        "Title: Two ledgers\nDate: 2024-03-05\nTags: a, b\n",
    ],
)
def test_every_form_says_title_day_and_tags(front: str) -> None:
    article = read(f"{front}\nThe office keeps two.\n")
    assert article.title == "Two ledgers"
    assert article.published == MARCH
    assert article.tags == ("a", "b")
    assert article.content == "The office keeps two.\n"


@pytest.mark.parametrize(
    ("front", "title"),
    [
        ("---\ntitle: Two ledgers: a tale\ndate: 2024-03-05\n---\n", "Two ledgers: a tale"),
        ("---\ntitle: @two\ndate: 2024-03-05\n---\n", "@two"),
        ("---\ntitle: Two\n\tbad: tab\ndate: 2024-03-05\n---\n", "Two"),
        ('+++\ntitle = "Two"\ndate = 2024-03-05\nbroken =\n+++\n', "Two"),
        ('---json\n"title": "Two",\n"date": "2024-03-05",,\n---\n', "Two"),
        ("---\ntitle: Two\ndate: 2024-03-05\n\nThe office keeps two.", "Two"),
        ("---\ntitle: Two\ntags: [a\ndate: 2024-03-05\n---\n", "Two"),
        (f"---\ntitle: {'[' * 9_000}\ndate: 2024-03-05\n---\n", "two ledgers"),
        ("+++\ntitle = 'Two'\ndate = '2024-03-05'\n\nThe office keeps two.", "Two"),
    ],
)
def test_a_broken_one_costs_neither_text_nor_title(front: str, title: str) -> None:
    article = read(f"{front}\n\nThe office keeps two.\n")
    assert article.title == title
    assert article.published == MARCH
    assert article.content.startswith("The office keeps two.\n")


@pytest.mark.parametrize(
    "text",
    [
        "---\njust a line\n---\n\nText.\n",
        "---\n- a\n- list\n---\n\nText.\n",
        "---\n\nText after a rule.\n",
        "+++\n\nNo end.\n",
        "{ braces } begin this sentence.\n",
        '{"a": 1}\n\nAn example of JSON.\n',
        "{\n  not json\n}\n",
        "Note: this is a sentence.\n\nAnd its text.\n",
        "Title: of nothing else known\n\nText.\n",
    ],
)
def test_what_is_no_front_matter_stays_in_the_text(text: str) -> None:
    assert split(text) == ({}, text)
    assert read(text).content.split() == text.split()


@pytest.mark.parametrize(
    "front",
    [
        "---\ndraft: true\n---",
        "---\nDraft: yes\n---",
        "---\ndraft: 'true'\n---",
        "---\ntitle: a: b\ndraft: true\n---",
        "---\ntitle: a\ndraft: true\n",
        "+++\ndraft = true\n+++",
        "+++\ntitle = broken\ndraft = true\n+++",
        '{"title": "a", "draft": true}',
        "---\npublished: false\n---",
        "---\nstatus: draft\n---",
        "---\nstatus: Hidden\n---",
        "---\nstatus: scheduled\n---",
        "Title: a\nDate: 2024-03-05\nStatus: draft\n",
        "---\neleventyExcludeFromCollections: true\n---",
        "---\npermalink: false\n---",
        "---\ndate: 2026-11-30\n---",
        "---\npublishDate: 2027-01-01\ndate: 2024-03-05\n---",
        "+++\ndate = 2030-01-01T00:00:00Z\n+++",
        "---\ndate: January 5, 2030\n---",
        "---\nexpiryDate: 2026-11-29\n---",
        "+++\nexpiryDate = 2020-01-01\n+++",
    ],
)
def test_what_its_site_does_not_publish_stays_out(front: str) -> None:
    text = f"{front}\n\nThe office keeps two.\n"
    with pytest.raises(DraftError, match=f"^{UNPUBLISHED}"):
        read(text)
    assert "The office keeps two." in read(text, drafts=True).content


@pytest.mark.parametrize(
    "front",
    [
        "---\ndraft: false\n---",
        "---\ndraft:\n---",
        "---\npublished: true\n---",
        "---\npublished: 2024-03-05\n---",
        "---\nstatus: published\n---",
        "---\npermalink: /a/\n---",
        "---\ndate: 2026-11-29 11:59:59\n---",
        "---\nexpiryDate: 2026-11-30\n---",
        "---\nunlisted: true\n---",
        "---\ntitle: draft\n---",
    ],
)
def test_what_is_published_is_read(front: str) -> None:
    assert "The office" in read(f"{front}\n\nThe office keeps two.\n").content


def test_a_day_that_is_yet_to_come_is_told_apart() -> None:
    with pytest.raises(DraftError, match=f"^{NOT_YET}: it is dated 2027-01-01"):
        read("---\ndate: 2027-01-01\n---\nText.")


def test_jekylls_folders_and_file_names_count() -> None:
    with pytest.raises(DraftError, match="folder _drafts"):
        read("---\ntitle: a\n---\nText.", "folder://f/_drafts/two-ledgers.md")
    post = read("---\nlayout: post\n---\nText.", "folder://f/_posts/2024-03-05-two-ledgers.md")
    assert (post.title, post.published) == ("two ledgers", MARCH)
    assert read("Text.", "folder://f/2024-13-45-a.md").published is None


def test_a_last_change_is_known() -> None:
    article = read("---\ndate: 2024-03-05\nlastmod: 2025-01-02\n---\nText.")
    assert article.modified == datetime(2025, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "---\n" + "a: b\n" * 200_000,
        "---\n" * 200_000,
        "+++\n" + "[" * 1_000_000,
        '{"title": ' + "[" * 1_000_000,
        "---\n" + "[" * 100_000 + "\n---\nText.",
        "title: " + "x" * 1_000_000,
        "---json\n" + "{" * 500_000 + "\n---\n",
    ],
)
def test_a_megabyte_of_openings_is_read_at_once(text: str) -> None:
    split(text)


@pytest.mark.parametrize("name", ["hugo", "jekyll"])
def test_shared_case_of_a_generators_page(name: str) -> None:
    article = read(shared(name))
    assert article.title in ("Two ledgers", "Two ledgers: a tide table")
    assert article.published.date() == MARCH.date()
    for trace in ("{{", "{%", "+++", "{:", "endhighlight", "include"):
        assert trace not in article.content
    assert "```python\ndef moor" in article.content or "```ruby\nputs 1\n```" in article.content
    assert article.content.count("\n\n") >= 2


def test_shared_case_of_a_draft_is_refused() -> None:
    with pytest.raises(DraftError, match="draft"):
        read(shared("hugo-draft"))


def shared(name: str) -> str:
    path = CASES / f"{name}.md"
    if not path.is_file():
        pytest.skip(f"needs {path.name} of the shared cases")
    return path.read_text(encoding="utf-8")
