"""What a classifier is worth on texts that it was not trained on."""

import math
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from twin.models.text_classifier import alarm_probability
from twin.training.classifiers.corpus import LabelledText
from twin.training.classifiers.shares import Share, share_of

LEAST_THRESHOLD = 0.5
"""Below it something else is likelier; where validation texts are told apart with ease, they say
nothing of how low a threshold may be."""

Judged = Sequence[Mapping[str, float]]
"""Of each text: how likely each label is."""


class LabelScores(BaseModel):
    """Of one label: precision, recall and their harmonic mean."""

    model_config = ConfigDict(frozen=True)

    label: str
    texts: int
    precision: float
    recall: float
    f1: float


class Alarm(BaseModel):
    """What a threshold of the labels that are to be met does."""

    model_config = ConfigDict(frozen=True)

    threshold: float
    caught: Share | None = Field(description="of texts with these labels, that it meets")
    wrongly: Share | None = Field(description="of texts with other labels, that it meets")


class Scores(BaseModel):
    """Of one classifier on one split."""

    model_config = ConfigDict(frozen=True)

    accuracy: Share
    macro_f1: float = Field(description="mean of the labels' F1: rare ones count as frequent ones")
    labels: tuple[LabelScores, ...]
    confusion: tuple[tuple[int, ...], ...] = Field(
        description="texts, by their label (rows) and by the one that is likeliest (columns)"
    )
    alarm: Alarm | None = None


def likeliest(judged: Judged) -> list[str]:
    """Of each text the label that is likeliest."""
    return [max(each, key=each.__getitem__) for each in judged]


def scores_of(
    texts: Sequence[LabelledText],
    judged: Judged,
    labels: Sequence[str],
    alarms: Sequence[str] = (),
    threshold: float | None = None,
) -> Scores:
    """The measures of a split.

    Args:
        texts: of the split, at least one.
        judged: what the classifier says of them.
        labels: all that there are, in the order of the confusion matrix.
        alarms: those that are to be met.
        threshold: of their probability; None leaves them out.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    truth, said = [each.label for each in texts], likeliest(judged)
    groups = [each.group for each in texts]
    columns = precision_recall_fscore_support(truth, said, labels=labels, zero_division=0.0)
    accuracy = share_of([a == b for a, b in zip(truth, said, strict=True)], groups)
    assert accuracy is not None  # noqa: S101 - there is a text
    rows = [
        LabelScores(
            label=label, precision=float(precision), recall=float(recall), f1=float(f1),
            texts=int(count),
        )
        for label, precision, recall, f1, count in zip(labels, *columns, strict=True)
    ]  # fmt: skip
    matrix = confusion_matrix(truth, said, labels=labels)
    return Scores(
        accuracy=accuracy,
        macro_f1=sum(row.f1 for row in rows) / len(rows),
        labels=tuple(rows),
        confusion=tuple(tuple(int(count) for count in row) for row in matrix),
        alarm=None if threshold is None else _alarm(texts, judged, alarms, threshold),
    )


def choose_threshold(
    texts: Sequence[LabelledText], judged: Judged, alarms: Sequence[str], wrongly: float
) -> float:
    """The lowest threshold, from `LEAST_THRESHOLD`, that meets at most a share of other texts.

    Args:
        texts: of the validation split.
        judged: what the classifier says of them.
        alarms: labels that are to be met.
        wrongly: share of the others that may be.
    """
    others = sorted(
        (
            alarm_probability(each, alarms)
            for text, each in zip(texts, judged, strict=True)
            if text.label not in alarms
        ),
        reverse=True,
    )
    met = math.floor(wrongly * len(others) + 1e-9)  # 0.1 of 30 is 3, whatever floats say
    above = math.nextafter(others[met], math.inf) if met < len(others) else 0.0
    return min(1.0, max(LEAST_THRESHOLD, above))


def _alarm(
    texts: Sequence[LabelledText], judged: Judged, alarms: Sequence[str], threshold: float
) -> Alarm:
    met = [alarm_probability(each, alarms) >= threshold for each in judged]

    def share(is_alarm: bool) -> Share | None:
        chosen = [place for place, text in enumerate(texts) if (text.label in alarms) is is_alarm]
        return share_of([met[place] for place in chosen], [texts[place].group for place in chosen])

    return Alarm(threshold=threshold, caught=share(True), wrongly=share(False))
