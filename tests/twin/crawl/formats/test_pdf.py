"""PDF files: what a typesetter took apart is put together again."""

import pytest
from fpdf import FPDF

from tests.twin.crawl.formats.pages import page
from tests.twin.crawl.formats.pdfs import PARAGRAPH, bytes_of, encrypted, prose, report, scan
from twin.crawl.formats.pdf import read_pdf
from twin.crawl.page import Article, UnusableError


def read(body: bytes) -> Article:
    return read_pdf(page("report.pdf", body))


def test_metadata() -> None:
    article = read(bytes_of(report()))
    assert (article.title, article.byline) == ("On the Making of Tests", "Tess Tester")
    assert article.published is not None
    assert article.published.isoformat() == "2024-03-01T09:30:00+00:00"
    assert (article.language, article.tags) == ("en", ("testing", "programs"))


@pytest.mark.parametrize("outline", [False, True])
def test_headings_are_those_of_the_outline_else_larger_lines(outline: bool) -> None:
    content = read(bytes_of(report(outline=outline))).content
    headings = [line for line in content.splitlines() if line.startswith("#")]
    assert headings == ["## Why we test", "## How we test", "## What we learn"]
    assert "On the Making of Tests" not in content, "the title is said once"


def test_paragraphs_are_whole_also_over_pages() -> None:
    pdf = report(paragraphs=9)
    assert len(pdf.pages) > 2
    blocks = read(bytes_of(pdf)).content.split("\n\n")
    found = [block for block in blocks if block.startswith("Paragraph ")]
    assert [block.strip() for block in found] == [
        f"Paragraph {number}.{place} begins. {prose(number * 100 + place)}"
        for number in range(3)
        for place in range(9)
    ]


def test_a_list_is_a_list() -> None:
    content = read(bytes_of(report())).content
    assert (
        f"- the first point\n- the second point, which is longer than a line: {PARAGRAPH.strip()}\n"
        in content
    )


def test_running_heads_and_page_numbers_are_gone() -> None:
    content = read(bytes_of(report())).content
    assert "Journal of Tests" not in content
    assert "Page 1" not in content and "of 3" not in content


def test_words_cut_at_line_ends_are_mended_and_compounds_stay() -> None:
    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("Helvetica", size=11)
    for line in (
        "It is a well-known matter that every type-",
        "setter breaks words where a line is full, and that a well-",
        "known compound must keep what its author gave to it. The Anglo-",
        "Saxon kings had neither of the two, as far as any of us can tell.",
    ):
        pdf.cell(0, 5, line, new_x="LMARGIN", new_y="NEXT")
    content = read(bytes_of(pdf)).content
    assert "every typesetter breaks" in content
    assert "a well-known compound" in content
    assert "Anglo- Saxon" in content or "Anglo-Saxon" in content


@pytest.mark.parametrize("named", ["draft.html", "https://e.org/print?id=7", "Untitled-1"])
def test_a_title_that_names_a_file_or_an_address_is_none(named: str) -> None:
    """Browsers print pages so."""
    pdf = report(metadata=False)
    pdf.set_title(named)
    assert read(bytes_of(pdf)).title == "On the Making of Tests"


def test_without_metadata_the_largest_line_is_the_title() -> None:
    assert read(bytes_of(report(metadata=False))).title == "On the Making of Tests"


def test_a_table_of_contents_is_no_text() -> None:
    pdf = report()
    pdf.add_page()
    pdf.line("Why we test " + ". " * 40 + "1")
    assert ". . ." not in read(bytes_of(pdf)).content


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (encrypted("secret"), "encrypted"),
        (scan(), "no text on its 2 pages: a scan?"),
        (b"%PDF-1.7\nnothing that follows is one", "not a PDF, or a damaged one"),
        (bytes_of(report())[:3000], "not a PDF, or a damaged one"),
    ],
)
def test_what_cannot_be_read_says_why(body: bytes, reason: str) -> None:
    with pytest.raises(UnusableError, match=reason.replace("?", r"\?")):
        read(body)


def test_half_a_scan_is_refused() -> None:
    with pytest.raises(UnusableError, match="no text on 4 of its 5 pages: a scan in part"):
        read(_without_furniture(4))
    assert "cannot fail" in read(_without_furniture(1)).content


def _without_furniture(blank: int) -> bytes:
    pdf = FPDF()
    pdf.set_font("Helvetica", size=11)
    pdf.add_page()
    pdf.multi_cell(0, 5, PARAGRAPH)
    for _ in range(blank):
        pdf.add_page()
        pdf.rect(20, 40, 50, 50, style="F")
    return bytes_of(pdf)


def test_locked_against_changes_only_is_read() -> None:
    assert read(encrypted("")).title == "On the Making of Tests"
