"""Formulas are LaTeX, and never other numbers."""

# ruff: noqa: RUF001, E501 - formulas as they are written

import pytest

from tests.twin.crawl.formats.prose import between
from twin.crawl.formats.text_formulas import is_formula, with_dollars


def _ml(inner: str) -> str:
    return f"<p>As <math>{inner}</math> says.</p>"


@pytest.mark.parametrize(
    ("inner", "latex"),
    [
        ("<mfrac><mn>3</mn><mn>14</mn></mfrac>", r"\frac{3}{14}"),
        ("<msup><mn>10</mn><mn>6</mn></msup>", "10^6"),
        ("<msup><mn>2</mn><mrow><mi>n</mi><mo>+</mo><mn>1</mn></mrow></msup>", "2^{n+1}"),
        ("<msub><mi>x</mi><mn>12</mn></msub>", "x_{12}"),
        ("<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup>", "x_i^2"),
        ("<msqrt><mn>2</mn><mi>a</mi></msqrt>", r"\sqrt{2a}"),
        ("<mroot><mi>x</mi><mn>3</mn></mroot>", r"\sqrt[3]{x}"),
        ("<munder><mi>lim</mi><mrow><mi>n</mi><mo>→</mo><mi>∞</mi></mrow></munder>",
         r"\lim_{n \to \infty}"),
        ("<munderover><mo>∏</mo><mi>k</mi><mi>n</mi></munderover><mi>a</mi>", r"\prod_k^n a"),
        ("<mover><mi>v</mi><mo>→</mo></mover>", r"\vec{v}"),
        ("<mover accent='true'><mi>x</mi><mo>¯</mo></mover>", r"\bar{x}"),
        ("<mi>α</mi><mo>≤</mo><mi>β</mi>", r"\alpha \leq \beta"),
        ("<mfrac linethickness='0'><mi>n</mi><mi>k</mi></mfrac>", r"\binom{n}{k}"),
        ("<mfenced><mi>a</mi><mi>b</mi></mfenced>", "(a, b)"),
        ("<mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>2</mn></mtd></mtr><mtr><mtd><mn>3</mn></mtd>"
         "<mtd><mn>4</mn></mtd></mtr></mtable>", r"\begin{matrix} 1 & 2 \\ 3 & 4 \end{matrix}"),
        ("<mi>sin</mi><mo>&#x2061;</mo><mi>x</mi>", r"\sin x"),
        ("<mn>5</mn><mtext> if wet</mtext>", r"5\text{if wet}"),
        ("<semantics><mi>x</mi><annotation encoding='application/x-tex'>x^{7}</annotation>"
         "</semantics>", "x^{7}"),
    ],
)  # fmt: skip
def test_mathml_without_an_annotation_is_written_out(inner: str, latex: str) -> None:
    assert between(_ml(inner)) == f"As ${latex}$ says."


@pytest.mark.parametrize(
    "markup",
    [
        r'<mjx-container jax="CHTML"><mjx-math data-latex="q = \frac{1}{2}"><mjx-c>1</mjx-c>'
        "</mjx-math></mjx-container>",
        r'<mjx-container><svg></svg><mjx-assistive-mml><math alttext="q = \frac{1}{2}"><mi>q</mi>'
        "</math></mjx-assistive-mml></mjx-container>",
        r'<span class="MathJax_Preview">q12</span><script type="math/tex">q = \frac{1}{2}</script>',
        r'<span class="katex"><math><semantics><mi>q</mi><annotation encoding="application/x-tex">'
        r'q = \frac{1}{2}</annotation></semantics></math><span class="katex-html">q12</span></span>',
        r'<img class="latex" alt="q = \frac{1}{2}" src="/l.png">',
        r'<img src="https://latex.codecogs.com/gif.latex?q%20%3D%20%5Cfrac%7B1%7D%7B2%7D">',
        r'<img src="https://www.zhihu.com/equation?tex=q+%3D+%5Cfrac%7B1%7D%7B2%7D">',
        r'<span class="ql-formula" data-value="q = \frac{1}{2}">q12</span>',
        r'<span data-latex="q = \frac{1}{2}">q12</span>',
        r"\(q = \frac{1}{2}\)",
        r"$q = \frac{1}{2}$",
        r'<span class="math inline">\(q = \frac{1}{2}\)</span>',
    ],
)
def test_a_formula_stays_in_its_sentence(markup: str) -> None:
    text = between(f"<p>We know that {markup} holds for the lower pumps of the canal.</p>")
    assert text == r"We know that $q = \frac{1}{2}$ holds for the lower pumps of the canal."


