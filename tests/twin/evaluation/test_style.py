"""Stylometry: on texts by two hands, and for what must hold of any text."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.domain.errors import BadDataError
from twin.evaluation.style import _sentence_lengths, author_style

BROCHURE = [
    "Unlock the power of seamless, world-class solutions! Our cutting-edge platform empowers "
    "your teams to deliver value faster! Ready to transform your business? Get started today!",
    "Discover next-generation insights! Leverage our award-winning, scalable ecosystem to "
    "supercharge growth! Trusted by industry leaders worldwide! Why wait? Sign up now!",
    "Elevate your customer journey! Innovative features, unbeatable performance, unmatched "
    "support! Join thousands of happy customers! What are you waiting for?",
]


@pytest.fixture(scope="module")
def passages(root):
    """The handbook's paragraphs, article by article: one author's writing."""
    texts = [path.read_text() for path in sorted((root / "include/handbook").glob("*.md"))]
    bodies = [text.split("---", 2)[2] for text in texts]
    return [
        [part for part in re.split(r"\n\s*\n", body) if len(part.split()) > 30] for body in bodies
    ]


@pytest.fixture(scope="module")
def author(passages):
    return author_style([part for article in passages[:-4] for part in article])


@pytest.fixture(scope="module")
def held_out(passages):
    return [part for article in passages[-4:] for part in article]


def value(statistic, texts):
    return float(statistic.of(np.ones(len(texts))))


def similarity(style, texts):
    return value(style.similarity(texts), texts)


def test_the_authors_unseen_writing_is_closer_than_a_brochure(author, held_out):
    assert similarity(author, held_out) > similarity(author, BROCHURE) + 0.15
    assert value(author.delta(held_out), held_out) < value(author.delta(BROCHURE), BROCHURE) / 2


def test_the_training_texts_themselves_are_indistinguishable(passages):
    texts = [part for article in passages for part in article]
    style = author_style(texts)
    assert similarity(style, texts) == pytest.approx(1.0)


def test_the_topic_does_not_decide(passages, author):
    """Each article is about something else, and each is still nearer than another hand."""
    brochure = similarity(author, BROCHURE)
    assert all(similarity(author, article) > brochure for article in passages[-4:])


def test_words_of_one_passage_alone_are_no_style(passages):
    style = author_style([*passages[0], "zyzzyva " * 200])
    assert "zyzzyva" not in style.counters["words"].vocabulary_
    assert "the" in style.counters["words"].vocabulary_


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=80), min_size=1, max_size=5))
def test_any_text_has_a_likeness_between_nought_and_one(author, texts):
    assert 0 <= similarity(author, texts) <= 1
    assert value(author.delta(texts), texts) >= 0


def test_nothing_written_is_nothing_alike(author):
    assert similarity(author, ["", ""]) == 0


def test_weightings_at_once_are_weightings_one_by_one(author, held_out):
    rows = np.random.default_rng(1).integers(0, 3, (7, len(held_out))).astype(float)
    for statistic in (author.similarity(held_out), author.delta(held_out)):
        assert statistic.of(rows) == pytest.approx([statistic.of(row) for row in rows])


def test_sentences_by_length_without_the_one_that_was_cut_off():
    lengths = _sentence_lengths("Two words. Then five more of them! And this one was cut o")
    assert lengths[:3] == [1, 1, 0]
    assert sum(lengths) == 2
    assert sum(_sentence_lengths("只有一句\u3002两句\uff01三句\uff1f")) == 3


def test_texts_without_a_word_are_refused_in_plain_words():
    with pytest.raises(BadDataError, match="show no style"):
        author_style(["", "   "])
