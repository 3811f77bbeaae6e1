"""What a reranker is trained on: questions of the data set, and passages that do not answer."""

import random

import pytest

from tests.twin.corpora import corpus
from twin.domain.conversation import Turn
from twin.domain.sample import InstructSample, Maker, Split
from twin.features.reranker_questions import (
    DRAWN_FROM,
    FIRST,
    AskedQuestion,
    asked_questions,
    candidates_of,
    documents_of,
)

CHUNKS = corpus(8, 4)
INDEXED = {chunk.id: chunk for chunk in CHUNKS}


def sample(name, chunks=CHUNKS[:1], maker=Maker.WRITTEN, **more):
    ids = tuple(chunk.id for chunk in chunks)
    fields = {
        "id": name, "split": Split.TRAIN, "instruction": f"What is {name}?", "answer": "It is.",
        "document_id": chunks[0].document_id if chunks else "d0", "revision": "r1",
        "chunk_id": ids[0] if ids else "", "title": "T", "url": "u", "maker": maker,
        "chunk_ids": ids,
    }  # fmt: skip
    return InstructSample.model_validate({**fields, **more})


def test_questions_of_people_and_teachers_are_taken_and_no_others():
    samples = [
        sample("a"),
        sample("b", maker=Maker.TEACHER, kind="question"),
        sample("c", maker=Maker.TEACHER, kind="rewrite"),
        sample("d", maker=Maker.PASSAGE),
        sample("e", chunks=()),
        sample("f", history=(Turn(role="user", content="Hm."),)),
    ]
    questions, gone = asked_questions(samples, INDEXED)
    assert [each.text for each in questions] == ["What is a?", "What is b?"]
    assert questions[0].relevant == {CHUNKS[0].id}
    assert questions[0].document == "d0"
    assert gone == 0


def test_what_is_asked_twice_is_one_question_with_all_that_answers_it():
    again = sample("a", CHUNKS[4:6])
    [question], _ = asked_questions([sample("a"), again], INDEXED)
    assert question.relevant == {chunk.id for chunk in (CHUNKS[0], *CHUNKS[4:6])}
    assert question.document == "d0"


def test_passages_that_the_index_has_no_more_are_counted():
    known = {CHUNKS[0].id: CHUNKS[0]}
    questions, gone = asked_questions(
        [sample("a"), sample("b", CHUNKS[1:2]), sample("c", CHUNKS[:2])], known
    )
    assert [each.text for each in questions] == ["What is a?", "What is c?"]
    assert questions[1].relevant == {CHUNKS[0].id}
    assert gone == 1


QUESTION = AskedQuestion("Why?", frozenset({CHUNKS[0].id}), "d0")


def chosen(found=CHUNKS, held_out=(), negatives=4, seed=1, question=QUESTION):
    draw = random.Random(seed)
    return candidates_of(question, found, INDEXED, held_out, negatives, draw)


def test_first_stands_what_answers_then_what_is_found_first_then_some_of_the_next():
    made = chosen()
    assert made.question == "Why?"
    assert len(made.passages) == 5
    assert made.passages[0] == CHUNKS[0].embedded_text
    assert made.passages[1:3] == tuple(chunk.embedded_text for chunk in CHUNKS[1 : 1 + FIRST])
    nearest = {chunk.embedded_text for chunk in CHUNKS[1 : 1 + DRAWN_FROM]}
    assert set(made.passages[3:]) <= nearest
    assert len(set(made.passages)) == 5


def test_far_ones_are_never_drawn():
    far = {chunk.embedded_text for chunk in CHUNKS[1 + DRAWN_FROM :]}
    for seed in range(40):
        assert far.isdisjoint(chosen(seed=seed).passages)
    drawn = {text for seed in range(40) for text in chosen(seed=seed).passages[3:]}
    assert len(drawn) > 10


def test_nothing_is_learned_of_documents_that_are_held_out():
    held_out = {"d0", "d1", "d2"}
    texts = chosen(held_out=held_out).passages[1:]
    forbidden = {chunk.embedded_text for chunk in CHUNKS if chunk.document_id in held_out}
    assert forbidden.isdisjoint(texts)
    assert len(texts) == 4


@pytest.mark.parametrize("negatives", [1, 2, 3])
def test_fewer_are_shown_where_fewer_are_asked_for_or_found(negatives):
    assert len(chosen(negatives=negatives).passages) == 1 + negatives
    assert len(chosen(CHUNKS[: 1 + negatives]).passages) == 1 + negatives


def test_a_question_for_which_nothing_else_is_found_is_left_out():
    assert chosen(CHUNKS[:1]) is None
    assert chosen([]) is None


def test_the_same_draw_is_the_same_passages():
    assert chosen() == chosen()
    assert any(chosen() != chosen(seed=seed) for seed in range(2, 6))


def test_documents_of_a_split():
    splits = {"a": Split.TRAIN, "b": Split.TEST, "c": Split.TRAIN}
    assert documents_of(splits, Split.TRAIN) == {"a", "c"}
