"""The texts of `../shared/cases` that chunking is about, where they lie beside the project."""

from tests.shared_cases import case
from tests.twin.features.test_chunker import chunks
from twin.crawl.page import Page
from twin.crawl.read_article import read_article
from twin.domain.chunk import Chunk
from twin.recipes import CrawlSection


def chunks_of(name: str) -> list[Chunk]:
    page = Page(f"https://ada.example/{name}", case(name).read_bytes(), "text/markdown")
    return chunks(read_article(page, CrawlSection(min_words=5)).content)


def test_each_part_of_a_long_listing_is_one() -> None:
    parts = [chunk.text for chunk in chunks_of("long-code.md") if "```" in chunk.text]
    assert len(parts) > 2
    assert all(text.count("```") == 2 for text in parts)


def test_each_part_of_a_long_table_has_its_header() -> None:
    head = next(line for line in case("long-table.md").read_text().splitlines() if "|" in line)
    parts = [chunk.text for chunk in chunks_of("long-table.md") if "|" in chunk.text]
    assert len(parts) > 2
    assert all(text.lstrip().startswith(head) or head in text for text in parts)


def test_a_formula_with_lines_like_headings() -> None:
    found = chunks_of("math-setext.md")
    assert not any("$$" in heading for chunk in found for heading in chunk.headings)
    assert any(chunk.text.count("$$") >= 2 for chunk in found)
