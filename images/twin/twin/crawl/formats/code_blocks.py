"""Keep code blocks out of the extractor's hands: it drops their blank lines and languages.

Each ``<pre>`` of a page is replaced by one of the same kind that holds a token; the token becomes
a fenced code block, letter by letter as the author wrote it, in the extracted Markdown.
"""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml.html import HtmlElement

# Two lines, so that the extractor sees a block and not inline code.
_BLOCK = "codeblock{0}begins\ncodeblock{0}ends"
_TOKENS = re.compile(
    r"(?:(?P<fence>`{3,})\w*\n)?[ \t]*codeblock(?P<number>\d+)begins\s+codeblock(?P=number)ends"
    r"(?:\n(?P=fence))?"
)
_LANGUAGE = re.compile(r"\b(?:language|lang|highlight-source|brush)[-:]\s?([\w+#.-]+)")
_LINE_NUMBERS = re.compile(r"[\d\s]*")
_MAX_CELLS_OF_A_LISTING = 2


def take_code(tree: "HtmlElement") -> list[str]:
    """Replace the code blocks of a page, in place; returns them as fenced Markdown."""
    _unwrap_listings(tree)
    blocks: list[str] = []
    for pre in tree.xpath("//pre[not(ancestor::pre)]"):
        code = _text(pre).strip("\n").rstrip()
        if _LINE_NUMBERS.fullmatch(code):
            pre.drop_tree()
            continue
        language = _language(pre)
        _replace_content(pre, _BLOCK.format(len(blocks)))
        blocks.append(fenced(code, language))
    return blocks


def put_code_back(markdown: str, blocks: list[str]) -> str:
    """Put the code blocks where their tokens are."""
    return _TOKENS.sub(lambda match: f"{blocks[int(match['number'])]}\n", markdown)


def _unwrap_listings(tree: "HtmlElement") -> None:
    """Highlighters put line numbers and code into two cells of a table: keep the code."""
    for table in tree.xpath("//table[.//pre][not(.//table)]"):
        cells = table.xpath(".//td")
        if len(cells) <= _MAX_CELLS_OF_A_LISTING:
            pre = table.xpath(".//pre")[-1]
            pre.tail = table.tail
            table.getparent().replace(table, pre)


def _text(pre: "HtmlElement") -> str:
    for line_break in pre.xpath(".//br"):
        line_break.tail = "\n" + (line_break.tail or "")
    return str(pre.text_content())


def _language(pre: "HtmlElement") -> str:
    """From ``class="language-python"`` of the block, what is in it, or what wraps it."""
    near = (pre, *pre.xpath("./code"), *pre.xpath("ancestor::div")[-2:])
    for element in near:
        if match := _LANGUAGE.search(element.get("class") or ""):
            return match[1]
    return ""


def _replace_content(pre: "HtmlElement", text: str) -> None:
    from lxml.html import Element

    tail = pre.tail
    pre.clear()
    pre.tail = tail
    code = Element("code")
    code.text = text
    pre.append(code)


def fenced(code: str, language: str) -> str:
    """A fenced code block, its fence longer than any run of backticks inside (CommonMark 4.5)."""
    longest = max((len(run) for run in re.findall(r"`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code}\n{fence}"
