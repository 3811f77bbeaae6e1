"""Pages that nest deeper than a parser goes: what stands behind such a place would be lost."""

import re
from collections import Counter

#: What pages nest: boxes, marks of text, and the rows of formulas. Not what browsers close by
#: themselves (items, paragraphs, cells), which seldom bears an end.
_TAG = re.compile(
    r"<(?P<closes>/?)(?P<name>ul|ol|dl|div|blockquote|span|font|section|center|article|details"
    r"|figure|b|i|u|s|em|strong|small|big|code|tt|sub|sup|mark|ins|del|q|cite|kbd|strike|label"
    r"|mrow|mstyle|mpadded|msqrt|mroot|mfrac|msup|msub|msubsup|mover|munder|munderover|mfenced"
    r"|menclose|semantics)\b(?P<rest>[^<>]*)>",
    re.IGNORECASE,
)
#: libxml2 goes 256 elements deep; an item or a paragraph may stand in each of these.
MAX_DEPTH = 100


def flattened(markup: str) -> str:
    """The markup without the tags that stand in more than `MAX_DEPTH` others."""
    stack: list[str] = []
    open_tags: Counter[str] = Counter()
    position = 0
    parts: list[str] = []
    for match in _TAG.finditer(markup):
        name = match["name"].lower()
        if not match["closes"]:
            if match["rest"].endswith("/"):
                continue
            stack.append(name)
            too_deep = len(stack) > MAX_DEPTH
            open_tags[name] += 1
        elif open_tags[name]:
            while True:  # with a box end the marks within it that have none
                too_deep = len(stack) > MAX_DEPTH
                last = stack.pop()
                open_tags[last] -= 1
                if last == name:
                    break
        else:
            continue
        if too_deep:
            parts.append(markup[position : match.start()])
            position = match.end()
    return "".join([*parts, markup[position:]]) if parts else markup
