"""Formulas of Word (Office Math Markup, ECMA-376 part 1, 22.1) as LaTeX."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from twin.crawl.formats import latex

if TYPE_CHECKING:
    from lxml.etree import _Element

M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"

#: An element's children that are written, by name.
_Parts = dict[str, list[str]]

_WORD = re.compile(r"[A-Za-z]+|[^A-Za-z]+")
#: Letters of mathematical alphabets, which Word writes as plain letters with a style elsewhere.
_STYLED_LETTER = re.compile("[\U0001d400-\U0001d7ff\u210e]")
_ALPHABETS = {
    "double-struck": "mathbb",
    "script": "mathcal",
    "fraktur": "mathfrak",
    "sans-serif": "mathsf",
    "monospace": "mathtt",
}
_NUMBER = re.compile(r"\\#\s*\(?(?P<number>[\w.]+)\)?\s*$")
_BINOMIAL = re.compile(r"\\binom\{[^{}]*\}\{[^{}]*\}")


def to_latex(formula: "_Element") -> str:
    """The formula of an ``oMath`` element. Its nesting is walked without recursion."""
    written: dict[_Element, str] = {}
    for element in reversed(list(formula.iter())):  # children come before what holds them
        if not isinstance(element.tag, str):
            continue
        children = [child for child in element if child in written]
        texts = [written.pop(child) for child in children]
        written[element] = _write(element, [_name(child) for child in children], texts)
    return written[formula].strip()


def _name(element: "_Element") -> str:
    return str(element.tag).removeprefix(M)


def _write(element: "_Element", names: Sequence[str], texts: Sequence[str]) -> str:
    name = _name(element)
    if name.endswith("Pr") or name in (f"{W}del", f"{W}rPr"):
        return ""
    if name in ("t", f"{W}t"):
        return element.text or ""
    if name == "r":
        return _run(element, "".join(texts))
    if name == f"{W}r":
        return _letters("".join(texts))
    parts: _Parts = {}
    for child, text in zip(names, texts, strict=True):
        parts.setdefault(child, []).append(text)
    if name in _BY_PROPERTIES:
        return _BY_PROPERTIES[name](element, parts)
    return _PLAIN[name](parts) if name in _PLAIN else latex.joined(texts)


def _property(element: "_Element", path: str, default: str) -> str:
    """A property's value; what is named without one is on."""
    found = element.find("/".join(M + step for step in path.split("/")))
    return default if found is None else found.get(f"{M}val", "on")


def _is_on(element: "_Element", path: str) -> bool:
    return _property(element, path, "off") in ("on", "1", "true")


def _run(element: "_Element", text: str) -> str:
    if _is_on(element, "rPr/nor"):
        return latex.words(text)
    written = _letters(text)
    alphabet = _ALPHABETS.get(_property(element, "rPr/scr", "roman"))
    style = _property(element, "rPr/sty", "i")
    if alphabet is None and "b" in style:
        alphabet = "boldsymbol" if "i" in style else "mathbf"
    if alphabet is None and style == "p" and text.isascii() and text.isalpha():
        return latex.name(text)
    return f"\\{alphabet}{{{written.strip()}}}" if alphabet and written.strip() else written


def _letters(text: str) -> str:
    """Letters as they are, functions by their names, and signs as commands."""
    plain = _STYLED_LETTER.sub(lambda letter: unicodedata.normalize("NFKC", letter[0]), text)
    return latex.joined(
        word if (name := latex.name(word)).startswith("\\mathrm") else name
        for word in _WORD.findall(plain)
    )


def _first(parts: _Parts, name: str) -> str:
    return parts.get(name, [""])[0]


def _fraction(element: "_Element", parts: _Parts) -> str:
    above, below = _first(parts, "num"), _first(parts, "den")
    kind = _property(element, "fPr/type", "bar")
    if kind in ("lin", "skw"):
        return f"{latex.base(above)}/{latex.base(below)}"
    return latex.fraction(above, below, bar=kind != "noBar")


def _root(element: "_Element", parts: _Parts) -> str:
    is_hidden = _is_on(element, "radPr/degHide")
    return latex.root(_first(parts, "e"), "" if is_hidden else _first(parts, "deg"))


