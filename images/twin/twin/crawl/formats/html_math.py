"""Formulas of a page as LaTeX in dollars, whatever typesets them.

Known are MathML, MathJax 2 to 4, KaTeX, MediaWiki, LaTeXML (arXiv), images of formulas, and
attributes that editors keep LaTeX in. What scripts only draw goes: its digits would run together
to other numbers.
"""

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from twin.crawl.formats.latex import in_dollars
from twin.crawl.formats.mathml import to_latex
from twin.crawl.formats.verbatim import VERBATIM, verbatim

if TYPE_CHECKING:
    from lxml.html import HtmlElement

# What the scripts draw: the formula itself stands beside it.
_DRAWN = re.compile(
    r"(?:^|\s)(?:MathJax(?:_\w+)?|MJX\w*|mjx-chtml|katex-html|mwe-math-fallback-image\S*)(?=\s|$)"
)
_HOLDER = re.compile(r"(?:^|\s)(katex|katex-display|mwe-math-element|math-container)(?=\s|$)")
_TYPESETTERS = (
    "//*[contains(@class, 'MathJax') or contains(@class, 'MJX') or contains(@class, 'mjx')"
    " or contains(@class, 'katex') or contains(@class, 'mwe-') or contains(@class, 'math-container')]"
)
_CANDIDATES = (
    "//math | //mjx-container | //script[starts-with(@type, 'math/tex')]"
    " | //*[@data-latex or @data-tex or @data-katex or @data-formula or @data-equation]"
    " | //span[contains(@class, 'ql-formula')][@data-value] | " + _TYPESETTERS
)
_STATED = ("data-latex", "data-tex", "data-katex", "data-formula", "data-equation", "data-value")
_DISPLAYED = re.compile(r"display|block", re.IGNORECASE)
_IMAGE_CLASS = re.compile(
    r"(?:^|[\s_-])(?:math|latex|tex|formula|equation|eeimg|katex|mathjax)(?:[\s_-]|$)", re.I
)
_IMAGE_ADDRESS = re.compile(
    r"latex\.codecogs\.com|/latex\.php|[/.]mathtex|mimetex|quicklatex|zhihu\.com/equation"
    r"|cht=tx|/imgmath/|_images/math/|/math/render/|latex\.render|math\.now\.sh|tex\.s2cms\.ru"
    r"|/render/math\?",
    re.IGNORECASE,
)
_IN_ADDRESS = ("latex", "tex", "chl", "from", "math")
_NUMBER = re.compile(r"\(?\s*(?P<number>[\w.]+)\s*\)?")


def write_formulas(tree: "HtmlElement") -> None:
    """Put LaTeX in the place of every formula of a page."""
    for table in tree.xpath("//table[contains(@class, 'ltx_eq')]"):
        if table.getparent() is not None:
            _write_equation_table(table)
    for image in tree.xpath("//img"):
        if formula := _image_formula(image):
            _replace(image, in_dollars(formula, display=_stands_alone(image)))
    for element in tree.xpath(_CANDIDATES):
        # What stood in another candidate has gone with it.
        if element.getparent() is None or element.get(VERBATIM) is not None:
            continue
        formula = _formula_of(element)
        if formula is not None:
            _replace(element, formula)


def _replace(element: "HtmlElement", formula: str) -> None:
    if not formula:
        element.drop_tree()
        return
    fresh = verbatim(element, formula)
    fresh.tail = element.tail
    element.getparent().replace(element, fresh)


def _formula_of(element: "HtmlElement") -> str | None:
    """The formula an element holds, in dollars; empty if it is only drawn, None if it is none."""
    tag, name = element.tag, element.get("class") or ""
    if tag == "script":
        return in_dollars(element.text or "", display="mode=display" in element.get("type"))
    if tag == "math":
        return in_dollars(to_latex(element), display=element.get("display") == "block")
    if tag == "mjx-container":
        return _mathjax(element)
    holder = _HOLDER.search(name)
    math = next(iter(element.iter("math")), None) if holder else None
    if holder and math is not None:
        display = holder[1] == "katex-display" or math.get("display") == "block"
        display = display or "katex-display" in (element.getparent().get("class") or "")
        return in_dollars(to_latex(math), display=display)
    if _DRAWN.search(name):
        return ""
    return _stated(element, name)


