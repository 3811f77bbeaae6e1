"""Formulas that a page spells out in its text: ``\\(…\\)``, ``\\[…\\]`` and bare environments."""

import re

_OPENING = re.compile(
    r"\\\\|\\\(|\\\[|\$\$|\\begin\{(?P<environment>(?:align|alignat|aligned|equation|gather|multline"
    r"|flalign|eqnarray|displaymath|math|split|cases|[bpvBV]?matrix|array)\*?)\}"
)
_CLOSING = {"\\(": "\\)", "\\[": "\\]", "$$": "$$"}


def with_dollars(text: str) -> str:
    """The text with all its formulas between dollars, in one pass.

    What is opened and never closed is no formula: it is looked for once, and left alone.
    """
    parts: list[str] = []
    position = 0
    unclosed: set[str] = set()
    match = _OPENING.search(text)
    while match is not None:
        opening = match[0]
        environment = match["environment"]
        closing = f"\\end{{{environment}}}" if environment else _CLOSING.get(opening)
        end = -1
        if closing is not None and closing not in unclosed:
            end = text.find(closing, match.end())
            if end < 0:
                unclosed.add(closing)
        if closing is None or end < 0:
            match = _OPENING.search(text, match.end())
            continue
        inner = text[match.end() : end].strip()
        parts += [text[position : match.start()], _written(opening, inner, closing)]
        if opening == "$$":
            parts[-1] = text[match.start() : end + len(closing)]
        position = end + len(closing)
        match = _OPENING.search(text, position)
    return "".join([*parts, text[position:]])


def _written(opening: str, inner: str, closing: str) -> str:
    if opening == "\\(":
        return f"${inner}$"
    if opening in _CLOSING:
        return f"$${inner}$$"
    return f"$${opening} {inner} {closing}$$"


def is_formula(text: str) -> bool:
    """Whether a text is one formula that stands by itself."""
    text = text.strip()
    if len(text) < 5:
        return False
    return (
        (text.startswith("$$") and text.endswith("$$"))
        or (text.startswith("\\[") and text.endswith("\\]"))
        or (text.startswith("\\begin{") and re.search(r"\\end\{[\w*]+\}$", text) is not None)
    )
