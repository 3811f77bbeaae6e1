"""The retrieval set keeps what its README promises."""

import re

import pytest

from tests.bench.retrieval.questions import BLOG, blog, chunks_of, handbook, load
from twin.features.chunker import Chunker
from twin.models.embedder import load_embedder
from twin.settings import Settings
from twin.stores.index_terms import sparse_question


@pytest.fixture(scope="module")
def chunks():
    chunker = Chunker(load_embedder("all-minilm-l6-v2", Settings()), 200)
    return [chunk for own in chunks_of(handbook(), chunker) for chunk in own]


@pytest.fixture(scope="module", params=["dev", "test"])
def questions(request, chunks):
    return load("handbook", chunks, request.param)


def words(text):
    return re.findall(r"[a-z0-9]+", text.lower())


def phrases(text):
    found = words(text)
    return {tuple(found[place : place + 3]) for place in range(len(found) - 2)}


def test_the_set_is_large_enough_and_asks_nothing_twice(questions):
    texts = [question.text for question in questions]
    assert len(texts) == len(set(texts)) >= 200
    assert sum(not question.relevant for question in questions) >= 30


def test_no_question_is_in_both_splits(chunks):
    answered = [
        {question.text for question in load("handbook", chunks, split) if question.relevant}
        for split in ("dev", "test")
    ]
    unanswered = [
        {question.text for question in load("handbook", chunks, split) if not question.relevant}
        for split in ("dev", "test")
    ]
    assert not answered[0] & answered[1]
    assert not unanswered[0] & unanswered[1]


def test_every_article_and_most_passages_are_asked_for(questions, chunks):
    assert {question.document for question in questions if question.relevant} == {
        chunk.url.rstrip("/").rsplit("/", 1)[1] for chunk in chunks
    }
    asked = {id_ for question in questions for id_ in question.relevant}
    assert len(asked) > len(chunks) / 2
    assert max(len(question.relevant) for question in questions) <= 2


def test_questions_do_not_share_their_passages_wording(questions, chunks):
    by_id = {chunk.id: chunk for chunk in chunks}
    shares, repeated = [], []
    for question in questions:
        if question.keywords:
            continue
        terms = set(sparse_question(question.text).indices)
        for id_ in question.relevant:
            passage = by_id[id_].embedded_text
            shares.append(len(terms & set(sparse_question(passage).indices)) / len(terms))
            common = phrases(question.text) & phrases(passage)
            repeated += [" ".join(phrase) for phrase in common if _says_something(phrase)]
    assert sum(shares) / len(shares) < 1 / 3
    assert repeated == []


def _says_something(phrase):
    return len(sparse_question(" ".join(phrase)).indices) > 1


@pytest.mark.skipif(not BLOG.is_dir(), reason="no copy of the blog")
@pytest.mark.slow
def test_the_blogs_sections_are_still_there():
    """Half a minute. Buys: the second corpus of the bench keeps its right passages."""
    chunker = Chunker(load_embedder("all-minilm-l6-v2", Settings()), 200)
    chunks = [c for own in chunks_of(blog(), chunker) for c in own]
    dev, test = load("lilianweng", chunks), load("lilianweng", chunks, "test")
    assert len(dev) > 60
    assert len(test) > 100
    asked = [{question.text for question in split if question.relevant} for split in (dev, test)]
    assert not asked[0] & asked[1]
