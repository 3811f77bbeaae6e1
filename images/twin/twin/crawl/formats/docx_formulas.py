"""Formulas in the parts of a Word document: put where the converter sees text."""

import re
import zipfile
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING

from twin.crawl.formats.latex import in_dollars
from twin.crawl.formats.omml import M, W, to_latex
from twin.crawl.formats.verbatim import VERBATIM

if TYPE_CHECKING:
    from lxml.etree import _Element

#: Parts that hold text.
_PARTS = re.compile(r"word/(?:document|footnotes|endnotes)\d*\.xml")
# Characters of no meaning, which a document may yet hold: so a name stands between them.
_MARK = re.compile("\ue0f0formula-(?P<number>\\d+)\ue0f1")


def take_formulas(body: bytes) -> tuple[bytes, list[str]]:
    """A document with a mark in place of each formula, and the formulas as Markdown has them.

    Raises:
        OSError, ValueError, zipfile.BadZipFile: as reading the archive.
    """
    formulas: list[str] = []
    with zipfile.ZipFile(BytesIO(body)) as archive:
        names = [name for name in archive.namelist() if _PARTS.fullmatch(name)]
        texts = {name: archive.read(name) for name in names}
        changed = {
            name: _marked(text, formulas) for name, text in texts.items() if b"oMath" in text
        }
        if not formulas:
            return body, []
        with BytesIO() as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as copy:
                for name in archive.namelist():
                    copy.writestr(name, changed.get(name) or archive.read(name))
            return file.getvalue(), formulas


def _marked(text: bytes, formulas: list[str]) -> bytes:
    from lxml import etree

    # Formulas nest deeper than the parser goes by itself.
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
    try:
        root = etree.fromstring(text, parser)
    except etree.XMLSyntaxError:
        return text
    for formula in list(root.iter(f"{M}oMath")):
        parent = formula.getparent()
        if parent is None or any(above.tag == f"{M}oMath" for above in formula.iterancestors()):
            continue
        run = etree.Element(f"{W}r")
        formulas.append(in_dollars(to_latex(formula), display=parent.tag == f"{M}oMathPara"))
        etree.SubElement(run, f"{W}t").text = f"\ue0f0formula-{len(formulas) - 1}\ue0f1"
        run.tail = formula.tail
        parent.replace(formula, run)
    for paragraph in list(root.iter(f"{M}oMathPara")):
        _unwrap(paragraph)
    written: bytes = etree.tostring(root, xml_declaration=True, encoding="utf-8")
    return written


def _unwrap(paragraph: "_Element") -> None:
    """Put the runs of a block of formulas into the paragraph that it stands in."""
    parent = paragraph.getparent()
    if parent is None:
        return
    place = parent.index(paragraph)
    runs = [child for child in paragraph if child.tag == f"{W}r"]
    parent.remove(paragraph)
    for run in reversed(runs):
        parent.insert(place, run)


def put_formulas(html: str, formulas: list[str]) -> str:
    """Converted HTML with formulas in place of their marks."""

    def written(mark: re.Match[str]) -> str:
        formula = formulas[int(mark["number"])]
        return f"<span {VERBATIM}>{escape(formula)}</span>" if formula else ""

    return _MARK.sub(written, html) if formulas else html
