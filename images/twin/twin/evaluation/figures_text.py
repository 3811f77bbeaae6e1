"""Figures and tables of a report in Markdown and words."""

import html
from collections.abc import Callable, Sequence
from math import isfinite

from twin.evaluation.checks import signed
from twin.evaluation.report import Figure
from twin.evaluation.resampling import Estimate

ROLES = ("candidate", "base", "champion", "reference", "author")


def gain_format(figure: Figure) -> Callable[[float], str]:
    """How a gain in a measure is written."""
    return percent if figure.name == "perplexity" else signed


def shown(estimate: Estimate | None, show: Callable[[float], str]) -> str:
    """A value with its interval; empty where there is none."""
    if estimate is None:
        return ""
    if not (isfinite(estimate.low) and isfinite(estimate.high)):
        return f"{show(estimate.value)} [no interval]"
    return f"{show(estimate.value)} [{show(estimate.low)}, {show(estimate.high)}]"


def number(value: float) -> str:
    """A value of any size."""
    return f"{value:.3g}" if abs(value) >= 10 else f"{value:.3f}"


def share(value: float) -> str:
    """A share of a whole."""
    return f"{value:.1%}"


def percent(value: float) -> str:
    """A relative difference."""
    return f"{value:+.1%}" if abs(value) < 10 else f"{value * 100:+.3g}%"


def pipe_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table whose first row is its header."""
    header, *body = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    lines = [header, ["---"] * len(header), *body]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def inline(text: str) -> str:
    """Text of a document or an instruction on one line, without markup of its own."""
    return html.escape(" ".join(text.split()), quote=False).replace("[", "\\[").replace("]", "\\]")


def listed(names: Sequence[str], most: int = 12) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
