"""What a classifier's labels amount to together."""

import pytest

from twin.models.text_classifier import alarm_probability


def test_several_labels_alarm_together():
    assert alarm_probability({"a": 0.2, "b": 0.3, "c": 0.5}, ("a", "c")) == pytest.approx(0.7)
    assert alarm_probability({"a": 0.8, "b": 0.8}, ("a", "b")) == 1.0
    assert alarm_probability({"a": 0.8, "b": 0.2}, ()) == 0.0
