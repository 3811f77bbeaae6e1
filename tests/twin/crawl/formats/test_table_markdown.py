"""Tables keep their captions, and what their cells say."""

import pytest

from tests.twin.crawl.formats.prose import between
from twin.crawl.formats.table_markdown import Cell, cell_of, table_of

ROWS = "<tr><th>Pump</th><th>Lift</th></tr><tr><td>Old</td><td>4.2</td></tr>"
TABLE = "| Pump | Lift |\n| --- | --- |\n| Old | 4.2 |"


@pytest.mark.parametrize(
    "caption",
    ["Lift", "Table 7. Lift of the two pumps in metres, over forty runs each, as measured"],
)
@pytest.mark.parametrize(
    ("markup", "before"),
    [
        ("<table><caption>{0}</caption>{1}</table>", True),
        ("<figure><table>{1}</table><figcaption>{0}</figcaption></figure>", False),
        ("<figure><figcaption>{0}</figcaption><table>{1}</table></figure>", True),
        ("<figure><table><caption><p>{0}</p></caption>{1}</table></figure>", True),
    ],
)
def test_captions_of_tables(markup: str, caption: str, before: bool) -> None:
    blocks = [caption, TABLE] if before else [TABLE, caption]
    assert between(markup.format(caption, ROWS)) == "\n\n".join(blocks)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("<ul><li>brass</li><li>iron</li></ul>", "brass<br>iron"),
        ("one<br>two", "one<br>two"),
        ("<p>one</p><p>two</p>", "one<br>two"),
        ("<pre>if x:\n    y()</pre>", "`if x:`<br>`    y()`"),
        ("<code>a || b</code>", r"`a \|\| b`"),
        ("a | b", r"a \| b"),
    ],
)
def test_what_a_cell_holds(cell: str, text: str) -> None:
    assert f"| Old | {text} |" in between(f"<table>{ROWS.replace('4.2', cell)}</table>")


def test_a_table_by_its_roles() -> None:
    rows = "".join(
        f'<div role="row"><span role="{role}">{a}</span><span role="{role}">{b}</span></div>'
        for role, a, b in (("columnheader", "Pump", "Lift"), ("cell", "Old", "4.2"))
    )
    assert between(f'<div role="table">{rows}</div>') == TABLE


def test_a_table_of_a_million_cells() -> None:
    row = [Cell("x", 1, 1)] * 1_000
    assert table_of([row] * 1_000).count("| x") == 1_000_000


def test_rows_of_one_cell_under_a_very_long_one_are_not_filled_up() -> None:
    rows = [[Cell("x", 1, 1)] * 20_000, *([Cell("y", 1, 1)] for _ in range(20_000))]
    assert len(table_of(rows)) < 1_000_000


def test_spans_that_no_table_has() -> None:
    cell = cell_of(["x"], {"colspan": "99999999999", "rowspan": "-3"})
    assert (cell.columns, cell.rows) == (50, 1)
