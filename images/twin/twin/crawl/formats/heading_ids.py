"""Ids that generators make of a section's heading, which say nothing of what the section is.

``related-work``, ``sharing-memory`` or ``pagination`` are called like furniture; a section whose
heading says the same, and that holds prose, is a section.
"""

import re
from typing import TYPE_CHECKING

from twin.crawl.formats.element_text import HEADINGS, is_prose, link_share
from twin.crawl.formats.furniture import is_boilerplate, is_for_readers

if TYPE_CHECKING:
    from lxml.html import HtmlElement

_WORD = re.compile(r"\w+")
_MAX_LINK_SHARE = 0.5
_MAX_BEFORE = 3  # elements over the heading: anchors


def drop_heading_ids(tree: "HtmlElement") -> None:
    """Take the ids off the sections that are called by their headings."""
    for section in tree.xpath("//section[@id] | //div[@id] | //article[@id]"):
        heading = _heading_of(section)
        if heading is not None and _is_made_of(section, heading):
            del section.attrib["id"]


def _heading_of(section: "HtmlElement") -> "HtmlElement | None":
    """The heading that a section begins with."""
    if (section.text or "").strip():
        return None
    for _, child in zip(range(_MAX_BEFORE), section, strict=False):
        if child.tag in HEADINGS:
            return child
        if child.tag in ("header", "hgroup", "div") and len(child) and child[0].tag in HEADINGS:
            return child[0]
        if not isinstance(child.tag, str) or "".join(child.itertext()).strip():
            return None
    return None


def _is_made_of(section: "HtmlElement", heading: "HtmlElement") -> bool:
    text = " ".join("".join(heading.itertext()).strip(" ¶#\u00a0").split())
    words = _WORD.findall(text.casefold())
    named = _WORD.findall(section.get("id").casefold().replace("_", " "))
    if not named or not any(map(is_prose, section.iterchildren("p"))):
        return False
    same = named == words or (len(named) > 1 and named == words[: len(named)])
    # A section of several words whose heading was changed since, or is in another language.
    several = section.tag == "section" and len(named) > 1 and not section.get("class")
    if not (same or several) or link_share(section) >= _MAX_LINK_SHARE:
        return False
    if not is_boilerplate(text, len(words)) and not is_for_readers(" ".join(named)):
        return True
    return _text_follows(section)


def _text_follows(section: "HtmlElement") -> bool:
    """Whether the text goes on behind a section."""
    following = next(section.itersiblings(), None)
    return following is not None and (
        is_prose(following) or any(map(is_prose, following.iterchildren("p")))
    )
