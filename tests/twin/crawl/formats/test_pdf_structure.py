"""Lists and tables of PDF files: by where words stand, and as a browser prints and tags them."""

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from fpdf import FPDF

from tests.twin.crawl.formats.pages import page
from tests.twin.crawl.formats.pdfs import bytes_of, prose, tagged_without_end
from twin.crawl.formats.pdf import read_pdf
from twin.crawl.formats.pdf_lines import Line
from twin.crawl.formats.pdf_paragraphs import blocks_of
from twin.crawl.formats.pdf_tags import Role, Tag


def content_of(body: bytes) -> str:
    return read_pdf(page("report.pdf", body)).content


# Without tags


def drawn() -> FPDF:
    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("Helvetica", size=11)
    pdf.multi_cell(0, 5, prose(1), new_x="LMARGIN", new_y="NEXT")
    pdf.ln(4)
    return pdf


def put(pdf: FPDF, text: str, indentation: float = 0) -> None:
    pdf.set_x(pdf.l_margin + indentation)
    pdf.multi_cell(0, 5, text, new_x="LMARGIN", new_y="NEXT")


def put_row(pdf: FPDF, *cells: str, widths: tuple[float, ...] = (50, 30, 30)) -> None:
    for cell, width in zip(cells, widths, strict=True):
        pdf.cell(width, 5, cell)
    pdf.ln(5)


def test_items_are_nested_by_their_indentation() -> None:
    pdf = drawn()
    put(pdf, "- one")
    put(pdf, "- inner", 8)
    put(pdf, f"- inner, longer: {prose(2)}", 8)
    put(pdf, "- two")
    pdf.ln(4)
    put(pdf, "The end of the list is here.")
    assert content_of(bytes_of(pdf)).endswith(
        f"\n\n- one\n  - inner\n  - inner, longer: {prose(2)}\n- two\n\n"
        "The end of the list is here.\n"
    )


def test_numbered_items_keep_their_numbers() -> None:
    pdf = drawn()
    for number in range(8, 12):
        put(pdf, f"{number}. item {number}", 0 if number > 9 else 1.5)
        put(pdf, "- below it", 10)
    text = content_of(bytes_of(pdf))
    assert "8. item 8\n   - below it\n9. item 9\n   - below it\n10. item 10\n    - below" in text


def test_words_in_columns_are_a_table() -> None:
    pdf = drawn()
    rows = [("Pier", "Height", "Built"), ("North | old", "12 m", "1901"), ("South", "", "1888"),
            ("A pier with a longer name", "7 m", "1923")]  # fmt: skip
    for row in rows:
        put_row(pdf, *row)
    pdf.ln(4)
    put(pdf, "Behind the table.")
    assert content_of(bytes_of(pdf)).endswith(
        "| Pier | Height | Built |\n| --- | --- | --- |\n| North \\| old | 12 m | 1901 |\n"
        "| South |  | 1888 |\n| A pier with a longer name | 7 m | 1923 |\n\nBehind the table.\n"
    )


def test_numbers_may_be_aligned_on_the_right() -> None:
    pdf = drawn()
    with pdf.table(text_align=("LEFT", "RIGHT"), col_widths=(50, 20), width=90) as table:
        for row in (("Name", "Sum"), ("First", "7"), ("Second", "1,200"), ("Third", "15")):
            table.row(row)
    assert content_of(bytes_of(pdf)).endswith(
        "| Name | Sum |\n| --- | --- |\n| First | 7 |\n| Second | 1,200 |\n| Third | 15 |\n"
    )


def test_a_table_that_goes_on_with_its_head_on_the_next_page_is_one() -> None:
    pdf = FPDF()
    pdf.set_font("Helvetica", size=11)
    for start in (0, 3):
        pdf.add_page()
        pdf.ln(60)
        put_row(pdf, "Name", "Sum", "Year")
        for number in range(start, start + 3):
            put_row(pdf, f"name {number}", str(number * 7), str(1900 + number))
    lines = content_of(bytes_of(pdf)).splitlines()
    assert lines[:2] == ["| Name | Sum | Year |", "| --- | --- | --- |"]
    assert lines[2:] == [f"| name {n} | {n * 7} | {1900 + n} |" for n in range(6)]


