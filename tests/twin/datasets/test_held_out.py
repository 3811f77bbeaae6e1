"""What models are measured by: told by nearly all its words, or by its answer's words in a row."""

import pytest

from twin.datasets.held_out import HeldOut, read_questions
from twin.domain.errors import BadDataError

QUESTION = "How long does a lease of the job queue last?"
ANSWER = "A lease lasts for thirty seconds and is renewed by the worker that holds it, every ten."


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (QUESTION, QUESTION),
        ("how long does a LEASE of the job queue last", QUESTION),
        ("Of the job queue: how long does a lease last?", QUESTION),
        ("How long does one lease of the job queue last?", QUESTION),  # 9 of 11 words
        ("How long may one lease of the job queue last?", ""),  # 8 of 12
        ("How long does a queue last?", ""),
        ("Who keeps the lighthouse?", ""),
        ("", ""),
    ],
)
def test_a_question_is_known_by_its_words(asked, found):
    held_out = HeldOut(["Who is the keeper of the light?", QUESTION, QUESTION])
    assert len(held_out) == 2
    assert held_out.like(asked, "Another answer.") == found


def test_an_answer_is_known_by_its_words_in_a_row():
    held_out = HeldOut([QUESTION], [ANSWER, "No."])
    assert held_out.like("Tell me of leases.", f"{ANSWER} So be quick.") == "its answer"
    assert held_out.like("Tell me of leases.", "No.") == ""
    longer = f"{ANSWER} {' '.join(f'word{n}' for n in range(40))}"
    assert held_out.like("Tell me of leases.", longer) == "", "most of it is its own"


def test_nothing_held_out_is_like_nothing():
    assert HeldOut([]).like(QUESTION, ANSWER) == ""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("set.jsonl", '{"question": "Why?", "id": 1}\n\n{"other": 2}\n{"question": "How?"}\n'),
        ("set.yaml", "- question: Why?\n- other: 2\n- question: How?\n"),
    ],
)
def test_sets_are_read(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    assert read_questions(tmp_path / name) == ["Why?", "How?"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("set.jsonl", "{", "can't be read"),
        ("set.yaml", "- [", "can't be read"),
        ("set.yaml", "", "no entry with a field question"),
        ("set.yaml", "- question: ''\n- 3", "no entry with a field question"),
        ("set.jsonl", '{"prompt": "Why?"}', "no entry with a field question"),
        ("set.txt", "question: Why?", "no entry with a field question"),
    ],
)
def test_what_is_no_set_is_refused_by_name(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(BadDataError, match=rf"evaluation_sets: .*{name}.*{said}"):
        read_questions(tmp_path / name)
    with pytest.raises(BadDataError, match="can't be read"):
        read_questions(tmp_path / "none.yaml")
