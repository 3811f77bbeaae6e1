"""Pages that nest deeper than a parser goes: what stands behind such a place would be lost."""

import re

_BOX = re.compile(
    r"<(?P<closes>/?)(?:ul|ol|dl|div|blockquote|span|font|section|center)\b[^<>]*>", re.IGNORECASE
)
#: libxml2 goes 256 elements deep; an item or a paragraph may stand in each of these.
MAX_DEPTH = 100


def flattened(markup: str) -> str:
    """The markup without the tags of boxes that stand in more than `MAX_DEPTH` others."""
    depth = 0
    position = 0
    parts: list[str] = []
    for match in _BOX.finditer(markup):
        too_deep = depth > MAX_DEPTH if match["closes"] else depth >= MAX_DEPTH
        depth = max(0, depth - 1) if match["closes"] else depth + 1
        if too_deep:
            parts.append(markup[position : match.start()])
            position = match.end()
    return "".join([*parts, markup[position:]]) if parts else markup
