"""Mend what authors' HTML does to every reader of it, before extraction.

Without this, the signs behind headings make trafilatura drop the headings, and one figure that
was never closed makes it drop the rest of the article: 97% of one real post.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml.html import HtmlElement

# A caption has a few lines. More than that inside a figure is text that fell into it.
_MAX_BLOCKS_OF_FIGURE = 2
_MAX_WORDS_OF_FIGURE = 150
_MAX_ANCHOR_LENGTH = 2


def repair(tree: "HtmlElement") -> "HtmlElement":
    """Mend a page in place, and return it."""
    _drop_anchor_signs(tree)
    _free_text_from_figures(tree)
    return tree


def _drop_anchor_signs(tree: "HtmlElement") -> None:
    """The hidden ``#`` or ``¶`` behind a heading makes it look like a line of links."""
    signs = tree.xpath(
        "//*[self::h1 or self::h2 or self::h3 or self::h4 or self::h5 or self::h6]//a[@href]"
    )
    for sign in signs:
        if len(sign.text_content().strip()) <= _MAX_ANCHOR_LENGTH and not sign.xpath(".//img"):
            sign.drop_tree()


def _free_text_from_figures(tree: "HtmlElement") -> None:
    """A figure that was never closed holds the rest of the article, and figures are left out."""
    for figure in tree.xpath("//figure"):
        blocks = len(figure.xpath(".//p[not(ancestor::table)]|.//h1|.//h2|.//h3|.//h4"))
        words = len(figure.text_content().split())
        data = figure.xpath(".//table|.//pre")
        if blocks > _MAX_BLOCKS_OF_FIGURE or (words > _MAX_WORDS_OF_FIGURE and not data):
            figure.tag = "div"
