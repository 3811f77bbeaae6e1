"""The report as people read it: Markdown, and a table for terminals."""

import html
from collections.abc import Callable, Iterable, Sequence
from math import isfinite

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from twin.evaluation.abilities import AbilitiesReport
from twin.evaluation.gate import NAMES, Verdict, amount, too_small
from twin.evaluation.judged_grounding import JudgedGrounding
from twin.evaluation.power import MIN_GROUPS
from twin.evaluation.report import Decision, EvaluationReport, Figure, SideBySide
from twin.evaluation.resampling import CONFIDENCE, Estimate
from twin.evaluation.style_report import StyleReport

ROLES = ("candidate", "base", "champion", "reference", "author")
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
    "- **ROUGE-L**: wording that its answers share with those passages, in order.",
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
    "tell how it answers; neither end of them is better.",
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
        *_pipe_table(_group_rows(report)),
        "",
        "## Figures",
        "",
        *_pipe_table(_rows(report)),
        "",
        *LEGEND,
        "",
        *(f"![{CAPTIONS.get(plot, plot)}]({plot})\n" for plot in report.plots),
        "## The author's hand",
        "",
        *_style(report.style),
        "",
        *_judged_grounding(report.judged_grounding),
        *_abilities(report.abilities),
        *(["## Judge", "", *(f"- {line}" for line in judge_says(report)), ""] * bool(report.judge)),
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


def gain_format(figure: Figure) -> Callable[[float], str]:
    """How a gain in a measure is written."""
    return _percent if figure.name == "perplexity" else signed


def shown(estimate: Estimate | None, show: Callable[[float], str]) -> str:
    """A value with its interval; empty where there is none."""
    if estimate is None:
        return ""
    if not (isfinite(estimate.low) and isfinite(estimate.high)):
        return f"{show(estimate.value)} [no interval]"
    return f"{show(estimate.value)} [{show(estimate.low)}, {show(estimate.high)}]"


def _on_two_lines(cell: str) -> str:
    """Value above interval: a terminal is narrow."""
    return escape(cell.replace(" [", "\n[", 1))


def number(value: float) -> str:
    """A value of any size."""
    return f"{value:.3g}" if abs(value) >= 10 else f"{value:.3f}"


def share(value: float) -> str:
    """A share of a whole."""
    return f"{value:.1%}"


def signed(value: float) -> str:
    """A difference."""
    return f"{value:+.3f}"


def _percent(value: float) -> str:
    return f"{value:+.1%}" if abs(value) < 10 else f"{value * 100:+.3g}%"


def _check_rows(report: EvaluationReport) -> list[list[str]]:
    rows = [["", "check", "verdict"]]
    for check in report.checks:
        mark = "✓" if check.passed else "✗"
        rows.append([mark, check.name, check.text])
    return rows


def _style(style: StyleReport) -> list[str]:
    """What each measure is worth, and what it says of whom."""
    if style.absent:
        return [style.absent]
    who = [role for role in ROLES if role in style.measures[0].scores]
    rows = [["measure", "AUC, pieces", "AUC, documents", "missed", "mistaken", *who]]
    for measure in style.measures:
        told = measure.separation
        worth = (told.auc, told.auc_documents, told.missed, told.mistaken) if told else (None,) * 4
        scores = [measure.scores[role] for role in who]
        rows.append([measure.label, *(shown(each, number) for each in (*worth, *scores))])
    return [
        *_pipe_table(rows),
        "",
        f"Learned ({style.language}) from {style.words} words of the author's against "
        f"{style.other_words} words by {len(style.others)} others: {_inline(_listed(style.others))}"
        f". Checked on the author's test documents against {len(style.left_out)} others that "
        f"nothing was learned from: {_inline(_listed(style.left_out))}. AUC is the chance that the "
        "author's text scores higher; missed are the author's pieces that count as others', "
        "mistaken those of others that count as the author's.",
    ]


def _judged_grounding(found: JudgedGrounding | None) -> list[str]:
    """Ragas' measures by the judge, beside what is counted without one."""
    if found is None:
        return []
    rows = [["measure", "of", "by the judge", "counted", "rank correlation", "not read"]]
    for each in found.measures:
        figures = (shown(one, number) for one in (each.judged, each.counted, each.agreement))
        name = each.name.replace("_", " ")
        rows.append([name, each.role, *figures, f"{each.unread} of {each.asked}"])
    said = [found.doubt, ""] if found.doubt else []
    return ["## Answers and passages, by the judge", "", *said, *_pipe_table(rows), ""]


def _abilities(found: AbilitiesReport | None) -> list[str]:
    """What base and candidate make of the general tasks."""
    if found is None:
        return []
    rows = [["task", "score", "questions", "base", "candidate", "gain over base"]]
    for each in (*found.tasks, *([found.whole] if len(found.tasks) > 1 else [])):
        figures = shown(each.base, number), shown(each.candidate, number)
        rows.append(
            [each.task, each.metric, str(each.questions), *figures, shown(each.gain, signed)]
        )
    return [
        "## General abilities",
        "",
        *_pipe_table(rows),
        "",
        "Both answered the same questions; brackets hold intervals over questions.",
        "",
    ]


def _listed(names: Sequence[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _group_rows(report: EvaluationReport) -> list[list[str]]:
    rows = [["group of documents", "test samples"]]
    return rows + [
        [_inline("; ".join(group.titles)), str(group.samples)] for group in report.groups
    ]


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
