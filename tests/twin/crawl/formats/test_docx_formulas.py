"""Formulas of Word documents come through as LaTeX, where they stand."""

import io

import pytest
from docx import Document
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from tests.twin.crawl.formats.pages import page
from twin.crawl.formats.docx import read_docx

UPRIGHT = '<m:sty m:val="p"/>'
MATH = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'


def r(text: str, properties: str = "") -> str:
    """A run of a formula."""
    inner = f"<m:rPr>{properties}</m:rPr>" if properties else ""
    return f'<m:r>{inner}<m:t xml:space="preserve">{text}</m:t></m:r>'


def e(*inner: str) -> str:
    return f"<m:e>{''.join(inner)}</m:e>"


def sup(base: str, above: str) -> str:
    return f"<m:sSup>{e(base)}<m:sup>{above}</m:sup></m:sSup>"


def sub(base: str, below: str) -> str:
    return f"<m:sSub>{e(base)}<m:sub>{below}</m:sub></m:sSub>"


def frac(above: str, below: str, kind: str = "") -> str:
    properties = f'<m:fPr><m:type m:val="{kind}"/></m:fPr>' if kind else ""
    return f"<m:f>{properties}<m:num>{above}</m:num><m:den>{below}</m:den></m:f>"


def brackets(*inner: str, opens: str = "(", closes: str = ")", more: str = "") -> str:
    signs = f'<m:begChr m:val="{opens}"/><m:endChr m:val="{closes}"/>{more}'
    return f"<m:d><m:dPr>{signs}</m:dPr>{''.join(map(e, inner))}</m:d>"


def nary(sign: str, below: str, above: str, of: str) -> str:
    return (
        f'<m:nary><m:naryPr><m:chr m:val="{sign}"/></m:naryPr><m:sub>{below}</m:sub>'
        f"<m:sup>{above}</m:sup>{e(of)}</m:nary>"
    )


def read(*paragraphs: tuple[str, ...], display: bool = False) -> list[str]:
    """Paragraphs in Markdown, of such with formulas in their sentences or between them."""
    document = Document()
    for formulas in paragraphs:
        paragraph = document.add_paragraph("The tide ")
        for formula in formulas:
            math = f"<m:oMath>{formula}</m:oMath>"
            if display:
                math = f"<m:oMathPara>{math}</m:oMathPara>"
            root = math.replace(">", f" {MATH} {nsdecls('w')}>", 1)
            paragraph._p.append(parse_xml(root))
            paragraph.add_run(" and the ebb ")
    file = io.BytesIO()
    document.save(file)
    return read_docx(page("tides.docx", file.getvalue())).content.strip().split("\n\n")


