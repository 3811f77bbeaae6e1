"""A page's HTML in the plain form that extraction reads, each kind of markup by its own module.

Both opinions on what the article is, trafilatura's and our own, then see the same text.
"""

from typing import TYPE_CHECKING

from twin.crawl.formats.aria_tables import write_tables
from twin.crawl.formats.callouts import write_callouts
from twin.crawl.formats.captions import free_captions
from twin.crawl.formats.code_listings import unwrap_listings
from twin.crawl.formats.heading_ids import drop_heading_ids
from twin.crawl.formats.html_math import write_formulas
from twin.crawl.formats.html_repair import repair
from twin.crawl.formats.inline_signs import write_signs
from twin.crawl.formats.notes import write_notes
from twin.crawl.formats.page_addresses import settle_images
from twin.crawl.formats.panels import show_panels
from twin.crawl.formats.substack_markup import write_out

if TYPE_CHECKING:
    from lxml.html import HtmlElement


def rewrite(tree: "HtmlElement") -> "HtmlElement":
    """Rewrite a page in place, and return it."""
    settle_images(tree)
    write_formulas(tree)
    unwrap_listings(tree)
    write_tables(tree)
    free_captions(tree)
    write_out(tree)
    write_notes(tree)
    write_signs(tree)
    drop_heading_ids(tree)
    show_panels(tree)
    write_callouts(tree)
    return repair(tree)
