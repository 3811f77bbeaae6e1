"""The report as people read it: Markdown, and a table for terminals."""

import html
from collections.abc import Callable, Iterable, Sequence

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from twin.evaluation.report import Decision, EvaluationReport, Figure, SideBySide
from twin.evaluation.resampling import CONFIDENCE, Estimate

ROLES = ("candidate", "base", "champion", "author")
_HEADINGS = {
    Decision.PROMOTED: "promoted to champion",
    Decision.AWAITING_APPROVAL: "passed, waits for a person's approval",
    Decision.TRIAL: "passed, as a trial it is promoted by hand only",
    Decision.REFUSED: "refused, the champion stays",
}
_CAPTIONS = {
    "figures.png": f"Each measure with its {CONFIDENCE:.0%} interval",
    "gains.png": "What the candidate gains, against what the gate asks for",
    "passages.png": "Perplexity passage by passage: below the line the candidate knows it better",
}
_LEGEND = (
    "- **Perplexity**: how surprised the model is by the author's own passages, per token.",
    "- **ROUGE-L**: wording that its answers share with those passages, in order.",
    "- **Style similarity**: frequent words, letter runs, punctuation and sentence lengths of its "
    "answers against the author's training texts; 1 is indistinguishable. The column *author* "
    "holds the author's own unseen passages: as good as it gets.",
    "- **Burrows' Delta**: distance in frequent words, in units of the author's own variation.",
    "- **Semantic similarity**: cosine of the embeddings of answer and passage.",
    "- **Gains** are over the same samples, positive is better; for perplexity they are relative.",
)


def verdict(report: EvaluationReport) -> str:
    """Decision, its reasons and the way to the whole report, for the version's page."""
    reasons = (f"- {reason}" for reason in report.reasons)
    return "\n".join(
        (
            f"**Evaluated**: {_HEADINGS[report.decision]}",
            *reasons,
            f"- [Run with the whole report]({report.mlflow_run})",
        )
    )


def markdown(report: EvaluationReport) -> str:
    """The whole report as one Markdown text."""
    blocks = [
        f"# {report.model} version {report.version}: {_HEADINGS[report.decision]}",
        *(f"- {reason}" for reason in report.reasons),
        "",
        f"Measured on {report.samples} test samples of {report.documents} documents that training "
        f"has not seen, {report.created:%Y-%m-%d %H:%M} UTC. Brackets hold {CONFIDENCE:.0%} "
        "intervals by the paired bootstrap over these samples; they do not cover the choice of "
        "documents.",
        "",
        "## Figures",
        "",
        *_pipe_table(_rows(report)),
        "",
        *_LEGEND,
        "",
        *(f"![{_CAPTIONS.get(plot, plot)}]({plot})\n" for plot in report.plots),
        "## Checks",
        "",
        *_pipe_table(_check_rows(report)),
        "",
        "## Side by side",
        "",
        *(line for sample in report.side_by_side for line in _side_by_side(sample)),
        "## Lineage",
        "",
        *_pipe_table([["what", "value"], *([key, f"`{v}`"] for key, v in report.lineage.items())]),
        "",
    ]
    return "\n".join(blocks)


def terminal(report: EvaluationReport) -> Group:
    """Verdict, figures and checks for a terminal."""
    header, *rows = _rows(report)
    figures = Table(title=f"{report.model} version {report.version}", title_justify="left")
    for place, name in enumerate(header):
        figures.add_column(name, justify="left" if place == 0 else "right")
    for row in rows:
        figures.add_row(*map(_on_two_lines, row))
    checks = Table(show_header=False, box=None, padding=(0, 1))
    for check in report.checks:
        colour = "green" if check.passed else "red"
        word = "passed" if check.passed else "FAILED"
        checks.add_row(f"[{colour}]{word}[/]", escape(check.text.rsplit(":", 1)[0]))
    colour = "red" if report.decision is Decision.REFUSED else "green"
    verdict = f"[bold {colour}]{_HEADINGS[report.decision]}[/]"
    return Group(figures, checks, verdict)


def _rows(report: EvaluationReport) -> list[list[str]]:
    """Header and one row a measure; the columns are the models there are, then the gains."""
    roles = [role for role in ROLES if any(role in figure.values for figure in report.figures)]
    opponents = [role for role in roles if any(role in figure.gains for figure in report.figures)]
    rows = [["measure", *roles, *(f"gain over {role}" for role in opponents)]]
    for figure in report.figures:
        arrow = "↑" if figure.better == "higher" else "↓"
        values = [_shown(figure.values.get(role), _number) for role in roles]
        gained = [_shown(figure.gains.get(role), _gain_format(figure)) for role in opponents]
        rows.append([f"{figure.label} {arrow}", *values, *gained])
    found = report.retrieval
    blanks = [""] * (len(roles) + len(opponents) - 1)
    rows.append([f"Retrieval recall@{found.k} ↑", _shown(found.recall, _number), *blanks])
    rows.append([f"Retrieval MRR@{found.k} ↑", _shown(found.reciprocal_rank, _number), *blanks])
    return rows


def _gain_format(figure: Figure) -> Callable[[float], str]:
    return _percent if figure.name == "perplexity" else _signed


def _shown(estimate: Estimate | None, show: Callable[[float], str]) -> str:
    if estimate is None:
        return ""
    return f"{show(estimate.value)} [{show(estimate.low)}, {show(estimate.high)}]"


def _on_two_lines(cell: str) -> str:
    """Value above interval: a terminal is narrow."""
    return escape(cell.replace(" [", "\n[", 1))


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) >= 10 else f"{value:.3f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}"


def _percent(value: float) -> str:
    return f"{value:+.1%}" if abs(value) < 10 else f"{value * 100:+.3g}%"


def _check_rows(report: EvaluationReport) -> list[list[str]]:
    rows = [["", "check", "verdict"]]
    for check in report.checks:
        mark = "✓" if check.passed else "✗"
        rows.append([mark, check.name, check.text])
    return rows


def _side_by_side(sample: SideBySide) -> Iterable[str]:
    yield f"### {_inline(sample.instruction)}"
    yield ""
    yield f"From [{_inline(sample.title)}](<{sample.url}>)."
    yield ""
    for who, text in {"The author": sample.author, **sample.answers}.items():
        yield f"**{who}**"
        yield ""
        yield from (f"> {html.escape(line, quote=False)}" for line in text.splitlines() or [""])
        yield ""


def _pipe_table(rows: Sequence[Sequence[str]]) -> list[str]:
    header, *body = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    lines = [header, ["---"] * len(header), *body]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _inline(text: str) -> str:
    """Text of a document or an instruction on one line, without markup of its own."""
    return html.escape(" ".join(text.split()), quote=False).replace("[", "\\[").replace("]", "\\]")
