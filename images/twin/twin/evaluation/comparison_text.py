"""A comparison of two versions for people: on a terminal, and as a page for a browser."""

import re

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from twin.evaluation.bars import gain_bar, value_bars
from twin.evaluation.comparison import VersionComparison
from twin.evaluation.figures_text import gain_format, number, shown
from twin.evaluation.gate import NAMES
from twin.evaluation.report import Figure, SideBySide
from twin.evaluation.resampling import CONFIDENCE
from twin.pages import page

TEMPLATE = "comparison.html.jinja"
SHOWN_ON_TERMINAL = 3
#: Control characters, but for tab and line break.
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_COLOURS = {"better": "green", "worse": "red", "not told apart": "yellow", "": "default"}


def conclusions(compared: VersionComparison) -> list[str]:
    """On which of the measures that a gate judges the versions can be told apart."""
    said: dict[str, list[str]] = {}
    for figure in compared.figures:
        if figure.name in NAMES:
            said.setdefault(outcome(compared, figure), []).append(NAMES[figure.name])
    lines = [
        f"{compared.second} is {word} than {compared.first} in {', '.join(said[word])}"
        for word in ("better", "worse")
        if word in said
    ]
    if "not told apart" in said:
        lines.append(f"not told apart: {', '.join(said['not told apart'])}")
    return lines


def outcome(compared: VersionComparison, figure: Figure) -> str:
    """What the interval says of the second version; empty where neither end is better."""
    gain = figure.gains.get(compared.first)
    if gain is None:
        return ""
    return "better" if gain.low > 0 else "worse" if gain.high < 0 else "not told apart"


def terminal(compared: VersionComparison) -> Group:
    """Figures, what they say, and some answers."""
    table = Table(title=f"{compared.second} against {compared.first}", title_justify="left")
    names = (compared.first, compared.second, f"gain of {compared.second}", "")
    for place, name in enumerate(("measure", *names)):
        table.add_column(name, justify="left" if place in {0, 4} else "right")
    for figure in compared.figures:
        word = outcome(compared, figure)
        values = [shown(figure.values[name], number) for name in names[:2]]
        cells = [*values, shown(figure.gains.get(compared.first), gain_format(figure))]
        lines = [escape(cell.replace(" [", "\n[", 1)) for cell in cells]
        table.add_row(escape(figure.label), *lines, f"[{_COLOURS[word]}]{word}[/]")
    said = [f"- {escape(line)}" for line in (*conclusions(compared), f"on {compared.basis}")]
    answers = [_answers(each) for each in compared.answers[:SHOWN_ON_TERMINAL]]
    return Group(table, *said, *answers)


def render_comparison(compared: VersionComparison) -> str:
    """The page in HTML; everything that versions and documents say is escaped."""
    gains = [
        gain_bar(figure.label, figure.gains[compared.first], gain_format(figure))
        for figure in compared.figures
        if compared.first in figure.gains
    ]
    return page.render_page(
        "twin.evaluation",
        TEMPLATE,
        compared=compared,
        confidence=f"{CONFIDENCE:.0%}",
        conclusions=conclusions(compared),
        gains=gains,
        figures=[(figure.label, value_bars(figure.values, number)) for figure in compared.figures],
        answers=[
            (each, page.web_link(each.url), {"author": each.author, **each.answers})
            for each in compared.answers
        ],
    )


def _answers(asked: SideBySide) -> Table:
    """One question with all answers beside one another."""
    written = {"author": asked.author, **asked.answers}
    table = Table(title=_harmless(asked.instruction), title_justify="left")
    for name in written:
        table.add_column(escape(name), ratio=1)
    table.add_row(*map(_harmless, written.values()))
    return table


def _harmless(text: str) -> str:
    """Text that neither marks up nor steers the terminal."""
    return escape(_STEERING.sub("\ufffd", text))
