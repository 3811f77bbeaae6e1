"""The report as one page for a browser: what was decided, why, and what everyone wrote."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup, escape

from twin.evaluation.bars import Bar, gain_bar, rate_bar, share_bar, value_bars
from twin.evaluation.figures_text import ROLES, gain_format, number, share
from twin.evaluation.gate import NAMES
from twin.evaluation.report import EvaluationReport, Figure, SideBySide
from twin.evaluation.report_markdown import CAPTIONS, LEGEND, heading, judge_says, what_it_shows
from twin.evaluation.resampling import CONFIDENCE
from twin.pages import page
from twin.stores.kept_reports import begin, end

TEMPLATE = "report.html.jinja"

MOST_LISTED = 12
"""Entries of a list in a block that the page does not know; longer ones are counted."""

#: Plots that the page has as bars.
_AS_BARS = {"figures.png", "gains.png"}
_TONES = {"promote": "good", "hold": "open", "reject": "bad"}
_BETTER = {"higher": "higher is better", "lower": "lower is better", "neither": "no better end"}
#: Parts of a report that have a place on the page, or none; any other is shown as it is.
_PLACED = {
    "schema_version",
    "created",
    "model",
    "version",
    "verdict",
    "decision",
    "promoted",
    "reasons",
    "samples",
    "documents",
    "groups",
    "power",
    "proof",
    "new_documents",
    "figures",
    "retrieval",
    "judge",
    "checks",
    "side_by_side",
    "lineage",
    "plots",
    "mlflow_run",
}


def render_report(report: EvaluationReport, plots: Mapping[str, bytes]) -> str:
    """The page in HTML; everything that models, documents and titles say is escaped.

    Args:
        report: what it shows.
        plots: file name to PNG image, of those that ``report`` names.
    """
    return page.render_page(
        "twin.evaluation",
        TEMPLATE,
        report=report,
        heading=heading(report),
        tone=_TONES[report.verdict],
        confidence=f"{CONFIDENCE:.0%}",
        shows=what_it_shows(report),
        gains=list(_gains(report)),
        figures=[(figure, _BETTER[figure.better], _values(figure)) for figure in report.figures],
        legend=[_bold(line) for line in LEGEND],
        retrieval=list(_retrieval(report)),
        judged=list(_judged(report)),
        judge_says=judge_says(report),
        answers=[(shown, page.web_link(shown.url), texts(shown)) for shown in report.side_by_side],
        plots=[
            (page.embedded_image(plots[name]), CAPTIONS.get(name, name))
            for name in report.plots
            if name in plots and name not in _AS_BARS
        ],
        blocks=dict(_blocks(report)),
        run=page.web_link(report.mlflow_run),
        begin=lambda document: Markup(begin(document)),  # noqa: S704 # escaped there
        end=lambda document: Markup(end(document)),  # noqa: S704 # as above
    )


def texts(shown: SideBySide) -> dict[str, str]:
    """Who wrote what: the author, then the models."""
    return {
        "author": shown.author,
        **{role: shown.answers[role] for role in ROLES if role in shown.answers},
    }


def _gains(report: EvaluationReport) -> Iterator[tuple[str, list[Bar]]]:
    """Opponent to a bar for each measure, with the limit of the gate's check."""
    limits = {check.name: check.threshold for check in report.checks}
    for opponent in ROLES:
        bars = [
            gain_bar(
                figure.label,
                figure.gains[opponent],
                gain_format(figure),
                limits.get(f"{NAMES.get(figure.name)} against {opponent}"),
            )
            for figure in report.figures
            if opponent in figure.gains
        ]
        if bars:
            yield opponent, bars


def _values(figure: Figure) -> list[Bar]:
    values = {role: figure.values[role] for role in ROLES if role in figure.values}
    return value_bars(values, number)


def _retrieval(report: EvaluationReport) -> Iterator[Bar]:
    found = report.retrieval
    yield share_bar(f"recall@{found.k}", found.recall, number)
    yield share_bar(f"MRR@{found.k}", found.reciprocal_rank, number)


def _judged(report: EvaluationReport) -> Iterator[Bar]:
    """Win rates as the judge has them, and as people would."""
    for each in report.judge.preferences if report.judge else ():
        yield rate_bar(f"win rate over {each.opponent}", each.rate, share)
        if each.corrected is not None:
            yield rate_bar(f"corrected, over {each.opponent}", each.corrected, share)


def _blocks(report: EvaluationReport) -> Iterator[tuple[str, Any]]:
    """Blocks of a report that this page has no place for, their estimates as text."""
    for name, value in report.model_dump(mode="json").items():
        if name not in _PLACED and value:
            yield name.replace("_", " ").capitalize(), _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        few = len(value) <= MOST_LISTED
        return [_plain(each) for each in value] if few else f"{len(value)}, see report.json"
    if not isinstance(value, dict):
        return number(value) if isinstance(value, float) else value
    if {"value", "low", "high"} <= value.keys():
        ends = (value["value"], value["low"], value["high"])
        middle, low, high = (number(float(each)) for each in ends)
        return f"{middle} [{low}, {high}]"
    return {key.replace("_", " "): _plain(held) for key, held in value.items()}


def _bold(line: str) -> Markup:
    """A line of the legend, whose Markdown has bold words only."""
    text = str(escape(line.removeprefix("- ")))
    return Markup(re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text))  # noqa: S704 # escaped above
