"""Whether a model's answer to a sample is known to be right."""

import pytest

from twin.domain.sample import WITHHELD, InstructSample, Maker, Split, is_known_right

REFUSAL = "I have not written about that."


def sample(kind="fact", facts=("8000", "re:keys?"), **fields):
    return InstructSample(
        id="s", split=Split.TRAIN, instruction="Which port?", answer="8000, with a key.",
        document_id="d", revision="r", chunk_id="c", title="t", url="u", maker=Maker.WRITTEN,
        kind=kind, facts=facts, **fields,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "is_right"),
    [
        ("Port 8000 with a key", True),
        ("Port 8000", False),
        ("With a key", False),
        (f"8000 with a key. {REFUSAL}", False),
        (REFUSAL, False),
        ("", False),
    ],
)
def test_an_answer_needs_every_fact_and_must_not_refuse(answer, is_right):
    assert is_known_right(sample(), answer, REFUSAL) is is_right


@pytest.mark.parametrize("kind", ["unanswerable", WITHHELD])
def test_where_nothing_answers_the_refusal_is_right(kind):
    nothing = sample(kind=kind, facts=())
    assert is_known_right(nothing, f"Well: {REFUSAL.upper()}", REFUSAL)
    assert not is_known_right(nothing, "It is 8000 with a key.", REFUSAL)
    # A question whose answer was withheld keeps its facts, and they are not asked for.
    assert not is_known_right(sample(kind=kind), "8000 with a key", REFUSAL)


def test_of_a_passage_nobody_can_tell():
    passage = sample(kind="", facts=()).model_copy(update={"maker": Maker.PASSAGE})
    assert not is_known_right(passage, passage.answer, REFUSAL)
    assert not is_known_right(passage, REFUSAL, REFUSAL)
