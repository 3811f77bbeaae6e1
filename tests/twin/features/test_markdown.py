"""Blocks and sections of Markdown documents."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.features.markdown import blocks_of, sections_of

ARTICLE = """Intro before any heading.

# Title

First paragraph
of two lines.

## Setup [#](#setup)

- one
- two

  nested paragraph

```py
# not a heading

x = 1
```

| a | b |
|---|---|
| 1 | 2 |

[ref]: https://example.org

Deeper
------

> # not a section
> quoted

### *Styled* `code` heading

Last.
"""


def kinds(text: str) -> list[str]:
    return [block.kind for block in blocks_of(text)]


def paths(text: str, longest: int = 1_000) -> list[tuple[str, ...]]:
    sections = sections_of(blocks_of(text), lambda path: len(" ".join(path)) <= longest)
    return [section.path for section in sections]


def test_blocks_are_found_with_their_kinds():
    assert kinds(ARTICLE) == [
        "paragraph", "heading", "paragraph", "heading", "list", "code", "table", "other",
        "heading", "other", "heading", "paragraph",
    ]  # fmt: skip


def test_a_block_is_a_slice_of_the_text():
    code = next(block for block in blocks_of(ARTICLE) if block.kind == "code")
    assert ARTICLE[code.start : code.end] == "```py\n# not a heading\n\nx = 1\n```"


def test_indented_code_keeps_its_first_indentation():
    text = "Text.\n\n\n    def f():\n        pass\n"
    block = blocks_of(text)[1]
    assert text[block.start : block.end] == "    def f():\n        pass"


def test_sections_carry_the_headings_over_them():
    assert paths(ARTICLE) == [
        (),
        ("Title",),
        ("Title", "Setup"),
        ("Title", "Deeper"),
        ("Title", "Deeper", "Styled code heading"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# A\n\n## B\n\ntext", [("A", "B")]),
        ("# A\n\ntext\n\n# B\n", [("A",), ()]),
        ("# A\n\n# B\n\ntext", [(), ("B",)]),
        ("### Deep first\n\ntext\n\n# A\n\ntext", [("Deep first",), ("A",)]),
        ("#\n\ntext", [()]),
        ("", []),
        ("\n \n", []),
    ],
)
def test_headings_that_lead_nowhere_are_text(text, expected):
    assert paths(text) == expected


def test_a_heading_too_long_for_a_path_is_text():
    text = f"# A\n\n## {'long ' * 50}\n\nBody.\n"
    [section] = sections_of(blocks_of(text), lambda path: len(" ".join(path)) < 50)
    assert section.path == ("A",)
    assert [block.kind for block in section.blocks] == ["heading", "paragraph"]


PIECES = st.sampled_from(
    ["# H\n", "## H 2\n", "para one. two!\n", "- item\n", "  - nested\n", "1. n\n", "```\n",
     "~~~\n", "code()\n", "    indented\n", "| a | b |\n", "|---|---|\n", "> quote\n", "\n",
     "\n\n", "---\n", "===\n", "[r]: http://e.org\n", "<div>\n", "</div>\n", "\t\n", "text\\\n",
     "![i](u)\n", "日本。\n"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=30).map("".join))
def test_blocks_hold_every_character_but_blanks_once_and_in_order(text):
    blocks = blocks_of(text)
    assert all(a.end <= b.start for a, b in pairwise(blocks))
    held = "".join(text[block.start : block.end] for block in blocks)
    assert re.sub(r"\s", "", held) == re.sub(r"\s", "", text)


@pytest.mark.parametrize(
    "formula",
    [
        "$$\na\n---\nb\n$$",
        "$$\nh\n=\ng\n$$",
        "$$\n# x\n+ y\n- z\n$$",
        "\\[\n# x\n\\]",
        "\\begin{align}\n- a &= b\n\\end{align}",
        "$$ a = b $$",
        "$$a\n+ b$$",
    ],
)
def test_a_formula_is_one_block(formula):
    blocks = blocks_of(f"Before it.\n\n{formula}\n\nAfter it.\n")
    assert [block.kind for block in blocks] == ["paragraph", "formula", "paragraph"]


def test_a_formula_ends_a_paragraph_and_begins_another():
    blocks = blocks_of("As follows:\n$$\n- a\n$$\nwhich is all.")
    assert [block.kind for block in blocks] == ["paragraph", "formula", "paragraph"]


@pytest.mark.parametrize(
    "text", ["$$\nnever closed", "$$5 is what it costs.\n\n# Next", "    $$\n"]
)
def test_a_formula_without_end_is_none(text):
    assert "formula" not in {block.kind for block in blocks_of(text)}


def test_many_formulas_without_end_take_no_longer_than_so_many_lines():
    blocks = blocks_of("\\[ x\n\n" * 40_000)
    assert {block.kind for block in blocks} == {"paragraph"}
