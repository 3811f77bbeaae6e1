"""Jupyter notebooks of every version of the format."""

import re
from typing import Any

from twin.crawl.formats.code_blocks import fenced
from twin.crawl.formats.markdown import take_title, title_from_url
from twin.crawl.page import Article, Page, UnusableError, decode
from twin.domain.document import normalise

_MAX_OUTPUT_LINES = 12
_MAX_OUTPUT_CHARACTERS = 600
# `<Figure size 640x480 with 1 Axes>`, `<IPython.core.display.HTML object>`
_NO_WORDS = re.compile(r"\s*(?:Out\[\d+\]: *)?[\[(]?<[^\n]*>[\])]?\s*")
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_ATTACHMENT = re.compile(r"!\[([^\]]*)\]\(attachment:[^)]*\)")


def read_notebook(page: Page) -> Article:
    """Read a notebook: prose as it is, code as fenced blocks with the kernel's language.

    Of the outputs, only short plain text is kept. The title is the first ``# `` heading, else
    that of the metadata, else the file's name.

    Raises:
        UnusableError: it is no notebook, or see `decode`.
    """
    notebook = _parsed(decode(page))
    metadata = notebook.metadata
    cells = "\n\n".join(part for cell in notebook.cells if (part := _cell(cell, metadata)))
    heading, content = take_title(cells, None)
    title = str(metadata.get("title") or "").strip()
    authors = metadata.get("authors")
    return Article(
        title=heading or title or title_from_url(page.url),
        content=normalise(content) if content.strip() else "",
        byline=_names(authors),
        kind="notebook",
    )


def _parsed(text: str) -> Any:
    import nbformat

    try:
        return nbformat.reads(text, as_version=4)
    except nbformat.reader.NotJSONError:
        raise UnusableError("not a notebook: its text is no JSON") from None
    except (nbformat.ValidationError, AttributeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UnusableError(f"not a notebook: {reason}") from None


def _cell(cell: Any, metadata: Any) -> str:
    source = str(cell.source)
    if not source.strip():
        return ""
    if cell.cell_type == "markdown":
        return _ATTACHMENT.sub(r"*\1*", source).strip("\n")
    if cell.cell_type == "code":
        code = fenced(source.strip("\n").rstrip(), _language(source, metadata))
        return "\n\n".join([code, *_outputs(cell)])
    return ""  # raw cells are meant for a converter


def _language(source: str, metadata: Any) -> str:
    if magic := re.match(r"%%(bash|sh|html|javascript|js|latex|ruby|perl|R|sql)\b", source.strip()):
        return magic[1].lower()
    info = metadata.get("language_info") or {}
    kernel = metadata.get("kernelspec") or {}
    return str(info.get("name") or kernel.get("language") or "python").lower()


def _outputs(cell: Any) -> list[str]:
    """What a cell shows: Markdown and formulas as they are, short plain text in a fence."""
    outputs = cell.get("outputs", ())
    written = [text.strip("\n") for output in outputs if (text := _written(output)).strip()]
    texts = (_plain(output) for output in outputs if not _written(output).strip())
    short = (
        text.strip("\n").rstrip()
        for text in texts
        if len(text) <= _MAX_OUTPUT_CHARACTERS and text.count("\n") <= _MAX_OUTPUT_LINES
    )
    plain = [fenced(text, "text") for text in short if text and not _NO_WORDS.fullmatch(text)]
    return [*written, *plain]


def _written(output: Any) -> str:
    """Markdown or LaTeX that an output was made of."""
    data = output.get("data") or {}
    return str(data.get("text/markdown") or data.get("text/latex") or "")


def _plain(output: Any) -> str:
    if output.output_type == "stream":
        return _ANSI.sub("", str(output.text)) if output.get("name") == "stdout" else ""
    data = output.get("data") or {}
    if "text/html" in data:  # a table, whose plain text is a drawing of it
        return ""
    return str(data.get("text/plain") or "")


def _names(authors: Any) -> str | None:
    if not isinstance(authors, list):
        return None
    names = [
        str(author["name"]) for author in authors if isinstance(author, dict) and "name" in author
    ]
    return ", ".join(names) or None
