"""HTML that is all text (of a word processor, of an export) to Markdown: nothing is left out.

Pages of the web go through `twin.crawl.formats.html`, which looks for the article in them.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from twin.crawl.formats.code_blocks import fenced
from twin.crawl.formats.superscripts import raised
from twin.domain.document import normalise

if TYPE_CHECKING:
    from lxml.html import HtmlElement

_HEADING = re.compile(r"h([1-6])")
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "center", "dd", "div", "dl", "dt",
    "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6",
    "header", "hr", "html", "li", "main", "nav", "ol", "p", "pre", "section", "table", "ul",
})  # fmt: skip
_SILENT = frozenset({"head", "script", "style", "noscript", "template", "title", "svg"})
_MARKS = {"strong": "**", "b": "**", "em": "*", "i": "*", "del": "~~", "s": "~~", "strike": "~~"}
_BLOCK_SIGN = re.compile(r"^(#{1,6}\s|[-+*]\s|>)")


def to_markdown(tree: "HtmlElement") -> str:
    """All the text of a tree as Markdown, without anything that runs or styles."""
    content = "\n\n".join(_blocks(tree))
    return normalise(content) if content.strip() else ""


def _blocks(element: "HtmlElement") -> Iterator[str]:
    """The blocks within an element; text between blocks is a paragraph of its own."""
    inline = element.text or ""
    for child in element:
        if isinstance(child.tag, str) and child.tag not in _SILENT:
            if child.tag in _BLOCKS:
                yield from _paragraph(inline)
                inline = ""
                yield from _block(child)
            elif any(isinstance(x.tag, str) and x.tag in _BLOCKS for x in child.iterdescendants()):
                yield from _paragraph(inline)
                inline = ""
                yield from _blocks(child)
            else:
                inline += _inline(child)
        inline += child.tail or ""
    yield from _paragraph(inline)


def _block(element: "HtmlElement") -> Iterator[str]:
    tag = str(element.tag)
    if match := _HEADING.fullmatch(tag):
        if text := _one_line(_inside(element)):
            yield f"{'#' * int(match[1])} {text.replace('**', '')}"
    elif tag in {"ul", "ol"}:
        yield from _joined([_list(element, ordered=tag == "ol")])
    elif tag == "pre":
        yield fenced(_code(element).strip("\n").rstrip(), "")
    elif tag == "table":
        yield from _table(element)
    elif tag == "blockquote":
        yield from _joined([_prefixed("\n\n".join(_blocks(element)), "> ", "> ")])
    elif tag == "hr":
        yield "---"
    else:
        yield from _blocks(element)


def _joined(blocks: list[str]) -> list[str]:
    return [block for block in blocks if block.strip()]


def _paragraph(inline: str) -> list[str]:
    lines = (" ".join(line.split()) for line in inline.split("\v"))
    text = "\\\n".join(lines).strip("\\\n ")
    # A line break before nothing, and a sign that would make another block of the paragraph.
    text = _BLOCK_SIGN.sub(lambda sign: f"\\{sign[0]}", text)
    return [text] if text else []


def _list(element: "HtmlElement", *, ordered: bool) -> str:
    items = []
    for number, item in enumerate(element.xpath("./li"), start=1):
        sign = f"{number}. " if ordered else "- "
        blocks = list(_blocks(item))
        tight = "\n".join(blocks) if _is_tight(item) else "\n\n".join(blocks)
        if tight.strip():
            items.append(_prefixed(tight, sign, " " * len(sign)))
    return "\n".join(items)


def _is_tight(item: "HtmlElement") -> bool:
    """Whether an item is a line and lists below it."""
    return not item.xpath(".//pre|.//table|.//blockquote|./p[2]")


def _prefixed(text: str, first: str, other: str) -> str:
    lines = text.split("\n")
    rest = (f"{other}{line}".rstrip() for line in lines[1:])
    return "\n".join([f"{first}{lines[0]}", *rest])


def _table(element: "HtmlElement") -> Iterator[str]:
    rows = [
        [_cell(cell) for cell in row.xpath("./td|./th")]
        for row in element.xpath("./tr|./thead/tr|./tbody/tr|./tfoot/tr")
    ]
    rows = [row for row in rows if any(row)]
    width = max((len(row) for row in rows), default=0)
    if width == 0:
        return
    if width == 1:  # a frame around text
        yield "\n\n".join(row[0] for row in rows)
        return
    padded = [row + [""] * (width - len(row)) for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in padded]
    yield "\n".join([lines[0], f"|{' --- |' * width}", *lines[1:]])


def _cell(cell: "HtmlElement") -> str:
    return " ".join(" ".join(_blocks(cell)).split()).replace("|", "\\|")


def _inside(element: "HtmlElement") -> str:
    """The inline Markdown within an element; ``\\v`` stands for a line break."""
    parts = [element.text or ""]
    for child in element:
        if isinstance(child.tag, str) and child.tag not in _SILENT:
            parts.append(_inline(child))
        parts.append(child.tail or "")
    return "".join(parts)


def _inline(element: "HtmlElement") -> str:
    tag = str(element.tag)
    if tag == "br":
        return "\v"
    if tag == "img":
        return f"![{alt}]({_source(element)})" if (alt := element.get("alt", "").strip()) else ""
    text = _inside(element)
    if tag == "a":
        return _link(element, text)
    if tag == "code" and text.strip():
        return f"`{text}`"
    if tag in _MARKS:
        return _marked(text, _MARKS[tag])
    return raised(text) or text if tag == "sup" else text


def _source(image: "HtmlElement") -> str:
    source = str(image.get("src") or "")
    return "" if source.startswith("data:") else source


def _link(element: "HtmlElement", text: str) -> str:
    target = str(element.get("href") or "").strip()
    if not target.startswith(("http://", "https://", "mailto:")) or not text.strip():
        return text
    return f"[{_one_line(text)}]({target})" if _one_line(text) != target else f"<{target}>"


def _marked(text: str, mark: str) -> str:
    """Text within marks, blanks outside, where Markdown wants them."""
    inner = text.strip()
    if not inner or "\v" in inner:
        return text
    start = text.index(inner)
    return f"{text[:start]}{mark}{inner}{mark}{text[start + len(inner) :]}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _code(element: "HtmlElement") -> str:
    for line_break in element.xpath(".//br"):
        line_break.tail = "\n" + (line_break.tail or "")
    return str(element.text_content())
