"""`twin crawl extract`: saved pages as lines of JSON."""

import gzip
import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.twin.crawl.site_server import article
from twin.cli import app
from twin.crawl.extract import extract_files
from twin.domain.errors import ExitCode

KEYS = ["path", "url", "title", "subtitle", "byline", "published", "language", "markdown", "text"]


def extract(*files: Path, url: str | None = None) -> tuple[int, list[dict[str, str]]]:
    out = io.BytesIO()
    code = extract_files(files, url, out)
    return code, [json.loads(line) for line in out.getvalue().decode().splitlines()]


def save(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    file = folder / name
    file.write_bytes(text.encode(encoding))
    return file


def test_a_line_for_each_page_in_order(tmp_path: Path) -> None:
    head = '<link rel="canonical" href="https://e.org/a"><meta name="author" content="Ines Marsh">'
    body = '<p>See <a href="/b">the <b>other</b> page</a>, which says more than this one does.</p>'
    one = save(tmp_path, "one.html", article("One", head=head, body=body))
    two = tmp_path / "two.html.gz"
    two.write_bytes(gzip.compress(article("Two").encode()))
    code, (first, second) = extract(one, two)
    assert code == ExitCode.DONE
    assert list(first) == KEYS and first["path"] == str(one)
    assert (first["url"], first["title"], first["byline"]) == (
        "https://e.org/a",
        "One",
        "Ines Marsh",
    )
    assert "[the **other** page](https://e.org/b)" in first["markdown"]
    assert "See the other page, which" in first["text"] and "](" not in first["text"]
    assert second["title"] == "Two" and second["url"] is None


def test_bad_files_are_told_and_the_others_read(tmp_path: Path) -> None:
    good = save(tmp_path, "good.html", article("Good"))
    empty = save(tmp_path, "empty.html", "  ")
    short = save(tmp_path, "short.html", "<html><body><nav>Home</nav></body></html>")
    broken = tmp_path / "broken.html.gz"
    broken.write_bytes(gzip.compress(b"x" * 1000)[:9] + b"????")
    code, lines = extract(tmp_path / "none.html", empty, tmp_path, short, broken, good)
    assert code == ExitCode.BAD_DATA
    errors = [line.get("error", "") for line in lines]
    assert [bool(error) for error in errors] == [True] * 5 + [False]
    assert errors[0] == "No such file or directory" and errors[1] == "empty"
    assert lines[5]["title"] == "Good"


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("windows-1251", '<meta charset="windows-1251">'),
        ("shift_jis", '<meta http-equiv="Content-Type" content="text/html; charset=Shift_JIS">'),
        ("utf-16", ""),
        ("utf-8", ""),
        ("utf-8", '<meta charset="iso-8859-1" data-x="wrong, and the page is still readable">'),
    ],
)
def test_declared_encodings(tmp_path: Path, encoding: str, declared: str) -> None:
    word = {"windows-1251": "Река", "shift_jis": "川の流れ"}.get(encoding, "Flüsse")
    page = article(word, head=declared, body=f"<p>{word}, said once and then said again here.</p>")
    _, [line] = extract(save(tmp_path, "page.html", page, encoding))
    if "iso-8859-1" in declared:
        assert line["title"] == word.encode().decode("cp1252")
    else:
        assert line["title"] == word and word in line["text"]


def test_an_undeclared_western_page(tmp_path: Path) -> None:
    _, [line] = extract(save(tmp_path, "old.html", article("Flüsse"), "latin-1"))
    assert line["title"] == "Flüsse"


def test_the_command(tmp_path: Path) -> None:
    page = save(
        tmp_path,
        "a.html",
        article("A", body='<p>There are <a href="b">more words</a> than these.</p>'),
    )
    found = CliRunner().invoke(app, ["crawl", "extract", str(page), "--url", "https://e.org/x/"])
    assert found.exit_code == 0
    line = json.loads(found.stdout)
    assert line["url"] == "https://e.org/x/" and "(https://e.org/x/b)" in line["markdown"]
    assert CliRunner().invoke(app, ["crawl", "extract", str(page), "/none"]).exit_code == 65
    two = CliRunner().invoke(
        app, ["crawl", "extract", str(page), str(page), "--url", "https://e.org"]
    )
    assert two.exit_code == 2