def test_what_only_looks_like_columns_is_none() -> None:
    pdf = drawn()
    for number in range(4):  # bullets far from their text
        put_row(pdf, "-", f"point {number}", "", widths=(10, 60, 10))
    pdf.ln(4)
    put_row(pdf, "Two", "rows", "only")
    put_row(pdf, "are", "no", "table")
    pdf.ln(4)
    left, right = prose(3).split(), prose(4).split()
    for number in range(8):  # two columns of text, drawn line by line
        words = slice(number * 7, number * 7 + 7)
        put_row(pdf, " ".join(left[words]), " ".join(right[words]), "", widths=(90, 90, 5))
    text = content_of(bytes_of(pdf))
    assert "|" not in text
    assert "- point 0\n- point 1\n- point 2\n- point 3\n" in text


def test_justified_text_is_none() -> None:
    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("Helvetica", size=11)
    for number in range(30):
        pdf.multi_cell(55, 5, prose(number), align="J", new_x="LMARGIN", new_y="NEXT")
    assert "|" not in content_of(bytes_of(pdf))


# By tags


def line(text: str, role: Role, *, top: float = 400, **fields: Any) -> Line:
    """A line of a tagged page."""
    tag = Tag(role, **{"block": 1, **fields})
    return Line(text, 0, 50, 50 + 5 * len(text), top - 12, top, 12, 800, tag=tag)


@pytest.mark.parametrize(
    ("label", "marker", "text"),
    [
        ("\u2022", "- ", "what it is"), ("\uf0b7", "- ", "what it is"), ("7.", "7. ", "what it is"),
        ("(12)", "12. ", "what it is"), ("b)", "3. ", "what it is"), ("iii.", "3. ", "what it is"),
        ("Pier", "- ", "Pier what it is"), ("1.2", "- ", "1.2 what it is"),
        ("Civil", "- ", "Civil what it is"),
    ],
)  # fmt: skip
def test_an_item_is_marked_by_its_label(label: str, marker: str, text: str) -> None:
    fields = {"item": 5, "level": 1, "index": 3}
    lines = [line(label, Role.ITEM, label=True, **fields), line("what it is", Role.ITEM, **fields)]
    (block,) = blocks_of(lines, {})
    assert (block.marker, block.text, block.depth) == (marker, text, 1)


def test_an_item_without_a_label_may_begin_with_one() -> None:
    (block,) = blocks_of([line("\u2022 it", Role.ITEM, item=5, level=2)], {})
    assert (block.marker, block.text, block.depth) == ("- ", "it", 2)


def cell(text: str, row: int, column: int) -> Line:
    return line(text, Role.CELL, block=10 * row + column, table=1, row=row, column=column)


def test_cells_that_are_drawn_line_by_line_are_whole() -> None:
    drawn_so = [cell("a", 1, 0), cell("b", 1, 1), cell("c", 1, 0), cell("d", 1, 1), cell("e", 2, 0)]
    (block,) = blocks_of([*drawn_so, cell("f", 2, 1)], {})
    assert block.rows == (("a c", "b d"), ("e", "f"))


def test_a_layout_s_later_rows_are_no_table_either() -> None:
    lines = [cell(prose(1), 1, 0), cell("b", 1, 1), cell("c", 2, 0), cell("d", 2, 1)]
    assert [block.text for block in blocks_of(lines, {})] == [prose(1), "b", "c", "d"]