def _stated(element: "HtmlElement", name: str) -> str | None:
    """LaTeX in an attribute."""
    if element.tag not in ("span", "div", "p", "figure", "mjx-math", "tex-math"):
        return None
    for attribute in _STATED:
        stated = (element.get(attribute) or "").strip()
        if stated and not stated.startswith(('{"', "[", "http")):
            display = element.tag != "span" or _DISPLAYED.search(name) is not None
            return in_dollars(_undelimited(stated), display=display)
    return None


def _undelimited(formula: str) -> str:
    for opens, closes in (("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"), ("$", "$")):
        if formula.startswith(opens) and formula.endswith(closes) and len(formula) > len(opens):
            return formula[len(opens) : -len(closes)]
    return formula


def _mathjax(container: "HtmlElement") -> str:
    """A formula of MathJax 3 or 4: its MathML for screen readers, or its source."""
    display = container.get("display") == "true"
    source = next(iter(container.xpath(".//@data-latex[normalize-space()]")), None)
    if source is None:
        math = next(iter(container.iter("math")), None)
        return in_dollars(to_latex(math), display=display) if math is not None else ""
    return in_dollars(source, display=display)


def _image_formula(image: "HtmlElement") -> str:
    """The LaTeX of an image of a formula; empty if it is none."""
    source = image.get("src") or ""
    named = image.get("class") or ""
    addressed = _IMAGE_ADDRESS.search(source) is not None
    if not addressed and not _IMAGE_CLASS.search(named):
        return ""
    stated = (image.get("alt") or image.get("data-formula") or "").strip()
    if not stated and addressed:
        stated = _in_address(source)
    return _undelimited(stated)


def _in_address(source: str) -> str:
    """The formula that an image's address asks a server to draw."""
    query = urlsplit(source).query
    fields = parse_qs(query)
    for name in _IN_ADDRESS:
        if name in fields:
            return fields[name][0]
    return unquote(query) if "=" not in query.split("\\")[0].split("%")[0] else ""


def _stands_alone(image: "HtmlElement") -> bool:
    """Whether an image is all that its block holds."""
    block = image.getparent()
    while block is not None and block.tag in ("a", "span", "center", "em", "strong"):
        block = block.getparent()
    return (
        block is not None
        and block.tag in ("p", "div", "figure", "td", "center")
        and not (
            block.xpath("boolean(.//text()[normalize-space()])") or len(block.xpath(".//img")) > 1
        )
    )


def _write_equation_table(table: "HtmlElement") -> None:
    """A paragraph for each row of a LaTeXML table: its formulas, and their number as a tag."""
    paragraphs = []
    for row in table.iter("tr"):
        formulas = [to_latex(math) for math in row.iter("math")]
        formulas = [part.removeprefix("\\displaystyle").strip() for part in formulas]
        tag = "".join(row.xpath(".//*[contains(@class, 'ltx_tag')]//text()")).strip()
        number = _NUMBER.fullmatch(tag)
        if formulas and number:
            formulas.append(f"\\tag{{{number['number']}}}")
        if written := in_dollars(" ".join(formulas), display=True):
            paragraph = table.makeelement("p")
            paragraph.append(verbatim(table, written))
            paragraphs.append(paragraph)
    if not paragraphs:
        return
    parent = table.getparent()
    place = parent.index(table)
    paragraphs[-1].tail = table.tail
    parent.remove(table)
    for paragraph in reversed(paragraphs):
        parent.insert(place, paragraph)
