"""Items of lists on a page without tags: by bullet or number, and by where they stand."""

import pytest

from twin.crawl.formats.pdf_items import INDENTATION, Block, Items, is_item
from twin.crawl.formats.pdf_lines import Line

SIZE = 10.0


def line(text: str, left: float = 100) -> Line:
    return Line(text, 0, left, 300, 500, 500 + SIZE, SIZE, 800)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a bullet", True),
        ("\N{BULLET} a bullet", True),
        ("1. a number", True),
        ("(12) a number", True),
        ("a) a letter", True),
        ("-no blank", False),
        ("1.5 litres", False),
        ("1234. a year", False),
        ("prose - with a dash", False),
    ],
)
def test_a_line_that_begins_an_item(text: str, expected: bool) -> None:
    assert is_item(line(text)) is expected


def test_an_item_loses_its_mark_and_is_as_deep_as_it_stands() -> None:
    items = Items()
    reach = INDENTATION * SIZE
    rows = [
        ("- outer", 100, ("outer", "- ", 1)),
        ("2. inner", 100 + reach + 1, ("inner", "2. ", 2)),
        # Beyond the tolerance to neither side: as deep as the one before.
        ("- beside", 100 + 2 * reach, ("beside", "- ", 2)),
        ("- outer again", 100.5, ("outer again", "- ", 1)),
    ]
    for text, left, expected in rows:
        found = items.found(Block(text, 0), [line(text, left)])
        assert (found.text, found.marker, found.depth) == expected


def test_prose_ends_the_list() -> None:
    items = Items()
    items.found(Block("- deep", 0), [line("- deep", 100)])
    prose = items.found(Block("Prose.", 0), [line("Prose.", 100)])
    assert (prose.marker, prose.depth) == ("", 0)
    after = items.found(Block("- far right", 0), [line("- far right", 200)])
    assert after.depth == 1
