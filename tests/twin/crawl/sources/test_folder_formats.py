"""A folder with every format that is read."""

from pathlib import Path

from docx import Document
from nbformat import v4, writes

from tests.twin.crawl.formats.pages import words, write
from tests.twin.crawl.formats.pdfs import bytes_of, encrypted, report, scan
from tests.twin.crawl.sources.jobs import documents, held, run, tally
from twin.settings import Settings


def library(folder: Path) -> Path:
    """One file of each format, and two that cannot be read."""
    write(folder / "report.pdf", bytes_of(report()))
    write(folder / "scan.pdf", scan())
    write(folder / "locked.pdf", encrypted("secret"))
    write(folder / "deep" / "tides.md", f"# Tides\n\n{words()}")
    write(folder / "notes.txt", f"Old Notes\n\n{words()}")
    write(folder / "tool.py", "import os\n\n\ndef tide():\n\treturn 1\n")
    write(folder / "talk.vtt", f"WEBVTT\n\n00:00.000 --> 00:09.000\n<v Ada>{words()}\n")
    write(folder / "film.srt", f"1\n00:00:01,000 --> 00:00:09,000\n{words()}\n")
    cells = [v4.new_markdown_cell(f"# Sums\n\n{words()}"), v4.new_code_cell("1 + 1")]
    write(folder / "sums.ipynb", writes(v4.new_notebook(cells=cells)))
    document = Document()
    document.add_heading("Letters", level=1)
    document.add_paragraph(words())
    document.save(folder / "letters.docx")
    return folder


def test_every_format_becomes_a_document(stores_settings: Settings, tmp_path: Path) -> None:
    folder = library(tmp_path / "library")
    source = {"kind": "folder", "path": folder, "include": ["**/*"]}
    done = run(stores_settings, source, max_failed_share=0.5)
    found = documents(stores_settings)
    assert {url.rsplit("/", 1)[1]: (item.title, item.kind) for url, item in found.items()} == {
        "report.pdf": ("On the Making of Tests", "article"),
        "tides.md": ("Tides", "article"),
        "notes.txt": ("Old Notes", "article"),
        "tool.py": ("tool.py", "code"),
        "talk.vtt": ("talk", "transcript"),
        "film.srt": ("film", "transcript"),
        "sums.ipynb": ("Sums", "notebook"),
        "letters.docx": ("Letters", "article"),
    }
    assert {item.platform for item in found.values()} == {"files"}
    assert found["folder://source/report.pdf"].byline == "Tess Tester"
    assert found["folder://source/tool.py"].content == (
        "```python\nimport os\n\n\ndef tide():\n\treturn 1\n```\n"
    )
    assert tally(done) == {"added": 8, "failed": 2}
    assert held(stores_settings) == {
        "folder://source/locked.pdf": "encrypted: it opens with a password only",
        "folder://source/scan.pdf": "no text on its 2 pages: a scan?",
    }


def test_texts_are_found_without_being_named(stores_settings: Settings, tmp_path: Path) -> None:
    """Plain text and code have to be named: licences and scripts lie in most folders."""
    folder = library(tmp_path / "library")
    run(stores_settings, {"kind": "folder", "path": folder}, max_failed_share=0.5)
    names = {url.rsplit("/", 1)[1] for url in documents(stores_settings)}
    assert names == {
        "report.pdf", "tides.md", "talk.vtt", "film.srt", "sums.ipynb", "letters.docx",
    }  # fmt: skip
