"""Substack's editor writes for scripts: formulas and names as data, notes, boxes that sell.

The same markup is in posts of the API, in feeds and on pages, of substack.com and of domains of
its own.
"""

import json
from typing import TYPE_CHECKING

from twin.crawl.formats.superscripts import raised

if TYPE_CHECKING:
    from lxml.html import HtmlElement

#: Buttons, boxes to subscribe, cards of other posts (whose beginning is another author's text),
#: and what the editor tells the writer.
_NO_TEXT = (
    "button-wrapper", "captioned-button-wrap", "subscription-widget-wrap",
    "subscription-widget-wrap-editor", "embedded-post-wrap", "embedded-publication-wrap",
    "digest-post-embed", "install-substack-app-embed", "community-chat", "poll-embed",
    "image-link-expand", "header-anchor-parent", "hide-text",
)  # fmt: skip
#: Around a block of code or verse, which is else taken for something beside the text.
_FRAMES = ("preformatted-block", "highlighted_code_block")


def write_out(tree: "HtmlElement") -> None:
    """Make text of what is data, and drop what is no text, where Substack's editor was at work."""
    if not tree.xpath("boolean(//@data-component-name)"):
        return
    for element in _called(tree, *_NO_TEXT):
        if element.getparent() is not None:
            element.drop_tree()
    for frame in _called(tree, *_FRAMES):
        frame.drop_tag()
    for formula in _called(tree, "latex-rendered"):
        formula.tag = "p"
        latex = _data(formula, "persistentExpression")
        _say(formula, f"$${latex}$$" if latex else "")
    for mention in _called(tree, "mention-wrap"):
        _say(mention, _data(mention, "name"))
    _number_notes(tree)


def _called(tree: "HtmlElement", *names: str) -> "list[HtmlElement]":
    """Elements of one of these classes."""
    return [
        element
        for element in tree.xpath("//*[@class]")
        if not set(names).isdisjoint(element.get("class").split())
    ]


def _data(element: "HtmlElement", key: str) -> str:
    """A field of an element's data; empty if there is none."""
    try:
        fields = json.loads(element.get("data-attrs") or "")
    except (ValueError, RecursionError):
        return ""
    value = fields.get(key) if isinstance(fields, dict) else None
    return " ".join(value.split()) if isinstance(value, str) else ""


def _say(element: "HtmlElement", text: str) -> None:
    for child in list(element):
        child.drop_tree()
    element.text = text


def _number_notes(tree: "HtmlElement") -> None:
    """Raised numbers: as they are, "tax.1 Although" would be one word."""
    for anchor in _called(tree, "footnote-anchor"):
        _say(anchor, _label(anchor))
    for number in _called(tree, "footnote-number"):
        first = next(iter(number.xpath("following-sibling::div[1]//p[1]")), None)
        if first is not None:
            first.text = f"{_label(number)} {(first.text or '').lstrip()}"
            number.drop_tree()


def _label(note: "HtmlElement") -> str:
    text = str(note.text_content()).strip()
    return raised(text) or text
