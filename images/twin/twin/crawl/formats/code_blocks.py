"""Code blocks: out of the tables that highlighters put them in, with their language."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml.html import HtmlElement

_LANGUAGE = re.compile(r"\b(?:language|lang|highlight-source|brush)[-:]\s?([\w+#.-]+)")
_LINE_NUMBERS = re.compile(r"[\d\s]*")
_HOLDERS = frozenset({"div", "figure", "section", "span"})
_MAX_CELLS_OF_A_LISTING = 2


def unwrap_listings(tree: "HtmlElement") -> None:
    """Highlighters put line numbers and code into two cells of a table: keep the code."""
    for table in tree.xpath("//table[.//pre][not(.//table)]"):
        cells = table.xpath(".//td")
        if len(cells) <= _MAX_CELLS_OF_A_LISTING and table.getparent() is not None:
            pre = table.xpath(".//pre")[-1]
            pre.tail = table.tail
            table.getparent().replace(table, pre)
    for pre in tree.xpath("//pre"):
        if pre.getparent() is not None and _LINE_NUMBERS.fullmatch(pre.text_content()):
            pre.drop_tree()
    for pre in tree.xpath("//pre"):
        _lift(pre)


def _lift(pre: "HtmlElement") -> None:
    """Out of what holds nothing but the block, such as ``div class="highlight"``: in there it would
    be taken for something beside the text, above all if it is short."""
    holder = None
    code = _squeezed(pre)
    for above in pre.iterancestors():
        if above.tag not in _HOLDERS or above.getparent() is None or _squeezed(above) != code:
            break
        holder = above
    if holder is None:
        return
    if language := language_of(pre):
        pre.set("class", f"language-{language}")
    pre.tail = holder.tail
    holder.getparent().replace(holder, pre)


def _squeezed(element: "HtmlElement") -> str:
    """Text without spaces, and without that of buttons."""
    return "".join("".join(element.xpath(".//text()[not(ancestor::button)]")).split())


def language_of(pre: "HtmlElement") -> str:
    """From ``class="language-python"`` of the block, what is in it, or what wraps it."""
    near = (pre, *pre.xpath("./code"), *pre.xpath("ancestor::div")[-2:])
    for element in near:
        if match := _LANGUAGE.search(element.get("class") or ""):
            return str(match[1])
        if (name := element.get("data-lang")) and re.fullmatch(r"[\w+#.-]+", name):
            return str(name)
    return ""


def fenced(code: str, language: str) -> str:
    """A fenced code block, its fence longer than any run of backticks inside (CommonMark 4.5)."""
    longest = max((len(run) for run in re.findall(r"`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code}\n{fence}"
