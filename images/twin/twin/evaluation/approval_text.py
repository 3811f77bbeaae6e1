"""What a person is shown who decides on a promotion: Markdown, for Airflow's *Required Actions*.

It rests on the report alone, so that a question that is asked once more is the same question. What
models and documents say is shown letter by letter: no mark-up of theirs makes a link or an image of
the page on which somebody approves.
"""

import re
import string
from collections.abc import Iterator

from twin.evaluation.figures_text import gain_format, number, shown
from twin.evaluation.gate import BASE, CHAMPION, NAMES
from twin.evaluation.report import EvaluationReport, Figure, SideBySide
from twin.evaluation.report_markdown import heading, judge_says, what_it_shows
from twin.evaluation.resampling import CONFIDENCE

CANDIDATE = "candidate"
SHOWN_ANSWERS = 3
"""Questions: they are drawn evenly over the documents, and all of them are in the report."""
MOST_CHARACTERS = 600
"""Of an answer; Airflow's page has no place for more."""

_MARKS = re.compile(f"[{re.escape(string.punctuation)}]")


def evidence(report: EvaluationReport) -> str:
    """Everything that a decision needs, and what each answer does."""
    blocks = [
        f"**{report.model} version {report.version}**: {heading(report)}",
        _bullets(report.reasons),
        f"[The whole report]({report.page_url})" if report.page_url else "",
        _bullets([*what_it_shows(report), *judge_says(report)]),
        _figures(report),
        f"Brackets hold {CONFIDENCE:.0%} intervals over groups of documents; for perplexity gains "
        "are relative, and a gain is better for every measure.",
        "### Checks of the gate",
        _bullets(f"{'✓' if each.passed else '✗'} {each.text}" for each in report.checks),
        "### Some answers",
        *(_answers(each, _opponent(report)) for each in report.side_by_side[:SHOWN_ANSWERS]),
        "### What happens",
        _bullets(_outcomes(report)),
    ]
    return "\n\n".join(filter(None, blocks)) + "\n"


def _opponent(report: EvaluationReport) -> str:
    """Who the candidate is held against: the champion, as far as it was measured, or the base."""
    measured = any(CHAMPION in figure.values for figure in report.figures)
    return CHAMPION if measured else BASE


def _figures(report: EvaluationReport) -> str:
    """The measures that the gate judges, and retrieval."""
    opponent = _opponent(report)
    rows = [
        ["measure", CANDIDATE, opponent, f"gain over {opponent}"],
        ["---"] * 4,
        *(_row(each, opponent) for each in report.figures if each.name in NAMES),
        [f"retrieval recall@{report.retrieval.k}", shown(report.retrieval.recall, number), "", ""],
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(figure: Figure, opponent: str) -> list[str]:
    return [
        NAMES[figure.name],
        shown(figure.values.get(CANDIDATE), number),
        shown(figure.values.get(opponent), number),
        shown(figure.gains.get(opponent), gain_format(figure)),
    ]


def _answers(asked: SideBySide, opponent: str) -> str:
    """One question with what candidate, opponent and author wrote."""
    written = {who: asked.answers[who] for who in (CANDIDATE, opponent) if who in asked.answers}
    lines = [f"**{_literal(asked.instruction)}**"]
    for who, text in {**written, "the author": asked.author}.items():
        lines.append(f"> **{who}**: {_literal(text) or '(nothing)'}")
    return "\n\n".join(lines)


def _outcomes(report: EvaluationReport) -> Iterator[str]:
    champion = report.lineage.get("champion", "none")
    before = "there is none yet" if champion == "none" else f"version {champion}"
    yield f"**Approve** makes version {report.version} the champion; before: {before}"
    yield (
        "**Reject** changes no champion; it is noted on the version, and nobody is asked about it "
        "again unless it is measured against another champion or by another gate"
    )
    yield "no answer changes nothing; once the question has timed out, the next run asks it again"


def _bullets(lines: Iterator[str] | list[str] | tuple[str, ...]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _literal(text: str) -> str:
    """A text on one line that means nothing in Markdown, cut where it is long."""
    flat = " ".join(text.split())
    cut = flat if len(flat) <= MOST_CHARACTERS else f"{flat[:MOST_CHARACTERS].rstrip()} …"
    return _MARKS.sub(lambda mark: f"\\{mark.group()}", cut)