@pytest.mark.parametrize(
    "markup",
    [
        r'<div class="math notranslate">\[ a_1 = c \]</div>',
        "<p>$$a_1 = c$$</p>",
        '<p><img class="math" alt="a_1 = c" src="/m.png"></p>',
        '<p><script type="math/tex; mode=display">a_1 = c</script></p>',
        '<div class="math" data-tex="a_1 = c"></div>',
        '<table class="ltx_equation ltx_eqn_table"><tr><td><math alttext="\\displaystyle a_1 = c" '
        'display="block"><mi>a</mi></math></td></tr></table>',
        '<figure><math display="block"><msub><mi>a</mi><mn>1</mn></msub><mo>=</mo><mi>c</mi></math>'
        "</figure>",
    ],
)
def test_a_formula_of_a_line_is_kept_however_short(markup: str) -> None:
    assert between(markup) == "$$a_1 = c$$"


def test_the_number_of_an_equation_is_its_tag() -> None:
    table = (
        '<table class="ltx_equationgroup ltx_eqn_align"><tr><td><math alttext="a"></math></td><td>'
        '<math alttext="=b^{2}"></math></td><td><span class="ltx_tag">(2.1)</span></td></tr></table>'
    )
    assert between(table) == r"$$a =b^{2} \tag{2.1}$$"


def test_environments_in_the_text_are_not_escaped() -> None:
    text = between(r"<p>\begin{align} a_{1} &amp;= b*c \\ d &amp;= e_{2} \end{align}</p>")
    assert text == r"$$\begin{align} a_{1} &= b*c \\ d &= e_{2} \end{align}$$"


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("10<sup>3</sup>", "10³"),
        ("2<sup>n</sup>", "2^n"),
        ("2<sup>n+1</sup>", "2^{n+1}"),
        ("x<sub>i</sub><sup>k</sup>", "x_i^k"),
        ("<i>a</i><sub>12</sub>", "*a*₁₂"),
        ("CO<sub>2</sub>", "CO₂"),
        ("H<sub>max</sub>", "H_{max}"),
        ("e<sup>-x</sup>", "e^{-x}"),
        ("the 1<sup>st</sup> pump", "the 1st pump"),
        ("le 1<sup>er</sup> mai", "le 1er mai"),
        ("Pumpex<sup>®</sup>", "Pumpex®"),
        ("Pumpex<sup>TM</sup>", "PumpexTM"),
    ],
)
def test_raised_and_lowered_text_is_told_apart(markup: str, text: str) -> None:
    assert f"so {text} it is" in between(
        f"<p>We wrote so {markup} it is in the book of the mill.</p>"
    )


def test_formulas_without_end_are_text_and_take_one_look() -> None:
    text = r"\( a \[ b \begin{align} c $$ d " * 100_000
    assert with_dollars(text.replace("$$", "")) == text.replace("$$", "")
    assert between(f"<p>{text}</p>").startswith(r"\\( a")


def test_deep_fractions_are_no_trouble() -> None:
    deep = "<mfrac>" * 200 + "<mn>1</mn>" + "<mn>2</mn></mfrac>" * 200
    assert between(_ml(deep)).count(r"\frac") > 50


@pytest.mark.parametrize("text", ["$$a$$", r"\[ a \]", r"\begin{align} a \end{align}"])
def test_what_is_one_formula(text: str) -> None:
    assert is_formula(text) and not is_formula(f"{text} so") and not is_formula("$$")
