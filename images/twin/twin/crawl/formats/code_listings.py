"""Listings of every highlighter as plain ``pre`` elements, with their language and caption."""

import re
from itertools import islice
from typing import TYPE_CHECKING

from twin.crawl.formats.captions import CAPTION_OF, caption_beside
from twin.crawl.formats.code_blocks import language_of
from twin.crawl.formats.code_lines import code_of, is_no_code, only_numbers

if TYPE_CHECKING:
    from lxml.html import HtmlElement

_HOLDERS = frozenset({"div", "figure", "section", "span", "p"})
_CODE_NAME = re.compile(
    r"(?:^|[\s_-])(?:code|highlight\w*|hljs|codehilite|syntax\w*|gist\w*|crayon\w*|source-?code"
    r"|prettyprint|listing\w*|rouge\w*|blob-code|cm-content|editor|view-lines|dp|src|chroma)"
    r"(?:[\s_-]|$)",
    re.IGNORECASE,
)
_LINE_NAME = re.compile(r"(?:^|[\s_-])(?:line|cm-line|view-line|ace_line|codeline)(?:\s|$|-)", re.I)
_PRESERVED = re.compile(r"white-space\s*:\s*(?:pre|break-spaces)", re.IGNORECASE)
_AS_BLOCK = re.compile(r"display\s*:\s*block", re.IGNORECASE)
_MAX_CELLS_OF_A_LISTING = 2
_CAPTION_NAME = re.compile(
    r"(?:^|[\s_-])(?:code-?block-?(?:title|caption|header)|codeblocktitle\w*|code-?(?:title|caption"
    r"|filename|name)|file-?name|listing-?(?:title|caption)|caption|title)(?:[\s_-]|$)",
    re.IGNORECASE,
)
_MAX_WORDS_OF_CAPTION = 40
_MAX_HOLDERS = 8


def unwrap_listings(tree: "HtmlElement") -> None:
    """Put a plain ``pre`` in the place of every listing of a page."""
    for old in tree.xpath("//xmp | //listing | //plaintext"):
        old.tag = "pre"
    for meta in tree.xpath("//div[@class='gist-meta']"):
        meta.drop_tree()
    for listing in _listings(tree):
        if listing.getparent() is not None and _is_in(listing, tree):
            _replace(listing)
    for pre in tree.xpath("//pre"):
        if pre.getparent() is not None:
            _lift(pre)


def _is_in(element: "HtmlElement", tree: "HtmlElement") -> bool:
    """Whether an element has not gone with another listing."""
    return any(above is tree for above in element.iterancestors())


def _listings(tree: "HtmlElement") -> "list[HtmlElement]":
    """Elements that hold a listing each, the outer ones first."""
    tables = [table for table in tree.iter("table") if _is_listing_table(table)]
    lists = [items for items in tree.iter("ol") if _is_listing_of_items(items)]
    boxes = [box for box in tree.iter("div", "code") if _is_listing_box(box)]
    paragraphs = [p for p in tree.iter("p", "div") if _is_paragraph_of_code(p)]
    return [*tables, *tree.iter("pre"), *lists, *boxes, *paragraphs]


def _is_listing_table(table: "HtmlElement") -> bool:
    """Numbers and code in two cells, or a row for each line, out of any ``pre``."""
    cells = table.xpath("./tr/td | ./*/tr/td")
    if not cells or table.xpath("boolean(.//th | .//table)"):
        return False
    if len(cells) <= _MAX_CELLS_OF_A_LISTING:
        one = cells[-1]
        return bool(one.xpath("boolean(.//pre)")) or (
            len(cells) == 2 and only_numbers(cells[0]) and _is_code(one, table)
        )
    rows = table.xpath("./tr | ./*/tr")
    code = [row[-1] for row in rows if len(row)]
    numbered = all(len(row) <= 2 and (len(row) < 2 or only_numbers(row[0])) for row in rows)
    return numbered and all(_is_code(cell, table) for cell in code)


def _is_code(cell: "HtmlElement", table: "HtmlElement") -> bool:
    """Whether a cell is called code, or all text of it is in ``code`` or ``pre``."""
    called = f"{cell.get('class') or ''} {table.get('class') or ''}"
    if _CODE_NAME.search(called):
        return True
    return not cell.xpath(
        "boolean(.//text()[normalize-space()][not(ancestor::code|ancestor::pre)])"
    )


def _is_listing_of_items(items: "HtmlElement") -> bool:
    """A list whose items are the lines of a listing."""
    above = items.getparent()
    called = f"{items.get('class') or ''} {above.get('class') or '' if above is not None else ''}"
    named = re.search(r"(?:^|[\s_-])(?:linenums|dp|highlighter|hljs|prettyprint)", called)
    return named is not None or (
        all(
            len(item) == 1
            and item[0].tag in ("code", "pre")
            and _squeezed(item) == _squeezed(item[0])
            for item in items
        )
        and len(items) > 1
        and _CODE_NAME.search(called) is not None
    )


