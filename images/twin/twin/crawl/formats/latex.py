"""Parts of formulas as LaTeX: what MathML and Word's formulas are both written with."""

import re
from collections.abc import Iterable, Sequence

_GREEK = dict(
    zip(
        "αβγδεζηθικλμνξπρσςτυφχψωΓΔΘΛΞΠΣΥΦΨΩϵϑϕϖϱ",
        [
            "alpha",
            "beta",
            "gamma",
            "delta",
            "varepsilon",
            "zeta",
            "eta",
            "theta",
            "iota",
            "kappa",
            "lambda",
            "mu",
            "nu",
            "xi",
            "pi",
            "rho",
            "sigma",
            "varsigma",
            "tau",
            "upsilon",
            "varphi",
            "chi",
            "psi",
            "omega",
            "Gamma",
            "Delta",
            "Theta",
            "Lambda",
            "Xi",
            "Pi",
            "Sigma",
            "Upsilon",
            "Phi",
            "Psi",
            "Omega",
            "epsilon",
            "vartheta",
            "phi",
            "varpi",
            "varrho",
        ],
        strict=True,
    )
)
_SIGNS = {
    "∑": "sum", "∏": "prod", "∐": "coprod", "∫": "int", "∬": "iint", "∭": "iiint", "∮": "oint",
    "⋃": "bigcup", "⋂": "bigcap", "⋁": "bigvee", "⋀": "bigwedge", "⨁": "bigoplus",
    "⨂": "bigotimes", "∞": "infty", "∂": "partial", "∇": "nabla", "∀": "forall", "∃": "exists",
    "∄": "nexists", "∅": "emptyset", "ℓ": "ell", "ℏ": "hbar", "ℜ": "Re", "ℑ": "Im",
    "ℵ": "aleph", "∠": "angle", "°": "degree", "′": "prime", "…": "ldots", "⋯": "cdots",
    "⋮": "vdots", "⋱": "ddots", "⟨": "langle", "⟩": "rangle", "⌊": "lfloor", "⌋": "rfloor",
    "⌈": "lceil", "⌉": "rceil", "∥": "parallel", "‖": "|", "¬": "neg",
}  # fmt: skip
_OPERATORS = {
    "≤": "leq", "≥": "geq", "≠": "neq", "≈": "approx", "≡": "equiv", "∼": "sim", "≃": "simeq",
    "≅": "cong", "∝": "propto", "≪": "ll", "≫": "gg", "∈": "in", "∉": "notin", "∋": "ni",
    "⊂": "subset", "⊆": "subseteq", "⊃": "supset", "⊇": "supseteq", "∪": "cup", "∩": "cap",
    "∖": "setminus", "∧": "land", "∨": "lor", "⊕": "oplus", "⊗": "otimes", "⊥": "perp",
    "⊢": "vdash", "⊨": "models", "→": "to", "←": "leftarrow", "↔": "leftrightarrow",
    "⇒": "Rightarrow", "⇐": "Leftarrow", "⇔": "Leftrightarrow", "↦": "mapsto", "↑": "uparrow",
    "↓": "downarrow", "⟶": "longrightarrow", "⟹": "implies", "⟺": "iff", "±": "pm", "∓": "mp",
    "×": "times", "÷": "div", "·": "cdot", "⋅": "cdot", "∗": "ast", "∘": "circ", "•": "bullet",
    "∣": "mid", "≔": "coloneqq", "≜": "triangleq",
}  # fmt: skip
_PLAIN = {"−": "-", "⁄": "/", "∕": "/", "\u2212": "-", "\u00a0": " ", "≺": "\\prec "}  # noqa: RUF001
_RELATIONS = frozenset("=<>")
_INVISIBLE = dict.fromkeys(map(ord, "\u2061\u2062\u2063\u2064\u200b\ufeff"))
_ESCAPED = frozenset("{}%&#$_")
_FUNCTIONS = frozenset(
    [
        "arccos",
        "arcsin",
        "arctan",
        "arg",
        "cos",
        "cosh",
        "cot",
        "coth",
        "csc",
        "deg",
        "det",
        "dim",
        "exp",
        "gcd",
        "hom",
        "inf",
        "ker",
        "lg",
        "lim",
        "liminf",
        "limsup",
        "ln",
        "log",
        "max",
        "min",
        "Pr",
        "sec",
        "sin",
        "sinh",
        "sup",
        "tan",
        "tanh",
    ]
)
_ACCENTS = {
    "¯": "bar", "‾": "overline", "_": "underline", "^": "hat", "ˆ": "hat", "̂": "hat", "~": "tilde",
    "˜": "tilde", "̃": "tilde", "→": "vec", "⃗": "vec", "˙": "dot", "̇": "dot", "¨": "ddot",
    "̈": "ddot", "ˇ": "check", "˘": "breve", "´": "acute", "`": "grave", "⏞": "overbrace",
    "⏟": "underbrace", "̅": "overline", "̄": "bar", "‐": "bar", "−": "bar",
}  # fmt: skip
_ENDS_IN_COMMAND = re.compile(r"(?:\\[A-Za-z]+|[_^]\w)$")


