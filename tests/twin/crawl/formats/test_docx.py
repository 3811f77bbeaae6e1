"""Word documents: everything in them, by their styles."""

import io
import zipfile
from datetime import UTC, datetime

import pytest
from docx import Document
from docx.document import Document as Docx
from docx.shared import Inches
from PIL import Image

from tests.twin.crawl.formats.pages import page, words
from twin.crawl.formats.docx import read_docx
from twin.crawl.page import Article, UnusableError


def saved(document: Docx) -> bytes:
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def read(body: bytes) -> Article:
    return read_docx(page("notes.docx", body))


def test_structure_and_properties() -> None:
    document = Document()
    properties = document.core_properties
    properties.title, properties.author = "Harbours", "Tess Tester"
    properties.created = datetime(2024, 5, 6, 7, 8, tzinfo=UTC)
    properties.keywords, properties.language = "sea, land", "en-GB"
    document.add_heading("Harbours", level=0)
    document.add_paragraph("Where the land ends", style="Subtitle")
    document.add_heading("Tides", level=1)
    paragraph = document.add_paragraph("It is ")
    paragraph.add_run("very").bold = True
    paragraph.add_run(" and ")
    paragraph.add_run("quite").italic = True
    paragraph.add_run(" high.")
    for item in ("one", "two"):
        document.add_paragraph(item, style="List Bullet")
    for item in ("first", "second"):
        document.add_paragraph(item, style="List Number")
    document.add_paragraph("A rising tide lifts all boats.", style="Quote")
    table = document.add_table(rows=2, cols=2)
    for place, text in enumerate(("Port", "Depth", "Delft", "4 | 5 m")):
        table.cell(place // 2, place % 2).text = text
    article = read(saved(document))
    assert article.title == "Harbours"
    assert article.subtitle == "Where the land ends"
    assert (article.byline, article.language) == ("Tess Tester", "en")
    assert article.tags == ("sea", "land")
    assert article.published == datetime(2024, 5, 6, 7, 8, tzinfo=UTC)
    assert article.content == (
        "Where the land ends\n\n# Tides\n\nIt is **very** and *quite* high.\n\n"
        "- one\n- two\n\n1. first\n2. second\n\n> A rising tide lifts all boats.\n\n"
        "| Port | Depth |\n| --- | --- |\n| Delft | 4 \\| 5 m |\n"
    )


def test_nothing_is_taken_for_boilerplate() -> None:
    """The words that make a web page's paragraph suspect are an author's words here."""
    document = Document()
    for text in ("Subscribe to my newsletter.", "Share this post.", "Cookies.", words()):
        document.add_paragraph(text)
    article = read(saved(document))
    assert article.content.count("\n\n") == 3
    assert "Subscribe to my newsletter." in article.content
    assert article.title == "notes", "the template's own title says nothing"


def test_pictures_leave_their_description_only() -> None:
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(picture, "PNG")
    picture.seek(0)
    document = Document()
    shape = document.add_picture(picture, width=Inches(1))
    shape._inline.docPr.set("descr", "A red square")
    document.add_paragraph(words())
    content = read(saved(document)).content
    assert "![A red square]()" in content
    assert "base64" not in content


def bomb() -> bytes:
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("word/document.xml", "w") as entry,
    ):
        for _ in range(250):
            entry.write(b" " * 1_000_000)
    return file.getvalue()


def zipped(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, "text")
    return file.getvalue()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (bytes.fromhex("d0cf11e0a1b11ae1") + b"x" * 600, "encrypted, or a Word document of before"),
        (b"no zip at all", "no ZIP file"),
        (zipped("mimetype"), "a ZIP file of something else"),
        (zipped("word/document.xml"), "not a Word document that can be read"),
        (bomb(), "unpacks to 250,000,000 bytes"),
        (saved(Document()), "without text"),
    ],
)
def test_what_cannot_be_read_says_why(body: bytes, reason: str) -> None:
    with pytest.raises(UnusableError, match=reason):
        read(body)
