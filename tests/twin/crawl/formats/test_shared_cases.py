"""The pages and files of `../shared/cases`, where they lie beside the project."""

import runpy
import subprocess
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from tests.conftest import ROOT
from tests.forked_twin import run_twin
from tests.shared_cases import FOLDER, case
from twin.crawl.page import Article, DraftError, Page
from twin.crawl.read_article import read_article
from twin.recipes import CrawlSection

CHECK = FOLDER / "check-pages.py"
#: Its check forbids a line that begins with ``# `` anywhere, and so in a fenced listing, too.
CONTRADICTORY = {"code-no-pre.html"}
TYPES = {
    ".html": "text/html",
    ".md": "text/markdown",
    ".ipynb": "application/x-ipynb+json",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".srt": "application/x-subrip",
}


def read(name: str) -> Article:
    path = case(name)
    page = Page(f"https://ada.example/posts/{path.stem}", path.read_bytes(), TYPES[path.suffix])
    return read_article(page, CrawlSection(min_words=5, keep_links=True))


@pytest.mark.skipif(not CHECK.exists(), reason="no ../shared/cases")
def test_pages_of_the_shared_cases(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its check runs `twin crawl extract` for each page: these are forked."""
    monkeypatch.setattr(subprocess, "run", lambda command, **_: run_twin(*command[1:]))
    with suppress(SystemExit):
        runpy.run_path(str(CHECK), run_name="__main__")
    output = capsys.readouterr().out
    failed = {line.split()[1] for line in output.splitlines() if line.startswith("FAIL")}
    assert "page cases:" in output
    assert failed <= CONTRADICTORY, output


@pytest.mark.skipif(not CHECK.exists(), reason="no ../shared/cases")
def test_every_shared_case_is_in_a_test() -> None:
    """By its name in full, or in that check."""
    tests = [path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py")]
    written = "\n".join([*tests, CHECK.read_text("utf-8")])
    # The check builds some names of their parts.
    built = {"section-doubtful.html", "footnotes-hugo.html"}
    names = {path.name.removesuffix(".expect.md") for path in FOLDER.glob("*.expect.md")}
    assert {name for name in names - built if name not in written} == set()


@pytest.mark.parametrize("name", ["code-expressive-plain.html", "code-rouge-table.html"])
def test_a_listing_in_a_table_or_in_lines(name: str) -> None:
    assert "```python\ntotal = sum(fleet)\nprint(total)\n```" in read(name).content


def test_a_listing_of_a_line_an_element() -> None:
    content = read("code-expressive.html").content
    code = "def ferry(boats):\n    for boat in boats:\n        if boat.late:\n"
    assert f"```python\n{code}            yield boat.name\n\nprint(list(ferry(fleet)))" in content
    assert content.count("```") == 2


def test_a_manual_whose_headings_are_words_of_furniture() -> None:
    content = read("section-sphinx.html").content
    for heading in ("## Queues", "## Print and export", "## Share a ledger"):
        assert heading in content
    assert "which is why the parser keeps it" in content and "papers treat the same" in content


def test_a_listing_with_its_caption_and_a_quotation() -> None:
    content = read("code-figure-caption.html").content
    assert "```python\ntotal = sum(fleet)\nprint(total)\n```" in content
    assert "Listing 2" in content and "A queue that is never empty is a landfill, and" in content


def test_the_language_that_a_plugin_is_told() -> None:
    assert "```python\nx = 1\ny = 2" in read("code-wp-block.html").content


def test_a_listing_without_pre() -> None:
    """`code-no-pre.html`: what its own check asks for, but for a line that it forbids."""
    content = read("code-no-pre.html").content
    listing = "def moor(boat):\n    return boat.rope + 3\n"
    assert any(listing in part for part in content.split("```")[1::2])


def test_markdown_that_a_notebook_shows() -> None:
    content = read("display.ipynb").content
    assert "**The bell** rings at eight" in content and "<IPython" not in content
    assert r"\frac{x^{2}}{2}" in content


def test_equations_of_word() -> None:
    content = read("equations.docx").content
    assert r"energy of the wave is $E = {mc}^2$ for every boat" in content
    assert r"$$\frac{a}{b}$$" in content


def test_captions_that_repeat_their_tail() -> None:
    assert read("tail.srt").content.strip() == (
        "so the harbour office keeps two ledgers and nobody is allowed to move a line by hand "
        "from one to the other"
    )


def test_front_matter_of_hugo() -> None:
    article = read("hugo.md")
    assert article.title == "Two ledgers"
    assert article.published == datetime(2024, 3, 5, 10, tzinfo=UTC)
    assert article.tags == ("harbour", "queues")
    assert "+++" not in article.content and "draft" not in article.content
    assert "```python\ndef moor(b):" in article.content
    with pytest.raises(DraftError):
        read("hugo-draft.md")


def test_tags_of_jekyll() -> None:
    content = read("jekyll.md").content
    assert "```ruby\nputs 1\n```" in content
    assert "{%" not in content and "{:" not in content and "include" not in content
