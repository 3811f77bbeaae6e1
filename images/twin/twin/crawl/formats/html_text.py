"""HTML that is all text (of a word processor, of an export) to Markdown: nothing is left out.

Pages of the web go through `twin.crawl.formats.html`, which looks for the article in them.
"""

from typing import TYPE_CHECKING

from twin.crawl.formats import html_markdown
from twin.crawl.formats.html_rewrite import rewrite
from twin.crawl.formats.html_runs import Edge, Image, events_of
from twin.domain.document import normalise

if TYPE_CHECKING:
    from lxml.html import HtmlElement


def to_markdown(tree: "HtmlElement") -> str:
    """All the text of a tree as Markdown, and the images that are described."""
    events = events_of(rewrite(tree))
    for event in events:
        if not isinstance(event, Edge):
            event.keep = not isinstance(event, Image) or event.alt != ""
    content = html_markdown.to_markdown(events, "", links=True)
    return normalise(content) if content.strip() else ""
