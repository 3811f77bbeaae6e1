"""The demo's questions keep what their file promises: enough, of every kind, true to the text."""

import re
from collections import Counter

import pytest

from tests.bench.retrieval.questions import FOLDER, handbook
from tests.conftest import ROOT
from twin.datasets.written_file import read_written
from twin.domain.written import QuestionKind, is_right, plain
from twin.rag.dont_know import read_questions
from twin.recipes import load_recipe

COPIED_WORDS = 9
"""So many words in a row of an answer may not stand in an article, but for code."""


@pytest.fixture(scope="module")
def recipe():
    return load_recipe("handbook", ROOT / "include" / "recipes")


@pytest.fixture(scope="module")
def questions(recipe):
    return read_written(ROOT / recipe.datasets.written)


@pytest.fixture(scope="module")
def articles():
    return {document.url.rstrip("/").rsplit("/", 1)[1]: document.content for document in handbook()}


def home(question):
    return question.support[0].document if question.support else question.document


def runs(text):
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + COPIED_WORDS]) for i in range(len(words) - COPIED_WORDS + 1)}


def test_there_are_enough_of_every_kind_and_as_many_for_each_article(questions, articles):
    kinds = Counter(question.kind for question in questions)
    assert len(questions) >= 400
    assert kinds[QuestionKind.UNANSWERABLE] >= 40
    assert all(kinds[kind] >= 15 for kind in QuestionKind)
    documents = Counter(home(question) for question in questions)
    assert documents.keys() == articles.keys()
    assert min(documents.values()) >= 25
    assert max(documents.values()) <= 40


def test_every_quote_stands_in_its_article(questions, articles):
    missing = [
        (support.document, support.quote)
        for question in questions
        for support in question.support
        if plain(support.quote) not in plain(articles[support.document])
    ]
    assert not missing


def test_answers_are_short_and_in_words_of_their_own(questions, articles):
    told = {
        name: runs(re.sub(r"```.*?```", " ", text, flags=re.S)) for name, text in articles.items()
    }
    for question in questions:
        assert len(question.answer.split()) <= 60
        assert len(re.findall(r"[.!?](?:\s|$)", question.answer)) <= 3
        for run in runs(re.sub(r"`[^`]*`", " ", question.answer)):
            assert not any(run in those for those in told.values()), question.answer


def test_each_answer_is_right_by_its_own_facts_and_no_refusal(questions, recipe):
    refusal = recipe.retrieval.dont_know
    for question in questions:
        assert is_right(question, question.answer or refusal, refusal)


def test_none_is_a_question_that_retrieval_is_measured_with(questions):
    measured = {
        plain(text).casefold()
        for split in ("dev", "test")
        for texts in read_questions(FOLDER / split / "handbook.yaml").values()
        for text in texts
    }
    assert len(measured) > 400
    assert not measured & {plain(question.question).casefold() for question in questions}
