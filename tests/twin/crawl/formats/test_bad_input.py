"""Pages that nobody would write by hand: read to their end, in time linear in their size."""

import gc
import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.twin.crawl.formats.prose import PROSE, paragraphs
from twin.crawl.page import Article, Page
from twin.crawl.read_article import read_article
from twin.recipes import CrawlSection

LIMITS = CrawlSection(min_words=1, keep_links=True, max_page_bytes=50_000_000)
#: Four times the size may take so many times as long. Linear is 4, quadratic 16.
MOST = 9.0
SCRIPTS = (
    "Portovaya kontora",
    "Портовая контора",
    "港の事務所は二冊",
    "สำนักงานท่าเรือ",
    "مكتب الميناء",
)

LINE = (
    "w{}w is what the keeper of the pump house wrote into the book that day, and it is what all "
    "keepers after him have copied word by word, whether it was true of their days or not. "
)


def html(markup: str) -> Page:
    text = (
        f"<html><head><title>Pumps</title></head><body><article><h1>Pumps</h1>"
        f"{paragraphs(*PROSE[:2])}{markup}{paragraphs(*PROSE[2:])}</article></body></html>"
    )
    return Page("https://e.org/pumps", text.encode(), "text/html")


def markdown(text: str) -> Page:
    front = "---\ntitle: Pumps\n---\n\n"
    return Page(
        "https://e.org/pumps.md", f"{front}{text}\n\n{PROSE[0]}\n".encode(), "text/markdown"
    )


def nested(opens: str, closes: str, count: int) -> Page:
    inner = "".join(opens.replace("#", LINE.format(number)) for number in range(count))
    return html(inner + closes * count)


def table(cells: int) -> Page:
    row = "<tr>" + "".join(f"<td>w{number}w</td>" for number in range(20)) + "</tr>"
    return html(f"<table>{row * (cells // 20)}</table>")


def notes(count: int, *, to: int) -> Page:
    """Paragraphs that are notes: each refers to itself (0), or to the next one (1)."""
    return html(
        "".join(
            f'<p id="fn{n}">w{n}w is a note <sup><a href="#fn{(n + to) % count}">{n}</a></sup></p>'
            for n in range(count)
        )
    )


def captions(count: int) -> Page:
    cues = []
    for number in range(count):
        start = f"{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}"
        cues.append(f"{number}\n{start},000 --> {start},900\nw{number}w and a word\n")
    return Page("https://e.org/a.srt", "\n".join(cues).encode(), "application/x-subrip")


MADE: dict[str, Callable[[int], Page]] = {
    "lists": lambda n: nested("<ul><li>#", "</li></ul>", n),
    "lists of paragraphs": lambda n: nested("<ol><li><p>#</p>", "</li></ol>", n),
    "lists without ends": lambda n: nested("<ul><li>#", "", n),
    "quotations": lambda n: nested("<blockquote>#", "</blockquote>", n),
    "boxes": lambda n: nested("<div>#", "</div>", n),
    "bold": lambda n: html("<p>" + "".join(f"<b>w{i}w " for i in range(n)) + "</b>" * n + "</p>"),
    "items without ends": lambda n: html("<ul>" + "".join(f"<li>w{i}w" for i in range(n))),
    "cells": table,
    "notes of themselves": lambda n: notes(n, to=0),
    "notes in a circle": lambda n: notes(n, to=1),
    "a formula without end": lambda n: html(
        "<p>$$ " + "".join(f"w{i}w + " for i in range(n)) + "</p>"
    ),
    "formulas without ends": lambda n: html(
        "<p>" + "".join(f"\\begin{{align}} w{i}w $ " for i in range(n)) + "</p>"
    ),
    "rows of a formula": lambda n: html(
        "<p>So <math>" + "".join(f"<mrow><mtext>w{i}w</mtext>" for i in range(n))
        + "</mrow>" * n + "</math> holds.</p>"
    ),
    "tags without ends": lambda n: markdown("".join(f"w{i}w {{{{ x {{% y\n" for i in range(n))),
    "ticks": lambda n: markdown("".join("`" * (i % 50 + 1) + f" w{i}w\n" for i in range(n))),
    "captions": captions,
    "scripts": lambda n: html(
        "".join(f"<p>w{i}w {' '.join(SCRIPTS)}.</p>" for i in range(n))
    ),
}  # fmt: skip


def read(page: Page) -> Article:
    return read_article(page, LIMITS)


@pytest.mark.parametrize("kind", MADE)
def test_no_word_is_lost(kind: str) -> None:
    # Of more boxes within boxes than are kept apart, the innermost is taken for the article.
    count = 90 if kind == "boxes" else 400
    content = read(MADE[kind](count)).content
    wanted = 20 if kind == "cells" else count
    missing = [number for number in range(wanted) if f"w{number}w" not in content]
    assert missing == []
    if kind != "captions":
        assert PROSE[0] in content


def test_every_cell_is_there() -> None:
    assert read(table(4_000)).content.count("w7w") == 200


@pytest.mark.parametrize("front", ["---\ntitle: [a\n---\n", "+++\ntitle = \n+++\n", "---\n: : :\n"])
def test_front_matter_that_is_broken(front: str) -> None:
    page = Page("https://e.org/a.md", f"{front}\n{PROSE[0]}\n".encode(), "text/markdown")
    assert PROSE[0] in read(page).content


@pytest.mark.nightly
@pytest.mark.parametrize("kind", MADE)
def test_the_time_is_linear(kind: str) -> None:
    """Of processors; the best of two, since others work on this machine."""
    make = MADE[kind]
    read(make(10))
    base = 4_000 if kind in {"cells", "captions"} else 1_000
    seconds = [min(_seconds(make(size)) for _ in range(2)) for size in (base, 4 * base)]
    assert all(after < MOST * max(before, 0.05) for before, after in pairwise(seconds)), seconds


@pytest.mark.nightly
def test_ten_thousand_nested_lists() -> None:
    content = read(nested("<ul><li>#", "</li></ul>", 10_000)).content
    assert sum(f"w{number}w" in content for number in range(0, 10_000, 97)) == 104


def _seconds(page: Page) -> float:
    gc.collect()
    start = time.process_time()
    read(page)
    return time.process_time() - start
