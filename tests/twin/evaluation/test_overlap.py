"""ROUGE-L, BLEU and chrF."""

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.evaluation.overlap import bleu, chrf, rouge_l
from twin.evaluation.resampling import estimate

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


SHORT, WHOLE = "every job runs in a pod", "every job runs in a pod of its own and gives it back"


def value(statistic, samples=1):
    return float(statistic.of(np.ones(samples)))


def test_bleu_is_that_of_sacrebleu_over_all_answers():
    answers, references = [WHOLE, "a pod gives it back to all"], [WHOLE, "a pod gives it back"]
    expected = sacrebleu.corpus_bleu(answers, [references], tokenize="none").score
    assert value(bleu(answers, references), 2) == pytest.approx(expected / 100)
    left = bleu(answers, references).of(np.array([[1.0, 0.0], [0.0, 1.0]]))
    assert left[0] == pytest.approx(1)
    alone = sacrebleu.corpus_bleu(answers[1:], [references[1:]], tokenize="none").score
    assert left[1] == pytest.approx(alone / 100)


def test_which_text_is_the_reference_matters():
    """A short answer is precise and wants for recall: BLEU and chrF tell swapped texts."""
    assert value(bleu([SHORT], [WHOLE])) == pytest.approx(np.exp(1 - 13 / 6))
    assert value(bleu([SHORT], [WHOLE])) < value(bleu([WHOLE], [SHORT]))
    expected = sacrebleu.sentence_chrf(SHORT, [WHOLE]).score / 100
    assert value(chrf([SHORT], [WHOLE])) == pytest.approx(expected)
    assert value(chrf([SHORT], [WHOLE])) < value(chrf([WHOLE], [SHORT]))


def test_chrf_is_the_mean_of_the_answers():
    both = chrf([SHORT, WHOLE], [WHOLE, WHOLE])
    assert value(both, 2) == pytest.approx((value(chrf([SHORT], [WHOLE])) + 1) / 2)


@pytest.mark.parametrize(
    "text", ["Übung macht den Meister", "Всё течёт всегда так", "三人行必有我师焉"]
)
def test_runs_of_words_of_any_script_count(text):
    assert value(bleu([text], [text.upper()])) == pytest.approx(1)
    assert value(chrf([text], [text])) == pytest.approx(1)


def test_silence_shares_nothing():
    assert value(bleu(["", ""], [WHOLE, SHORT]), 2) == 0
    assert value(chrf(["", ""], [WHOLE, SHORT]), 2) == 0
    found = estimate(bleu(["", SHORT, WHOLE], [WHOLE] * 3), ["a", "b", "c"])
    assert 0 <= found.low <= found.value <= found.high <= 1