def characters(text: str) -> str:
    """Signs and Greek letters as commands; what has none stays as it is."""
    return joined(_character(character) for character in text.translate(_INVISIBLE))


def _character(character: str) -> str:
    if character in _GREEK:
        return f"\\{_GREEK[character]}"
    if character in _SIGNS:
        return f"\\{_SIGNS[character]}"
    if character in _OPERATORS:
        return f" \\{_OPERATORS[character]} "
    if character in _RELATIONS:
        return f" {character} "
    if character in _ESCAPED:
        return f"\\{character}"
    return "\\backslash " if character == "\\" else _PLAIN.get(character, character)


def name(text: str) -> str:
    """An identifier: a letter, a function such as ``sin``, or a word that stands upright."""
    text = text.translate(_INVISIBLE).strip()
    if text in _FUNCTIONS:
        return f"\\{text}"
    if len(text) > 1 and text.isascii() and text.isalpha():
        return f"\\mathrm{{{text}}}"
    return characters(text)


def words(text: str) -> str:
    """Words in a formula."""
    if not any(character.isalpha() for character in text):
        return characters(text) if text.strip() else "\\ "
    return "\\text{" + text.replace("{", "\\{").replace("}", "\\}") + "}"


def joined(parts: Iterable[str]) -> str:
    """Parts in a row, with a space where a command would run into a letter."""
    text: list[str] = []
    last = ""
    for part in parts:
        if not part:
            continue
        if last and part[0].isalnum() and _ENDS_IN_COMMAND.search(last):
            text.append(" ")
        text.append(part)
        last = part
    return "".join(text)


def argument(latex: str) -> str:
    """Braces around it."""
    return "{" + latex.strip() + "}"


def script(latex: str) -> str:
    """As an index or exponent: a single character needs no braces."""
    latex = latex.strip()
    return latex if len(latex) == 1 else argument(latex)


def base(latex: str) -> str:
    """What bears an index or exponent."""
    latex = latex.strip()
    single = (
        len(latex) <= 1 or latex.isdigit() or re.fullmatch(r"\\[A-Za-z]+(?:\{[^{}]*\})?", latex)
    )
    return latex if single or re.fullmatch(r"[({\[|].*[)}\]|]", latex) else argument(latex)


def fraction(above: str, below: str, *, bar: bool = True) -> str:
    """A fraction; without its bar, a binomial coefficient."""
    return ("\\frac" if bar else "\\binom") + argument(above) + argument(below)


def scripts(what: str, below: str = "", above: str = "") -> str:
    """Indices, exponents and limits."""
    text = base(what)
    if below.strip():
        text += f"_{script(below)}"
    if above.strip():
        text += f"^{script(above)}"
    return text


def root(latex: str, degree: str = "") -> str:
    """A root."""
    return f"\\sqrt{f'[{degree.strip()}]' if degree.strip() else ''}{argument(latex)}"


def over(what: str, sign: str) -> str:
    """An accent or anything else over it."""
    accent = _ACCENTS.get(sign.strip())
    return f"\\{accent}{argument(what)}" if accent else f"\\overset{argument(sign)}{argument(what)}"


def under(what: str, sign: str) -> str:
    """A limit, a brace, or anything else under it."""
    if what.strip() in {f"\\{function}" for function in _FUNCTIONS} or what.strip() in {
        f"\\{sign}" for sign in ("sum", "prod", "int", "bigcup", "bigcap", "bigoplus")
    }:
        return scripts(what, sign)
    accent = {"_": "underline", "‾": "underline", "⏟": "underbrace", "̲": "underline"}.get(
        sign.strip()
    )
    return (
        f"\\{accent}{argument(what)}" if accent else f"\\underset{argument(sign)}{argument(what)}"
    )


def between(opens: str, parts: Sequence[str], closes: str, separator: str = ",") -> str:
    """Parts in brackets."""
    inner = f"{separator} ".join(part.strip() for part in parts)
    if not opens and not closes:
        return inner
    left, right = (characters(sign) or "." for sign in (opens, closes))
    if "\\frac" in inner or "\\begin" in inner or "." in (left, right):
        return joined(["\\left" + left, inner, "\\right" + right])
    return joined([left, inner, right])


def rows(lines: Iterable[Sequence[str]], environment: str = "matrix") -> str:
    """A matrix, or lines of one formula."""
    inner = " \\\\ ".join(" & ".join(cell.strip() for cell in line) for line in lines)
    return f"\\begin{{{environment}}} {inner} \\end{{{environment}}}"


def in_dollars(latex: str, *, display: bool) -> str:
    """A formula as Markdown has it; empty if there is none."""
    latex = " ".join(latex.split())
    if match := re.match(r"^\{\\displaystyle\s*(?P<latex>.*)\}$", latex, re.DOTALL):
        latex = match["latex"]
    latex = latex.removeprefix("\\displaystyle").strip()
    if not latex:
        return ""
    return f"$${latex}$$" if display else f"${latex}$"
