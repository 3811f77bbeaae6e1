"""Captions of listings, tables and quotations as paragraphs beside them.

What stands in a ``figure`` is left out of articles, since most figures are pictures. A figure
without a picture is a part of the text, and its caption belongs to what it is about.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml.html import HtmlElement

#: On a paragraph that was a caption: whether the next or the previous block is what it is about.
CAPTION_OF = "data-twin-caption-of"
_PICTURES = "img | .//picture | .//video | .//audio | .//iframe | .//object | .//canvas | .//embed"
_BLOCKS = ".//pre | .//table | .//blockquote | .//math | .//ul | .//ol | .//dl | .//p"


def free_captions(tree: "HtmlElement") -> None:
    """Open the figures that hold text, and put the captions of tables before them."""
    for table in tree.xpath("//table[./caption]"):
        _free_table_caption(table)
    for figure in tree.xpath("//figure"):
        _open_figure(figure)


def _is_mostly_links(figure: "HtmlElement") -> bool:
    """Whether a figure leads elsewhere: an offer, a card of another page."""
    linked = sum(len("".join(link.itertext()).strip()) for link in figure.iter("a"))
    return 2 * linked > len("".join(figure.itertext()).strip())


def caption_beside(caption: "HtmlElement", *, before: bool) -> "HtmlElement":
    """The caption as a paragraph that stands before or after what it is about."""
    caption.tag = "p"
    caption.tail = None
    for name in ("class", "id"):
        caption.attrib.pop(name, None)
    caption.set(CAPTION_OF, "next" if before else "previous")
    return caption


def _free_table_caption(table: "HtmlElement") -> None:
    caption = table.find("caption")
    parent = table.getparent()
    table.remove(caption)
    table.set("role", table.get("role") or "table")  # only data has a caption
    if parent is None or not caption.text_content().strip():
        return
    if caption.find(".//p") is not None:
        for paragraph in caption.iter("p"):
            paragraph.tag = "span"
    parent.insert(parent.index(table), caption_beside(caption, before=True))


def _open_figure(figure: "HtmlElement") -> None:
    """A figure without a picture becomes what it holds."""
    if not figure.xpath(f"boolean({_BLOCKS})") or figure.getparent() is None:
        return
    if figure.xpath(f"boolean(.//{_PICTURES} | .//svg[not(ancestor::button)])"):
        return
    if _is_mostly_links(figure):
        return
    for caption in figure.findall("figcaption"):
        if not caption.text_content().strip():
            caption.drop_tree()
            continue
        before = caption.getnext() is not None and not (
            caption.xpath("boolean(preceding-sibling::*)")
        )
        for paragraph in caption.iter("p", "div"):
            paragraph.tag = "span"
        tail = caption.tail
        caption_beside(caption, before=before).tail = tail
    loose = [figure.text, *(child.tail for child in figure)]
    if any((text or "").strip() for text in loose):
        figure.tag = "div"
    else:
        figure.drop_tag()
