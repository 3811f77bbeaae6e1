"""Notebooks: prose, code with its language, and little of what the code printed."""

import json

import nbformat
import pytest
from nbformat import v3, v4

from tests.twin.crawl.formats.pages import page
from twin.crawl.formats.notebook import read_notebook
from twin.crawl.page import Article, UnusableError


def read(notebook: object, version: int = 4) -> Article:
    text = notebook if isinstance(notebook, str) else nbformat.writes(notebook, version)
    return read_notebook(page("tides-of-2024.ipynb", text))


def code(source: str, *outputs: object) -> object:
    return v4.new_code_cell(source, outputs=list(outputs))


def test_cells_in_order() -> None:
    notebook = v4.new_notebook(
        metadata={"language_info": {"name": "R"}, "authors": [{"name": "Tess"}, {"name": "Tom"}]},
        cells=[
            v4.new_markdown_cell("# Tides\n\nThey rise.\n\n![map](attachment:map.png)"),
            code("x <- 1\n\n\nif (x) {\n\tprint(x)\n}\n"),
            v4.new_raw_cell("for a converter"),
            code("  "),
            code("%%bash\necho `date`"),
        ],
    )
    article = read(notebook)
    assert (article.title, article.kind, article.byline) == ("Tides", "notebook", "Tess, Tom")
    assert article.content == (
        "They rise.\n\n*map*\n\n```r\nx <- 1\n\n\nif (x) {\n\tprint(x)\n}\n```\n\n"
        "```bash\n%%bash\necho `date`\n```\n"
    )


def test_only_short_plain_outputs_are_kept() -> None:
    table = {"text/plain": "  a  b\n0 1 2", "text/html": "<table></table>"}
    notebook = v4.new_notebook(
        cells=[
            code(
                "f()",
                v4.new_output("stream", name="stdout", text="\x1b[31mhigh\x1b[0m water\n"),
                v4.new_output("stream", name="stderr", text="a warning"),
                v4.new_output("execute_result", data={"text/plain": "42"}),
                v4.new_output("execute_result", data=table),
                v4.new_output("display_data", data={"text/plain": "<Figure size 640x480>"}),
                v4.new_output("stream", name="stdout", text="line\n" * 100),
                v4.new_output("display_data", data={"image/png": "iVBORw0KGgo="}),
            )
        ]
    )
    article = read(notebook)
    assert article.title == "tides of 2024"
    assert article.content == (
        "```python\nf()\n```\n\n```text\nhigh water\n```\n\n```text\n42\n```\n"
    )


def test_an_old_format_is_read() -> None:
    cells = [
        v3.new_heading_cell("Old Tides", level=1),
        v3.new_code_cell("print 1", language="python"),
    ]
    old = v3.new_notebook(worksheets=[v3.new_worksheet(cells=cells)])
    article = read(old, version=3)
    assert (article.title, article.content) == ("Old Tides", "```python\nprint 1\n```\n")


def test_a_fence_is_longer_than_those_in_the_code() -> None:
    content = read(v4.new_notebook(cells=[code('text = """\n```\n"""')])).content
    assert content == '````python\ntext = """\n```\n"""\n````\n'


@pytest.mark.parametrize("text", ["no JSON", "{}", "[]", '{"nbformat": 4, "cells": 7}'])
def test_what_is_no_notebook_says_so(text: str) -> None:
    with pytest.raises(UnusableError, match="not a notebook"):
        read(text)


def test_what_a_cell_shows_as_markdown_or_a_formula_is_text() -> None:
    def output(kind: str, text: str) -> dict[str, object]:
        data = {"text/plain": "<IPython.core.display.Markdown object>", kind: text}
        return {"output_type": "display_data", "metadata": {}, "data": data}

    cell = {
        "cell_type": "code", "metadata": {}, "execution_count": 1, "source": "show(it)",
        "outputs": [output("text/markdown", "**The bell** rings."), output("text/latex", "$x^2$")],
    }  # fmt: skip
    book = json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4})
    content = read_notebook(page("a.ipynb", book)).content
    assert "\n\n**The bell** rings.\n\n$x^2$\n" in content and "IPython" not in content
