"""The report as people read it: Markdown, and a table for terminals."""

import html
from collections.abc import Iterable

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from twin.evaluation.checks import Verdict
from twin.evaluation.figures_text import (
    ROLES,
    gain_format,
    inline,
    number,
    pipe_table,
    share,
    shown,
)
from twin.evaluation.gate import NAMES, amount, too_small
from twin.evaluation.power import MIN_GROUPS
from twin.evaluation.report import (
    Decision,
    DocumentGroup,
    EvaluationReport,
    SideBySide,
)
from twin.evaluation.report_sections import (
    abilities_section,
    apart_section,
    judged_section,
    memorised_section,
    speed_section,
    style_section,
)
from twin.evaluation.resampling import CONFIDENCE
from twin.stores.kept_reports import begin, end

_HEADINGS = {
    Decision.PROMOTED: "promoted to champion",
    Decision.AWAITING_APPROVAL: "waits for a person's approval",
    Decision.TRIAL: "passed, as a trial it is promoted by hand only",
    Decision.HELD: "held for want of proof, a person may promote it",
    Decision.REJECTED: "rejected, only force promotes it",
}
_VERDICTS = {
    Verdict.PROMOTE: "the gate would promote it",
    Verdict.HOLD: "the gate holds it for want of proof",
    Verdict.REJECT: "the gate rejects it",
}
_COLOURS = {Verdict.PROMOTE: "green", Verdict.HOLD: "yellow", Verdict.REJECT: "red"}
_ARROWS = {"higher": " ↑", "lower": " ↓", "neither": ""}
CAPTIONS = {
    "figures.png": f"Each measure with its {CONFIDENCE:.0%} interval",
    "gains.png": "What the candidate gains, against what the gate asks for",
    "style.png": "Who writes like the author: what each wrote about a group of documents",
    "passages.png": "Perplexity passage by passage: below the line the candidate knows it better",
}
LEGEND = (
    "- **Perplexity**: how surprised the model is by the author's own passages, per token.",
    "- **ROUGE-L**, **BLEU**, **chrF**: wording that its answers share with those passages: words "
    "in order, runs of words, runs of letters.",
    "- **The author's hand**: how likely the author and nobody else wrote it, its topic hidden and "
    "what was copied left out; the mean of three measures, shown below.",
    "- **Style similarity**: frequent words, letter runs, punctuation and sentence lengths of its "
    "answers against the author's training texts; 1 is indistinguishable. The column *author* "
    "holds the author's own unseen passages: as good as it gets.",
    "- **Burrows' Delta**: distance in frequent words, in units of the author's own variation.",
    "- **Semantic similarity**: cosine of the embeddings of answer and passage.",
    "- **Answers right**: where a person wrote down what a right answer must contain, or that the "
    "question must be refused.",
    "- **Faithfulness**: share of the sentences said that a passage shown supports. **Citation "
    "precision** and **recall**: the passages that they rest on, against those that the author's "
    "own answer rests on. **Answer relevance**: cosine of question and answer, 0 for a refusal.",
    "- **Don't know, rightly**: of the written questions, where it refuses exactly if there is "
    "nothing to say.",
    "- **Copy share**: of the sentences longer than eight words, those that stand verbatim in the "
    "prompt or in the training text. **Refusals**, **words an answer** and **distinct word pairs** "
    "tell how it answers; neither end of them is better. **Self-BLEU** is how alike its answers "
    "are to one another, **repetition** the share of runs of four words that an answer says again, "
    "**personal data** the share of answers with addresses, numbers, keys or listed names that "
    "neither question nor passages hold.",
    "- **Gains** are over the same samples, positive is better; for perplexity they are relative.",
)


def heading(report: EvaluationReport) -> str:
    """What became of the candidate, and what the gate says of one that a person decides on."""
    said = _HEADINGS[report.decision]
    asked = report.decision is Decision.AWAITING_APPROVAL
    return f"{said}: {_VERDICTS[report.verdict]}" if asked else said


def what_it_shows(report: EvaluationReport) -> list[str]:
    """What the test set can show and what it can't, and whether anybody was trained on it."""
    power = report.power
    show = amount(power.measure)
    name, wanted = NAMES[power.measure], show(power.wanted)
    if power.groups < MIN_GROUPS:
        can = (
            f"{power.groups} group(s) of documents are too few to tell one version from another: "
            f"from {MIN_GROUPS} on the intervals are vouched for"
            + (f", and about {power.needed} show {wanted} in {name}" if power.needed else "")
        )
    elif power.is_enough and power.smallest is not None:
        can = (
            f"the test set shows a gain of {show(power.smallest)} in {name} in four of five cases; "
            f"a smaller one it may miss; the recipe wants {wanted} to be seen"
        )
    else:
        can = too_small(power)
    return [can, f"contamination: {report.proof.text}"]


def judge_says(report: EvaluationReport) -> list[str]:
    """How often the judge prefers the candidate's answers, and how far people agree with it."""
    judged = report.judge
    if judged is None:
        return []
    lines = []
    for each in judged.preferences:
        rate = f"{shown(each.rate, share)} of the comparisons with the {each.opponent}"
        counts = f"{each.wins} won, {each.ties} tied, {each.losses} lost"
        unread = f", {each.unread} without a verdict" if each.unread else ""
        lines.append(f"the judge {judged.judge} prefers its answers in {rate} ({counts}{unread})")
        if each.corrected is not None:
            lines[-1] += f"; corrected by people's verdicts: {shown(each.corrected, share)}"
    if (found := judged.calibration) is not None:
        lines.append(
            f"on {found.pairs} pairs that people have judged it agrees with them by a kappa of "
            f"{shown(found.kappa, number)}; sensitivity {shown(found.sensitivity, share)}, "
            f"specificity {shown(found.specificity, share)}"
        )
    return [*lines, *([judged.doubt] if judged.doubt else [])]


