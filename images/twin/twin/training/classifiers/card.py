"""The card of a trained classifier, its plot, and the table that compares several."""

from collections.abc import Sequence

from twin.pages.canvas import new_canvas, panels_of, png_of
from twin.training.classifiers.measures import Scores
from twin.training.classifiers.report import CONFUSION, ClassifierReport

MOST_NUMBERS = 12
"""Labels up to which a confusion matrix says its counts: of more there is no room."""


def draw_confusion(report: ClassifierReport) -> bytes:
    """The confusion matrix of the test split as a PNG image, rows as shares of their label.

    Labels stand as numbers, in the card's order: the font has not every script.
    """
    counts = report.test.confusion
    size = 2.4 + 0.35 * len(counts)
    canvas = new_canvas(size, size)
    (axes,) = panels_of(canvas, 1)
    shares = [[count / max(1, sum(row)) for count in row] for row in counts]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    places = range(len(counts))
    axes.set_xticks(list(places), [str(place + 1) for place in places], fontsize=8)
    axes.set_yticks(list(places), [str(place + 1) for place in places], fontsize=8)
    axes.set_xlabel("likeliest label", fontsize=8)
    axes.set_ylabel("label", fontsize=8)
    if len(counts) <= MOST_NUMBERS:
        for row in places:
            for column in places:
                colour = "white" if shares[row][column] > 0.5 else "black"
                axes.text(
                    column, row, str(counts[row][column]),
                    ha="center", va="center", fontsize=8, color=colour,
                )  # fmt: skip
    return png_of(canvas)


def render_card(report: ClassifierReport) -> str:
    """The card in Markdown: what it is, what it was trained on, what it is worth."""
    lines = [
        f"# Classifier {report.name}",
        "",
        f"Encoder {report.encoder}, fine-tuned for {report.steps} steps on {report.corpus} (digest "
        f"{report.corpus_digest}); version {report.version}, code {report.code_version}. SHA-256 "
        f"of the weights: `{report.weights_sha256}`.",
        "",
        "Texts: " + ", ".join(f"{count:,} {split}" for split, count in report.texts.items()) + ". "
        "No group of texts is in two splits. Stopped and chosen by validation; the figures are of "
        "the test split, with 95 % intervals by group.",
        "",
        compare_table([report]),
        "",
        "| | label | texts | precision | recall | F1 |",
        "|---|---|---|---|---|---|",
        *(
            f"| {place} | {_cell(each.label)} | {each.texts} | {each.precision:.3f} | "
            f"{each.recall:.3f} | {each.f1:.3f} |"
            for place, each in enumerate(report.test.labels, start=1)
        ),
        "",
        f"![Confusion matrix]({CONFUSION})",
        "",
        _verdict(report),
    ]
    if report.test.alarm is not None:
        alarm = report.test.alarm
        lines += [
            "",
            f"As an alarm for {', '.join(report.alarms)} from {alarm.threshold:.4f} on (chosen by "
            f"validation) it meets {alarm.caught or 'none'} of these, and {alarm.wrongly or 'none'}"
            " of the others.",
        ]
    return "\n".join(lines) + "\n"


def compare_table(reports: Sequence[ClassifierReport]) -> str:
    """One row for each encoder and each baseline of each corpus, in Markdown."""
    lines = [
        "| corpus | model | accuracy | macro F1 | met | wrongly met |",
        "|---|---|---|---|---|---|",
    ]
    named: set[tuple[str, str]] = set()
    for report in reports:
        rows = [(report.encoder, report.test)]
        rows += [
            (name, scores)
            for name, scores in report.baselines.items()
            if (report.name, name) not in named
        ]
        named |= {(report.name, name) for name, _ in rows}
        lines += [_row(report.name, name, scores) for name, scores in rows]
    return "\n".join(lines)


def _row(corpus: str, model: str, scores: Scores) -> str:
    alarm = scores.alarm
    met, wrongly = ("", "") if alarm is None else (str(alarm.caught), str(alarm.wrongly))
    return (
        f"| {_cell(corpus)} | {_cell(model)} | {scores.accuracy} | {scores.macro_f1:.3f} | {met} | "
        f"{wrongly} |"
    )


def _verdict(report: ClassifierReport) -> str:
    gain = report.gain
    if gain is None:
        return "The test split has one group: nothing is said of chance."
    said = f"{gain.value:+.1%} ({gain.low:+.1%} to {gain.high:+.1%})"
    if gain.is_proved:
        return f"Its accuracy is above that of a linear model of words beyond chance: {said}."
    return f"It is not proved that it beats a linear model of words: {said}. Take that instead."


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
