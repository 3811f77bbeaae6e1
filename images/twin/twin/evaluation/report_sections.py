"""Sections of a report in Markdown that are there only if something was measured for them."""

from twin.evaluation.abilities import AbilitiesReport
from twin.evaluation.checks import signed
from twin.evaluation.figures_text import (
    ROLES,
    inline,
    listed,
    number,
    pipe_table,
    share,
    shown,
)
from twin.evaluation.judged_grounding import JudgedGrounding
from twin.evaluation.report import EvaluationReport
from twin.evaluation.style_report import StyleReport


def style_section(style: StyleReport) -> list[str]:
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
        *pipe_table(rows),
        "",
        f"Learned ({style.language}) from {style.words} words of the author's against "
        f"{style.other_words} words by {len(style.others)} others: {inline(listed(style.others))}"
        f". Checked on the author's test documents against {len(style.left_out)} others that "
        f"nothing was learned from: {inline(listed(style.left_out))}. AUC is the chance that the "
        "author's text scores higher; missed are the author's pieces that count as others', "
        "mistaken those of others that count as the author's.",
    ]


def apart_section(report: EvaluationReport) -> list[str]:
    """Figures from memory and from passages, a table each."""
    lines = []
    for way, measures in report.apart.items():
        roles = [role for role in ROLES if any(role in values for values in measures.values())]
        rows = [["measure", *roles]]
        rows += [
            [label, *(shown(values.get(role), number) for role in roles)]
            for label, values in measures.items()
        ]
        lines += [f"## Figures {way}", "", *pipe_table(rows), ""]
    return lines


def speed_section(report: EvaluationReport) -> list[str]:
    """How long answers take, in a table."""
    if not report.speed:
        return []
    rows = [
        ["model", "first word, s", "whole answer, s", "tokens read", "written", "cost of 1,000"]
    ]
    rows += [
        [
            role,
            shown(each.first_word_seconds, number),
            shown(each.seconds, number),
            shown(each.prompt_tokens, number),
            shown(each.answer_tokens, number),
            shown(each.cost, number),
        ]
        for role in ROLES
        if (each := report.speed.get(role)) is not None
    ]
    together = max(each.together for each in report.speed.values())
    return [
        "## Speed and cost",
        "",
        f"Answered by {report.answered_by}, {together} at once: medians, and the mean cost by the "
        "recipe's prices.",
        "",
        *pipe_table(rows),
        "",
    ]


def memorised_section(report: EvaluationReport) -> list[str]:
    """What was found of the training data, a sentence each."""
    lines = []
    if (found := report.memorised.extraction) is not None:
        lines.append(
            f"- Of {found.passages} training passages, given {found.given_tokens} tokens, the "
            f"candidate goes on verbatim for {found.continued_tokens} with "
            f"{shown(found.candidate, share)}, the base with {shown(found.base, share)}; "
            f"{shown(found.learned, share)} only the candidate."
        )
    if (planted := report.memorised.canaries) is not None:
        lines.append(
            f"- Of {planted.planted} canaries, planted {planted.repeats} times each, it gives away "
            f"{shown(planted.given_away, share)}. Their exposure is "
            f"{shown(planted.exposure, number)} bits of at most {number(planted.most_bits)}; to "
            f"the base, which never saw them, {shown(planted.base_exposure, number)}."
        )
    return ["## Training data by heart", "", *lines, ""] if lines else []


def judged_section(found: JudgedGrounding | None) -> list[str]:
    """Ragas' measures by the judge, beside what is counted without one."""
    if found is None:
        return []
    rows = [["measure", "of", "by the judge", "counted", "rank correlation", "not read"]]
    for each in found.measures:
        figures = (shown(one, number) for one in (each.judged, each.counted, each.agreement))
        name = each.name.replace("_", " ")
        rows.append([name, each.role, *figures, f"{each.unread} of {each.asked}"])
    said = [found.doubt, ""] if found.doubt else []
    return ["## Answers and passages, by the judge", "", *said, *pipe_table(rows), ""]


def abilities_section(found: AbilitiesReport | None) -> list[str]:
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
        *pipe_table(rows),
        "",
        "Both answered the same questions; brackets hold intervals over questions.",
        "",
    ]
