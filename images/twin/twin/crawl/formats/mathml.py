"""MathML as LaTeX (MathML Core and the elements of MathML 3 for presentation)."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from twin.crawl.formats import latex

if TYPE_CHECKING:
    from lxml.etree import _Element

_NOTHING = frozenset(
    {"annotation", "annotation-xml", "mphantom", "none", "mprescripts", "maligngroup", "malignmark"}
)
_BIG = ("\\sum", "\\prod", "\\int", "\\bigcup", "\\bigcap", "\\bigoplus", "\\bigvee", "\\lim")


def to_latex(math: "_Element") -> str:
    """The formula of a ``math`` element.

    An annotation in TeX is taken as it is, and so is alternative text that is LaTeX; else the
    elements are written out. Their nesting is walked without recursion.
    """
    for annotation in math.iter("annotation"):
        if "tex" in (annotation.get("encoding") or "").lower() and (annotation.text or "").strip():
            return str(annotation.text)
    if _is_latex(stated := math.get("alttext") or ""):
        return stated
    written: dict[_Element, str] = {}
    for element in reversed(list(math.iter())):  # children come before what holds them
        if isinstance(element.tag, str):
            children = [child for child in element if child in written]
            written[element] = _write(element, [written.pop(child) for child in children])
    return written[math]


def _is_latex(text: str) -> bool:
    """Whether alternative text is LaTeX, and not words to be said aloud."""
    if not text.strip():
        return False
    words = [word for word in text.split() if len(word) > 2 and word.isalpha()]
    return "\\" in text or len(words) < 2


def _write(element: "_Element", parts: list[str]) -> str:
    tag = element.tag.rsplit("}")[-1].rsplit(":")[-1].lower()
    if tag in _NOTHING:
        return ""
    if tag in _TOKENS:
        return _token(tag, "".join(element.itertext()).strip())
    if tag in _BY_ATTRIBUTES:
        return _BY_ATTRIBUTES[tag](element, parts)
    if tag in _ROWS:
        return _ROWS[tag](parts)
    return _SCRIPTS[tag](parts) if tag in _SCRIPTS and len(parts) > 1 else latex.joined(parts)


def _token(tag: str, text: str) -> str:
    if tag in ("mi", "ci"):
        return latex.name(text)
    if tag in ("mtext", "ms"):
        return latex.words(text)
    return latex.characters(text) if tag == "mo" and len(text) == 1 else latex.name(text)


def _fenced(element: "_Element", parts: list[str]) -> str:
    separators = (element.get("separators") or ",").strip()
    signs = element.get("open", "("), element.get("close", ")")
    return latex.between(signs[0], parts, signs[1], separators[:1])


def _fraction(element: "_Element", parts: list[str]) -> str:
    if len(parts) != 2:
        return latex.joined(parts)
    bar = element.get("linethickness") not in ("0", "0pt", "0px", "0em")
    return latex.fraction(parts[0], parts[1], bar=bar)


def _under_and_over(parts: list[str]) -> str:
    what, below, *above = parts
    if what.strip().startswith(_BIG):
        return latex.scripts(what, below, *above[:1])
    return latex.over(latex.under(what, below), *above[:1]) if above else latex.under(what, below)


def _over(parts: list[str]) -> str:
    big = parts[0].strip().startswith(_BIG)
    return latex.scripts(parts[0], "", parts[1]) if big else latex.over(parts[0], parts[1])


_TOKENS = frozenset({"mi", "mn", "mo", "mtext", "ms", "ci", "cn"})
_BY_ATTRIBUTES: dict[str, Callable[["_Element", list[str]], str]] = {
    "mfenced": _fenced,
    "mfrac": _fraction,
}
# Cells are joined by a sign that no formula has, until the table around them is written.
_ROWS: dict[str, Callable[[list[str]], str]] = {
    "mtr": "\0".join,
    "mlabeledtr": lambda parts: "\0".join(parts[1:]),
    "mtable": lambda parts: latex.rows(part.split("\0") for part in parts),
    "msqrt": lambda parts: latex.root(latex.joined(parts)),
    "mspace": lambda _: "\\ ",
    "semantics": lambda parts: parts[0] if parts else "",
}
_SCRIPTS: dict[str, Callable[[list[str]], str]] = {
    "mroot": lambda parts: latex.root(parts[0], parts[1]),
    "msub": lambda parts: latex.scripts(parts[0], parts[1]),
    "msup": lambda parts: latex.scripts(parts[0], "", parts[1]),
    "msubsup": lambda parts: latex.scripts(*parts[:3]),
    "mmultiscripts": lambda parts: latex.scripts(*parts[:3]),
    "munderover": _under_and_over,
    "munder": lambda parts: latex.under(parts[0], parts[1]),
    "mover": _over,
}