CASES = [
    (r("E=m") + sup(r("c"), r("2")), "E = mc^2"),
    (frac(r("a"), r("b")), r"\frac{a}{b}"),
    (frac(r("1"), r("12")) + r("n"), r"\frac{1}{12}n"),
    (frac(r("a"), r("b+c"), "lin"), "a/{b+c}"),
    (brackets(frac(r("n"), r("k"), "noBar")), r"\binom{n}{k}"),
    (sub(r("x"), r("ij")), "x_{ij}"),
    (
        f"<m:sSubSup>{e(r('x'))}<m:sub>{r('i')}</m:sub><m:sup>{r('2')}</m:sup></m:sSubSup>",
        "x_i^2",
    ),
    (
        f"<m:sPre><m:sub>{r('6')}</m:sub><m:sup>{r('12')}</m:sup>{e(r('C'))}</m:sPre>",
        "{}_6^{12}C",
    ),
    ('<m:rad><m:radPr><m:degHide m:val="1"/></m:radPr><m:deg/>' + e(r("x")) + "</m:rad>",
     r"\sqrt{x}"),
    (f"<m:rad><m:deg>{r('3')}</m:deg>{e(r('x'))}</m:rad>", r"\sqrt[3]{x}"),
    (nary("∑", r("i=1"), r("n"), sub(r("x"), r("i"))), r"\sum_{i = 1}^n x_i"),
    (f"<m:nary><m:sub>{r('0')}</m:sub><m:sup>{r('∞')}</m:sup>{e(r('f'))}</m:nary>",
     r"\int_0^{\infty} f"),
    ('<m:nary><m:naryPr><m:chr m:val="∏"/><m:supHide m:val="on"/></m:naryPr>'
     f"<m:sub>{r('p')}</m:sub><m:sup/>{e(r('p'))}</m:nary>", r"\prod_p p"),
    (brackets(r("a"), r("b"), opens="[", closes="]", more='<m:sepChr m:val=","/>'), "[a, b]"),
    (brackets(r("x"), opens="|", closes="|"), "|x|"),
    ("<m:d>" + e(r("x+y")) + "</m:d>", "(x+y)"),
    (brackets("<m:eqArr>" + e(r("1, &amp;x>0")) + e(r("0, &amp;x≤0")) + "</m:eqArr>",
              opens="{", closes=""),
     r"\left\{\begin{aligned} 1, &x > 0 \\ 0, &x \leq 0 \end{aligned}\right."),
    ('<m:acc><m:accPr><m:chr m:val="⃗"/></m:accPr>' + e(r("v")) + "</m:acc>", r"\vec{v}"),
    ("<m:acc>" + e(r("p")) + "</m:acc>", r"\hat{p}"),
    ('<m:bar><m:barPr><m:pos m:val="top"/></m:barPr>' + e(r("z")) + "</m:bar>",
     r"\overline{z}"),
    ("<m:groupChr>" + e(r("a+b")) + "</m:groupChr>", r"\underbrace{a+b}"),
    (f"<m:limLow>{e(r('lim', UPRIGHT))}<m:lim>{r('n→∞')}</m:lim></m:limLow>",
     r"\lim_{n \to \infty}"),
    (f"<m:func><m:fName>{r('sin', UPRIGHT)}</m:fName>{e(r('θ'))}</m:func>",
     r"\sin \theta"),
    (r("log") + r("n"), r"\log n"),
    ("<m:m><m:mr>" + e(r("1")) + e(r("0")) + "</m:mr><m:mr>" + e(r("0")) + e(r("1"))
     + "</m:mr></m:m>", r"\begin{matrix} 1 & 0 \\ 0 & 1 \end{matrix}"),
    ("<m:borderBox>" + e(r("x=1")) + "</m:borderBox>", r"\boxed{x = 1}"),
    (r("if ", "<m:nor/>") + r("x"), r"\text{if }x"),
    (r("R", '<m:scr m:val="double-struck"/>'), r"\mathbb{R}"),
    (r("v", '<m:sty m:val="b"/>'), r"\mathbf{v}"),
    (r("\U0001d465\U0001d6fc"), r"x\alpha"),
    (r("50%"), r"50\%"),
    ("<m:eqArr>" + e(r("E=m#(1)")) + "</m:eqArr>", r"E = m \tag{1}"),
    ('<m:phant><m:phantPr><m:show m:val="0"/></m:phantPr>' + e(r("x")) + "</m:phant>"
     + r("y"), "y"),
    (frac(r("1"), r("1+") + frac(r("1"), r("1+") + frac(r("1"), r("x")))),
     r"\frac{1}{1+\frac{1}{1+\frac{1}{x}}}"),
    (r("a") + "<m:weird>" + e(r("b")) + "</m:weird>", "ab"),
]  # fmt: skip


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    """Each formula as it comes out of one document that has them all."""
    formulas = [formula for formula, _ in CASES]
    return dict(zip(formulas, read(*[(formula,) for formula in formulas]), strict=True))


@pytest.mark.parametrize(("formula", "latex"), CASES)
def test_a_formula_within_a_sentence(written: dict[str, str], formula: str, latex: str) -> None:
    assert written[formula] == f"The tide ${latex}$ and the ebb"


def test_formulas_that_stand_alone_and_several() -> None:
    assert read((r("a"), r("b")), display=True) == ["The tide $$a$$ and the ebb $$b$$ and the ebb"]


def test_a_document_without_formulas_that_speaks_of_marks() -> None:
    document = Document()
    document.add_paragraph("A mark: \ue0f0formula-0\ue0f1, and what is behind it.")
    file = io.BytesIO()
    document.save(file)
    content = read_docx(page("marks.docx", file.getvalue())).content
    assert "formula-0" in content


def test_signs_of_markup_in_a_formula() -> None:
    """Neither HTML nor Markdown sees them."""
    assert read((r("a&lt;b*c*d_e"),)) == [r"The tide $a < b*c*d\_e$ and the ebb"]


def test_formulas_in_tables_and_notes() -> None:
    document = Document()
    document.add_paragraph("A table of tides, with a formula in it.")
    table = document.add_table(rows=2, cols=2)
    table.cell(0, 0).text, table.cell(0, 1).text, table.cell(1, 0).text = "Port", "Law", "Delft"
    math = f"<m:oMath {MATH}>{frac(r('a'), r('b'))}</m:oMath>"
    table.cell(1, 1).paragraphs[0]._p.append(parse_xml(math))
    file = io.BytesIO()
    document.save(file)
    content = read_docx(page("table.docx", file.getvalue())).content
    assert r"| Delft | $\frac{a}{b}$ |" in content
