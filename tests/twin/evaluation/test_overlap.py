"""ROUGE-L."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.evaluation.overlap import rouge_l

texts = st.text(alphabet="abc déф \n", max_size=40)


def test_the_example_of_the_paper():
    """Lin 2004, section 3: S2 shares "police the gunman" in order, S3 only two words."""
    reference = "police killed the gunman"
    first, second = rouge_l(["police kill the gunman", "the gunman kill police"], [reference] * 2)
    assert first == pytest.approx(0.75)
    assert second == pytest.approx(0.5)


@settings(deadline=None)
@given(texts, texts)
def test_it_is_a_share_and_symmetric(one, other):
    forth, back = rouge_l([one, other], [other, one])
    assert 0 <= forth <= 1
    assert forth == pytest.approx(back)


@pytest.mark.parametrize("text", ["Übung macht den Meister", "Всё течёт", "三人行必有我师"])
def test_words_of_any_script_count(text):
    assert rouge_l([text], [text]) == [1.0]


def test_an_empty_answer_shares_nothing():
    assert rouge_l([""], ["the author's passage"]) == [0.0]