def _is_listing_box(box: "HtmlElement") -> bool:
    """A box or ``code`` whose lines are elements, or are told apart by breaks."""
    if box.xpath("boolean(ancestor::pre)"):
        return False
    if box.tag == "code":
        style = box.get("style") or ""
        return bool(
            box.xpath("boolean(.//br)")
            or ("\n" in (box.text_content().strip()) and _PRESERVED.search(style))
            or (_AS_BLOCK.search(style) and _PRESERVED.search(style))
        )
    if not _CODE_NAME.search(box.get("class") or "") or box.xpath(
        "boolean(.//pre | .//p | .//table)"
    ):
        return False
    if _PRESERVED.search(box.get("style") or ""):
        return True
    lines = [child for child in box if isinstance(child.tag, str) and not is_no_code(child)]
    return len(lines) > 1 and all(_LINE_NAME.search(line.get("class") or "") for line in lines)


def _is_paragraph_of_code(paragraph: "HtmlElement") -> bool:
    """Nothing but lines of ``code`` with breaks between them."""
    children = [child.tag for child in paragraph]
    if children.count("code") < 2 or "br" not in children or set(children) - {"code", "br"}:
        return False
    between = [paragraph.text, *(child.tail for child in paragraph)]
    return not any((text or "").strip() for text in between)


def _replace(listing: "HtmlElement") -> None:
    """A plain ``pre`` instead; nothing instead of what holds only numbers of lines."""
    if listing.tag == "pre" and only_numbers(listing) and _is_gutter(listing):
        listing.drop_tree()
        return
    for row in listing.iter("tr"):
        for cell in row[:-1]:
            if only_numbers(cell):
                row.remove(cell)
    code, language = code_of(listing), language_of(_innermost(listing))
    parent, tail = listing.getparent(), listing.tail
    fresh = listing.makeelement("pre")
    fresh.text, fresh.tail = code, tail
    if language:
        fresh.set("class", f"language-{language}")
    parent.replace(listing, fresh)


def _innermost(listing: "HtmlElement") -> "HtmlElement":
    """Where the language of a listing is looked up: its innermost block."""
    if listing.tag in ("pre", "code"):
        return listing
    inner = listing.xpath(".//pre | .//td[last()]")
    return inner[-1] if inner else listing


def _is_gutter(pre: "HtmlElement") -> bool:
    """Numbers of lines beside a listing, and no listing of numbers."""
    called = " ".join(e.get("class") or "" for e in (pre, pre.getparent()) if e is not None)
    if re.search(r"(?:^|[\s_-])(?:gutter|lineno|linenos|line-?numbers?|nums?)(?:[\s_-]|$)", called):
        return True
    numbers = [int(word) for word in pre.text_content().split() if word.isdigit()]
    beside = pre.getnext()
    return (
        numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        and len(numbers) > 1
        and beside is not None
        and beside.tag in ("pre", "code")
    )


def _lift(pre: "HtmlElement") -> None:
    """Out of what holds nothing but the block and its caption, such as ``div class="highlight"``:
    in there it would be taken for something beside the text, above all if it is short."""
    holder = pre
    before: list[HtmlElement] = []
    after: list[HtmlElement] = []
    for above in islice(pre.iterancestors(), _MAX_HOLDERS):
        if above.tag not in _HOLDERS or above.getparent() is None:
            break
        beside = _captions_beside(holder, above)
        if beside is None:
            break
        before, after = beside[0] + before, after + beside[1]
        holder = above
    if holder is pre:
        return
    parent, tail = holder.getparent(), holder.tail
    blocks = [
        *(caption_beside(caption, before=True) for caption in before),
        pre,
        *(caption_beside(caption, before=False) for caption in after),
    ]
    place = parent.index(holder)
    parent.remove(holder)
    for block in reversed(blocks):
        block.tail = None
        parent.insert(place, block)
    blocks[-1].tail = tail


def _captions_beside(
    inner: "HtmlElement", holder: "HtmlElement"
) -> "tuple[list[HtmlElement], list[HtmlElement]] | None":
    """Captions and names of files before and after a block; None where other text is beside it."""
    before: list[HtmlElement] = []
    after: list[HtmlElement] = []
    side = before
    if (holder.text or "").strip():
        return None
    for child in holder:
        if (child.tail or "").strip():
            return None
        if child is inner:
            side = after
        elif _is_caption(child):
            side.append(child)
        elif _says_something(child):
            return None
    return before, after


def _is_caption(element: "HtmlElement") -> bool:
    if not isinstance(element.tag, str) or element.tag not in ("figcaption", "div", "span", "p"):
        return False
    named = (
        element.tag == "figcaption"
        or element.get(CAPTION_OF) is not None
        or _CAPTION_NAME.search(element.get("class") or "")
        or (len(element) == 1 and _CAPTION_NAME.search(element[0].get("class") or ""))
    )
    if not named or not _says_something(element) or element.xpath("boolean(.//pre | .//img)"):
        return False
    return len(element.text_content().split()) <= _MAX_WORDS_OF_CAPTION


def _says_something(element: "HtmlElement") -> bool:
    """Whether an element holds text or a picture, buttons aside."""
    if element.tag in ("button", "style", "script", "link", "template", "svg"):
        return False
    if not isinstance(element.tag, str):
        return False
    return bool(
        element.xpath(
            "boolean(.//text()[normalize-space()][not(ancestor::button)] | .//img | .//video"
            " | .//iframe | self::img | self::hr)"
        )
    )


def _squeezed(element: "HtmlElement") -> str:
    return "".join(element.text_content().split())
