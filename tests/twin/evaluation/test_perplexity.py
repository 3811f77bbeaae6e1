"""Perplexity and its gain."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.evaluation.perplexity import perplexity, perplexity_gain

scores = st.lists(st.tuples(st.floats(-500, -0.1), st.integers(1, 200)), min_size=1, max_size=20)


def everything(scored):
    return np.ones(len(scored))


def test_a_uniform_guess_among_v_words_has_perplexity_v():
    scored = [(-math.log(50) * tokens, tokens) for tokens in (3, 10, 70)]
    assert perplexity(scored).of(everything(scored)) == pytest.approx(50)


def test_long_passages_weigh_more():
    scored = [(-10.0 * math.log(2), 10), (-90.0 * math.log(8), 90)]
    assert perplexity(scored).of(everything(scored)) == pytest.approx(
        math.exp(0.1 * math.log(2) + 0.9 * math.log(8))
    )


@given(scores)
def test_perplexity_is_at_least_one(scored):
    assert perplexity(scored).of(everything(scored)) >= 1


@given(scores, st.floats(0.5, 1.5))
def test_with_one_tokenizer_the_gain_is_the_relative_fall(scored, factor):
    other = [(likelihood * factor, tokens) for likelihood, tokens in scored]
    every = everything(scored)
    expected = 1 - perplexity(scored).of(every) / perplexity(other).of(every)
    assert perplexity_gain(scored, other).of(every) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(scores)
def test_nothing_is_gained_over_oneself(scored):
    assert perplexity_gain(scored, scored).of(everything(scored)) == 0


def test_another_tokenizer_does_not_look_better_by_cutting_finer():
    """Equal probability of the same text, twice the tokens: half the nats per token, no gain."""
    coarse, fine = [(-40.0, 10), (-80.0, 20)], [(-40.0, 20), (-80.0, 40)]
    assert perplexity(fine).of(everything(fine)) < perplexity(coarse).of(everything(coarse))
    assert perplexity_gain(fine, coarse).of(everything(fine)) == pytest.approx(0)


def test_many_weightings_at_once():
    scored = [(-10.0, 5), (-20.0, 5), (-5.0, 10)]
    rows = np.array([[3.0, 0, 0], [1, 1, 1], [0, 1, 2]])
    together = perplexity(scored).of(rows)
    assert together == pytest.approx([perplexity(scored).of(row) for row in rows])
