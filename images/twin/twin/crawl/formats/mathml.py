"""MathML as LaTeX (MathML Core and the elements of MathML 3 for presentation)."""

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
    if tag in ("mi", "mn", "mo", "mtext", "ms", "ci", "cn"):
        return _token(tag, "".join(element.itertext()).strip())
    if tag == "semantics":
        return parts[0] if parts else ""
    if tag in ("mtable", "mtr", "mlabeledtr"):
        return _table(tag, element, parts)
    if tag == "mspace":
        return "\\ "
    if tag == "mfenced":
        separators = element.get("separators", ",").strip()
        signs = element.get("open", "("), element.get("close", ")")
        return latex.between(signs[0], parts, signs[1], separators[:1])
    if tag == "msqrt":
        return latex.root(latex.joined(parts))
    return _layout(tag, element, parts) if len(parts) > 1 else latex.joined(parts)


def _token(tag: str, text: str) -> str:
    if tag in ("mi", "ci"):
        return latex.name(text)
    if tag in ("mtext", "ms"):
        return latex.words(text)
    return latex.characters(text) if tag == "mo" and len(text) == 1 else latex.name(text)


def _table(tag: str, element: "_Element", parts: list[str]) -> str:
    # Cells are joined by a sign that no formula has, until the table around them is written.
    if tag != "mtable":
        return "\0".join(parts[1:] if tag == "mlabeledtr" else parts)
    return latex.rows(part.split("\0") for part in parts)


def _layout(tag: str, element: "_Element", parts: list[str]) -> str:
    first, second, *others = parts
    if tag == "mfrac":
        bar = element.get("linethickness") not in ("0", "0pt", "0px", "0em")
        return latex.fraction(first, second, bar=bar)
    if tag == "mroot":
        return latex.root(first, second)
    if tag in ("msub", "msup"):
        return latex.scripts(first, second) if tag == "msub" else latex.scripts(first, "", second)
    if tag in ("msubsup", "munderover") and others:
        if tag == "munderover" and not first.strip().startswith(_BIG):
            return latex.over(latex.under(first, second), others[0])
        return latex.scripts(first, second, others[0])
    if tag == "munder":
        return latex.under(first, second)
    if tag == "mover":
        big = first.strip().startswith(_BIG)
        return latex.scripts(first, "", second) if big else latex.over(first, second)
    if tag == "mmultiscripts":
        return latex.scripts(first, second, others[0] if others else "")
    return latex.joined(parts)