def test_a_caption_between_rows_is_no_cell() -> None:
    cells = [
        line(text, Role.CELL, block=number, table=1, row=number // 2, column=number % 2)
        for number, text in enumerate("abcd")
    ]
    caption = line("Letters", Role.PARAGRAPH, block=9)
    found = [block.rows or block.text for block in blocks_of([*cells, caption], {})]
    assert found == [(("a", "b"), ("c", "d")), "Letters"]


def test_headings_are_those_that_are_tagged() -> None:
    large = Line("Large", 0, 50, 90, 470, 500, 30, 800, tag=Tag(Role.TEXT, block=2))
    lines = [large, line("Chapter", Role.HEADING, level=3), line(prose(1), Role.PARAGRAPH, block=3)]
    assert [(block.text, block.level) for block in blocks_of(lines, {})] == [
        ("Large", 0), ("Chapter", 3), (prose(1), 0),
    ]  # fmt: skip


def test_a_structure_without_end_is_not_walked() -> None:
    began = time.monotonic()
    assert content_of(tagged_without_end(40)) == "A line that has words enough.\n"
    assert time.monotonic() - began < 30


# As a browser prints

CHROMIUM = Path(os.environ.get("TWIN_CHROMIUM", "/usr/bin/chromium"))
needs_chromium = pytest.mark.skipif(
    not CHROMIUM.is_file(), reason=f"no Chromium at {CHROMIUM} (TWIN_CHROMIUM names another)"
)


def printed(folder: Path, body: str) -> str:
    """Content of a page that Chromium printed, with its own head and foot on each sheet."""
    source, target = folder / "page.html", folder / "page.pdf"
    source.write_text(f"<html lang=en><title>On Piers</title><body>{body}", encoding="utf-8")
    options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'home'}")
    subprocess.run(
        [str(CHROMIUM), *options, f"--print-to-pdf={target}", source.as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return content_of(target.read_bytes())


@needs_chromium
def test_a_printed_page_keeps_its_structure(tmp_path: Path) -> None:
    content = printed(
        tmp_path,
        f"""<h1>On Piers</h1>
        <p>Before it, with a <b>bold</b> word. {prose(1)}</p><p>- no item</p>
        <div>One box<span style="display: inline-block">, set off</span></div><div>two boxes</div>
        <h2>Lists</h2>
        <ul><li>one, and longer: {prose(3)}</li>
        <li>two<ul><li>inner</li><li>other<ul><li>deep</li></ul></li></ul></li>
        <li><p>first part</p><p>second part</p></li><li><h3>a head</h3></li></ul>
        <ol start="9"><li>nine</li><li>ten<ol type="a"><li>letter</li><li>next</li></ol></li></ol>
        <h2>Tables</h2>
        <table><caption>Heights</caption>
        <tr><th>Name</th><th>Height</th><th>Year</th></tr>
        <tr><td>North | old</td><td></td><td>1901</td></tr>
        <tr><td colspan="2">South pier, which has a rather long name</td><td>1888</td></tr>
        <tr><td rowspan="2">West</td><td>7 m</td><td>1923</td></tr>
        <tr><td>8 m</td><td>1924</td></tr>
        </table>
        <p>The end.</p>""",
    )
    assert content == (
        f"Before it, with a bold word. {prose(1)}\n\n- no item\n\n"
        "One box, set off\n\ntwo boxes\n\n"
        "## Lists\n\n"
        f"- one, and longer: {prose(3)}\n- two\n  - inner\n  - other\n    - deep\n"
        "- first part\n\n  second part\n- a head\n\n"
        "9. nine\n10. ten\n    1. letter\n    2. next\n\n"
        "## Tables\n\nHeights\n\n"
        "| Name | Height | Year |\n| --- | --- | --- |\n| North \\| old |  | 1901 |\n"
        "| South pier, which has a rather long name |  | 1888 |\n"
        "| West | 7 m | 1923 |\n|  | 8 m | 1924 |\n\n"
        "The end.\n"
    )


@needs_chromium
def test_what_a_sheet_of_paper_cuts_is_whole(tmp_path: Path) -> None:
    long = " ".join(prose(number) for number in range(20))
    longer = " ".join(prose(number) for number in range(20, 40))
    rows = "".join(f"<tr><td>row {n}</td><td>{n * 7}</td></tr>" for n in range(90))
    content = printed(
        tmp_path,
        f"<p>{long} {longer}</p><ul><li>{long} {longer}</li><li>last</li></ul>"
        f"<table><thead><tr><th>Name</th><th>Sum</th></tr></thead>{rows}</table>",
    )
    assert content == "\n".join([
        f"{long} {longer}", "", f"- {long} {longer}", "- last", "",
        "| Name | Sum |", "| --- | --- |", *(f"| row {n} | {n * 7} |" for n in range(90)), "",
    ])  # fmt: skip


@needs_chromium
def test_the_layout_of_a_page_is_no_table(tmp_path: Path) -> None:
    cells = "".join(f"<td>{prose(n)} {prose(n + 50)}</td>" for n in range(2))
    content = printed(tmp_path, f"<p>{prose(9)}</p><table border=1><tr>{cells}</tr></table>")
    assert (
        content
        == "\n\n".join([prose(9), *(f"{prose(n)} {prose(n + 50)}" for n in range(2))]) + "\n"
    )
