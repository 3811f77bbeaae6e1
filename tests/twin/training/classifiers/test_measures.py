"""Measures of a classifier: by hand, and a threshold that harmless texts bound."""

import pytest

from twin.training.classifiers.corpus import LabelledText
from twin.training.classifiers.measures import (
    choose_threshold,
    likeliest,
    scores_of,
)


def labelled(labels):
    return [LabelledText(f"t{n}", label, f"g{n}") for n, label in enumerate(labels)]


def judged(said):
    return [{"a": 1 - share, "b": share} for share in said]


def test_precision_recall_f1_and_the_confusion_are_as_by_hand():
    scores = scores_of(labelled("aaabbb"), judged([0, 0, 0.9, 0.9, 0.8, 0.2]), ("a", "b"))
    assert scores.accuracy.value == pytest.approx(4 / 6)
    assert scores.confusion == ((2, 1), (1, 2)), "rows by label, columns by what is likeliest"
    assert [(row.label, row.texts) for row in scores.labels] == [("a", 3), ("b", 3)]
    assert scores.macro_f1 == pytest.approx(2 / 3)
    assert scores.alarm is None


def test_rows_of_the_confusion_are_the_truth():
    scores = scores_of(labelled("aab"), judged([0.9, 0.9, 0.9]), ("a", "b"))
    assert scores.confusion == ((0, 2), (0, 1))
    first, second = scores.labels
    assert (first.precision, first.recall) == (0.0, 0.0)
    assert (second.precision, second.recall) == (pytest.approx(1 / 3), 1.0)


def test_a_threshold_meets_at_most_the_share_of_others():
    texts = labelled("aaaaaaaaaabb")
    said = judged([0.5 + n / 40 for n in range(10)] + [0.8, 0.71])
    assert choose_threshold(texts, said, ("b",), 0.0) == pytest.approx(0.725)
    strict = choose_threshold(texts, said, ("b",), 0.0)
    loose = choose_threshold(texts, said, ("b",), 0.1)
    assert 0.70 < loose < 0.71
    alarm = scores_of(texts, said, ("a", "b"), ("b",), strict).alarm
    assert (alarm.caught.value, alarm.wrongly.value) == (0.5, 0.0)
    alarm = scores_of(texts, said, ("a", "b"), ("b",), loose).alarm
    assert (alarm.caught.value, alarm.wrongly.value) == (1.0, pytest.approx(0.1))
    certain = choose_threshold(labelled("ab"), judged([1.0, 1.0]), ("b",), 0.0)
    assert certain == 1.0, "there is nothing above"
    easy = choose_threshold(labelled("aab"), judged([0.1, 0.2, 0.9]), ("b",), 0.0)
    assert easy == 0.5, "none where another label is likelier"


def test_the_likeliest_label_is_what_is_said():
    assert likeliest([{"a": 0.2, "b": 0.8}, {"a": 0.6, "b": 0.4}]) == ["b", "a"]