def verdict(report: EvaluationReport) -> str:
    """Decision, its reasons and the way to the whole report, for the version's page."""
    return "\n".join(
        (
            f"**Evaluated**: {heading(report)}",
            *(f"- {reason}" for reason in report.reasons),
            *(f"- {line}" for line in what_it_shows(report)),
            f"- [The whole report]({report.page_url}), of this [run]({report.mlflow_run})",
        )
    )


def markdown(report: EvaluationReport) -> str:
    """The whole report as one Markdown text."""
    blocks = [
        f"# {report.model} version {report.version}: {heading(report)}",
        *(f"- {reason}" for reason in report.reasons),
        "",
        f"Measured on {report.samples} test samples of {report.documents} documents in "
        f"{len(report.groups)} groups, {report.created:%Y-%m-%d %H:%M} UTC. Brackets hold "
        f"{CONFIDENCE:.0%} intervals over these groups, whose samples hang together: what would "
        "change if other documents of the same author had been held out.",
        "",
        "## What the set shows",
        "",
        *(f"- {line}" for line in what_it_shows(report)),
        "",
        *pipe_table(_group_rows(report)),
        "",
        "## Figures",
        "",
        *pipe_table(_rows(report)),
        "",
        *LEGEND,
        "",
        *(f"![{CAPTIONS.get(plot, plot)}]({plot})\n" for plot in report.plots),
        *apart_section(report),
        *speed_section(report),
        *memorised_section(report),
        "## The author's hand",
        "",
        *style_section(report.style),
        "",
        *judged_section(report.judged_grounding),
        *abilities_section(report.abilities),
        *(["## Judge", "", *(f"- {line}" for line in judge_says(report)), ""] * bool(report.judge)),
        "## Checks",
        "",
        *pipe_table(_check_rows(report)),
        "",
        "## Side by side",
        "",
        *(line for sample in report.side_by_side for line in _side_by_side(sample)),
        "## Lineage",
        "",
        *pipe_table([["what", "value"], *([key, f"`{v}`"] for key, v in report.lineage.items())]),
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
        colour = "green" if check.passed else _COLOURS[check.otherwise]
        word = "passed" if check.passed else "FAILED"
        checks.add_row(f"[{colour}]{word}[/]", escape(check.text.rsplit(":", 1)[0]))
    lines = (*report.reasons, *what_it_shows(report), *judge_says(report))
    verdict = f"[bold {_COLOURS[report.verdict]}]{escape(heading(report))}[/]"
    return Group(figures, checks, verdict, *(f"- {escape(line)}" for line in lines))


def _rows(report: EvaluationReport) -> list[list[str]]:
    """Header and one row a measure; the columns are the models there are, then the gains."""
    roles = [role for role in ROLES if any(role in figure.values for figure in report.figures)]
    opponents = [role for role in roles if any(role in figure.gains for figure in report.figures)]
    rows = [["measure", *roles, *(f"gain over {role}" for role in opponents)]]
    for figure in report.figures:
        arrow = _ARROWS[figure.better]
        values = [shown(figure.values.get(role), number) for role in roles]
        gained = [shown(figure.gains.get(role), gain_format(figure)) for role in opponents]
        rows.append([f"{figure.label}{arrow}", *values, *gained])
    found = report.retrieval
    blanks = [""] * (len(roles) + len(opponents) - 1)
    rows.append([f"Retrieval recall@{found.k} ↑", shown(found.recall, number), *blanks])
    rows.append([f"Retrieval MRR@{found.k} ↑", shown(found.reciprocal_rank, number), *blanks])
    return rows


def _on_two_lines(cell: str) -> str:
    """Value above interval: a terminal is narrow."""
    return escape(cell.replace(" [", "\n[", 1))


def _check_rows(report: EvaluationReport) -> list[list[str]]:
    rows = [["", "check", "verdict"]]
    for check in report.checks:
        mark = "✓" if check.passed else "✗"
        rows.append([mark, check.name, check.text])
    return rows


def _group_rows(report: EvaluationReport) -> list[list[str]]:
    rows = [["group of documents", "test samples"]]
    return rows + [[_titles(group), str(group.samples)] for group in report.groups]


def _titles(group: DocumentGroup) -> str:
    return "; ".join(
        f"{begin(each.document)}{inline(each.title)}{end(each.document)}"
        for each in group.documents
    )


def _side_by_side(sample: SideBySide) -> Iterable[str]:
    yield begin(sample.document)
    yield ""
    yield f"### {inline(sample.instruction)}"
    yield ""
    yield f"From [{inline(sample.title)}](<{sample.url}>)."
    yield ""
    for who, text in {"The author": sample.author, **sample.answers}.items():
        yield f"**{who}**"
        yield ""
        yield from (f"> {html.escape(line, quote=False)}" for line in text.splitlines() or [""])
        yield ""
    yield end(sample.document)
    yield ""