def _sum(element: "_Element", parts: _Parts) -> str:
    """An operator with limits, and what it is of."""
    sign = latex.characters(_property(element, "naryPr/chr", "\u222b"))
    below = "" if _is_on(element, "naryPr/subHide") else _first(parts, "sub")
    above = "" if _is_on(element, "naryPr/supHide") else _first(parts, "sup")
    return f"{latex.scripts(sign, below, above)} {_first(parts, 'e').strip()}"


def _brackets(element: "_Element", parts: _Parts) -> str:
    opens = _property(element, "dPr/begChr", "(")
    closes = _property(element, "dPr/endChr", ")")
    opens, closes = ("" if sign == "on" else sign for sign in (opens, closes))
    inner = parts.get("e", [])
    if len(inner) == 1 and (opens, closes) == ("(", ")") and _BINOMIAL.fullmatch(inner[0].strip()):
        return inner[0]  # it has brackets of its own
    separator = latex.characters(_property(element, "dPr/sepChr", "|"))
    return latex.between(opens, inner, closes, separator)


def _accent(element: "_Element", parts: _Parts) -> str:
    return latex.over(_first(parts, "e"), _property(element, "accPr/chr", "\u0302"))


def _bar(element: "_Element", parts: _Parts) -> str:
    is_above = _property(element, "barPr/pos", "bot") == "top"
    return f"\\{'over' if is_above else 'under'}line{latex.argument(_first(parts, 'e'))}"


def _grouped(element: "_Element", parts: _Parts) -> str:
    """A brace or arrow over or under something."""
    sign = _property(element, "groupChrPr/chr", "\u23df")
    is_above = _property(element, "groupChrPr/pos", "bot") == "top"
    write = latex.over if is_above else latex.under
    written = latex.characters(sign).strip()
    return write(_first(parts, "e"), sign if written == sign else written)


def _phantom(element: "_Element", parts: _Parts) -> str:
    return "" if _property(element, "phantPr/show", "on") in ("0", "off") else _first(parts, "e")


def _lines(parts: _Parts) -> str:
    """Lines of one formula, which are aligned at their ``&``; a number behind ``#`` is a tag."""
    lines = [line.replace("\\&", "&").strip() for line in parts.get("e", [])]
    if len(lines) == 1:
        number = _NUMBER.search(lines[0])
        return f"{lines[0][: number.start()]} \\tag{{{number['number']}}}" if number else lines[0]
    return latex.rows([[line] for line in lines], "aligned")


def _matrix(parts: _Parts) -> str:
    return latex.rows(row.split("\0") for row in parts.get("mr", []))


_BY_PROPERTIES: dict[str, Callable[["_Element", _Parts], str]] = {
    "f": _fraction,
    "rad": _root,
    "nary": _sum,
    "d": _brackets,
    "acc": _accent,
    "bar": _bar,
    "groupChr": _grouped,
    "phant": _phantom,
}
# Cells are joined by a sign that no formula has, until the matrix around them is written.
_PLAIN: dict[str, Callable[[_Parts], str]] = {
    "sSup": lambda parts: latex.scripts(_first(parts, "e"), "", _first(parts, "sup")),
    "sSub": lambda parts: latex.scripts(_first(parts, "e"), _first(parts, "sub")),
    "sSubSup": lambda parts: latex.scripts(
        _first(parts, "e"), _first(parts, "sub"), _first(parts, "sup")
    ),
    "sPre": lambda parts: (
        "{}" + latex.scripts("", _first(parts, "sub"), _first(parts, "sup")) + _first(parts, "e")
    ),
    "func": lambda parts: f"{_first(parts, 'fName').strip()} {_first(parts, 'e').strip()}",
    "limLow": lambda parts: latex.under(_first(parts, "e"), _first(parts, "lim")),
    "limUpp": lambda parts: latex.over(_first(parts, "e"), _first(parts, "lim")),
    "borderBox": lambda parts: f"\\boxed{latex.argument(_first(parts, 'e'))}",
    "mr": lambda parts: "\0".join(parts.get("e", [])),
    "m": _matrix,
    "eqArr": _lines,
}
