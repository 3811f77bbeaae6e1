"""Callouts and asides of the author as quotes with their label: notes, tips, warnings."""

import re
from typing import TYPE_CHECKING

from twin.crawl.formats.element_text import HEADINGS, has_prose_beside, link_share
from twin.crawl.formats.furniture import DOUBTFUL, FURNITURE, READERS, is_boilerplate

if TYPE_CHECKING:
    from lxml.html import HtmlElement

_CALLOUT = re.compile(
    r"(?:^|[\s_-])(?:admonition\w*|callout\w*|alert|markdown-alert|notice|note|tip|hint|warning"
    r"|caution|danger|important|infobox|info-box|tipbox|msgbox|message-box|panel-info"
    r"|kg-callout-card|wp-block-jetpack-callout|theme-admonition|remark)(?:[\s_-]|$)",
    re.IGNORECASE,
)
_TITLE = re.compile(r"(?:title|heading|header|label|summary|caption)", re.IGNORECASE)
_NO_CALLOUT = re.compile(r"(?:cookie|consent|gdpr|newsletter|subscri|promo|advert|sponsor)", re.I)
_LABEL = re.compile(r"\W*(?:note|tip|info|hint|warning|caution|danger|important|example)\W*", re.I)
_CONTROLS = (
    "boolean(.//form | .//input | .//button[normalize-space()] | .//iframe | .//nav | .//table)"
)
_MAX_LINK_SHARE = 0.5
_MAX_WORDS = 250
_MAX_WORDS_OF_LABEL = 8
_OUTSIDE = frozenset({"nav", "footer", "form", "dialog"})
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def write_callouts(tree: "HtmlElement") -> None:
    """Make quotes of the callouts and asides that stand among paragraphs of prose."""
    for box in tree.xpath("//div[@class] | //section[@class] | //*[@role='note'] | //aside"):
        if box.getparent() is not None and _is_callout(box) and not _is_in_quote(box):
            _make_quote(box)


def _is_in_quote(box: "HtmlElement") -> bool:
    return any(
        above.tag == "blockquote" for _, above in zip(range(4), box.iterancestors(), strict=False)
    )


def _is_callout(box: "HtmlElement") -> bool:
    called = f"{box.get('class') or ''} {box.get('id') or ''}"
    aside = box.tag == "aside"
    named = _CALLOUT.search(box.get("class") or "") is not None or box.get("role") == "note"
    if not (named or aside) or _NO_CALLOUT.search(called) or box.tag in HEADINGS:
        return False
    if box.tag in ("p", "span", "li", "td", "table", "body", "article", "main", "pre", "code"):
        return False
    words = {word.lower() for word in _WORD.findall(called)}
    if words & (FURNITURE | READERS) or (aside and not named and words & DOUBTFUL):
        return False
    text = "".join(box.itertext())
    if not text.strip() or len(text.split()) > _MAX_WORDS or box.xpath(_CONTROLS):
        return False
    if link_share(box) >= _MAX_LINK_SHARE or any(a.tag in _OUTSIDE for a in box.iterancestors()):
        return False
    if aside and not named and not _is_remark(box, text):
        return False
    return has_prose_beside(box, both=aside and not named)


def _is_remark(aside: "HtmlElement", text: str) -> bool:
    """Whether an aside without a name is the author's: prose that is not said elsewhere."""
    if aside.xpath("boolean(.//img | .//h1 | .//h2 | .//h3 | .//h4 | .//ul | .//article)"):
        return False
    line = " ".join(text.split())
    if is_boilerplate(line, line.count(" ") + 1) or not line.endswith((".", "!", "?", "。", ")")):
        return False
    beside = " ".join(
        " ".join("".join(sibling.itertext()).split())
        for sibling in aside.getparent().iterchildren("p")
    )
    return line.strip("“”\"'„«» .") not in beside


def _make_quote(box: "HtmlElement") -> None:
    """A quote of paragraphs, the label of the box in bold over them."""
    box.tag = "blockquote"
    for name in ("class", "id", "role"):
        box.attrib.pop(name, None)
    for block in [*box.iterdescendants("div", "header", "span", "p", *HEADINGS)]:
        called = block.get("class") or ""
        text = " ".join("".join(block.itertext()).split())
        titled = block.tag in HEADINGS or (_TITLE.search(called) is not None)
        is_label = titled or (block.tag != "span" and _LABEL.fullmatch(text) is not None)
        short = 0 < len(text.split()) <= _MAX_WORDS_OF_LABEL
        inner = block.xpath("boolean(.//p | .//div | .//pre | .//ul | .//ol)")
        if (
            is_label
            and short
            and not inner
            and not block.xpath("boolean(.//strong | ancestor::strong)")
        ):
            if block.tag == "span":
                block.tag = "strong"
            else:
                _embolden(block, text)
        elif block.tag == "div" and not inner and text:
            block.tag = "p"
    _join_signs(box)
    _wrap_loose_text(box)


def _embolden(block: "HtmlElement", text: str) -> None:
    block.tag = "p"
    for child in list(block):
        block.remove(child)
    block.text = None
    strong = block.makeelement("strong")
    strong.text = text
    block.append(strong)


def _join_signs(box: "HtmlElement") -> None:
    """An emoji that stands before the text, in its line."""
    for paragraph in list(box.iterchildren("p")):
        text = "".join(paragraph.itertext()).strip()
        following = paragraph.getnext()
        if text and len(text) <= 3 and not any(c.isalnum() for c in text) and following is not None:
            if following.tag == "p":
                following.text = f"{text} {(following.text or '').lstrip()}"
            paragraph.drop_tree()


def _wrap_loose_text(box: "HtmlElement") -> None:
    """Text right in a box as a paragraph, with the inline elements around it."""
    if box.xpath("boolean(./p | ./div | ./ul | ./ol | ./pre | ./blockquote)"):
        return
    paragraph = box.makeelement("p")
    paragraph.text, box.text = box.text, None
    for child in list(box):
        paragraph.append(child)
    box.append(paragraph)
