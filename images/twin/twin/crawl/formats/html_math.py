"""Formulas as LaTeX, from what typesetting scripts leave in a page."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml.html import HtmlElement

# What the scripts draw: the formula itself stands beside it.
_DRAWN = re.compile(
    r"(?:^|\s)(?:MathJax(?:_\w+)?|MJX\w*|mjx-chtml|katex-html|mwe-math-fallback-image\S*)(?=\s|$)"
)
_HOLDER = re.compile(r"(?:^|\s)(katex|katex-display|mwe-math-element|math-container)(?=\s|$)")
_TYPESETTERS = re.compile(r"MathJax|MJX|mjx|katex|mwe-|math-container")
_DISPLAYSTYLE = re.compile(r"^\{\\displaystyle\s*(?P<latex>.*)\}$", re.DOTALL)


def formula_of(element: "HtmlElement", tag: str, name: str) -> tuple[str, bool] | None:
    """The formula an element holds, in dollars, and whether the element is done with by that.

    Known are MathJax (``script type=math/tex``), KaTeX and MediaWiki (a TeX annotation in MathML),
    plain MathML, and WordPress (an image whose alternative text is LaTeX). None: it holds none.
    """
    if tag == "script":
        kind = element.get("type") or ""
        display = "mode=display" in kind
        return (
            (_dollars(element.text or "", display), True) if kind.startswith("math/tex") else None
        )
    if tag == "math":
        return _mathml(element, element.get("display") == "block"), True
    if tag == "mjx-container" or (tag == "img" and "latex" in name.split()):
        return _rendered(element, tag), True
    return _held(element, name) if _TYPESETTERS.search(name) else None


def _held(element: "HtmlElement", name: str) -> tuple[str, bool] | None:
    """The formula in what a typesetting script has made; none in what it only draws."""
    holder = _HOLDER.search(name)
    math = next(iter(element.iter("math")), None) if holder else None
    if holder and math is not None:
        display = holder[1] == "katex-display" or math.get("display") == "block"
        return _mathml(math, display), True
    return ("", True) if _DRAWN.search(name) else None


def _rendered(element: "HtmlElement", tag: str) -> str:
    if tag == "img":
        return _dollars(element.get("alt") or "", display=False)
    math = next(iter(element.iter("math")), None)
    if math is None:
        return ""
    return _mathml(math, element.get("display") == "true")


def _mathml(math: "HtmlElement", display: bool) -> str:
    """A TeX annotation where there is one, else the text of the formula."""
    for annotation in math.iter("annotation"):
        if "tex" in (annotation.get("encoding") or "").lower():
            return _dollars(annotation.text or "", display)
    if latex := math.get("alttext"):
        return _dollars(latex, display)
    return " ".join("".join(math.itertext()).split())


def _dollars(latex: str, display: bool) -> str:
    latex = " ".join(latex.split())
    if match := _DISPLAYSTYLE.match(latex):
        latex = match["latex"].strip()
    if not latex:
        return ""
    return f"$${latex}$$" if display else f"${latex}$"
