"""Which of the model's texts are rejected: wrong ones, hard ones, of lengths that say nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twin.datasets.sets import sample
from twin.domain.length_bias import FAIR
from twin.domain.sample import WITHHELD, Maker
from twin.text.likeness import likeness
from twin.training.candidates import Candidate
from twin.training.pair_choice import (
    Choice,
    Reason,
    Rejected,
    auc_of,
    balanced,
    choice_of,
)

REFUSAL = "I have not written about that."
ANSWER = "The anchor stands in room 6, near the door."


def wrote(text, is_cut=False):
    return Candidate(text=text, is_cut=is_cut)


def asked(**fields):
    kept = {"maker": Maker.WRITTEN, "kind": "fact", "facts": ("6",), "answer": ANSWER}
    return sample("a", **{**kept, **fields})


def test_the_wrong_text_most_like_the_answer_is_the_hardest():
    texts = ["Ships sail.", "The anchor stands in room 7, near the door.", "The anchor is away."]
    choice, dropped = choice_of(asked(), [wrote(text) for text in texts], REFUSAL)
    assert [option.text for option in choice.options] == [texts[1], texts[2], texts[0]]
    assert choice.rejected.text == texts[1]
    assert choice.rejected.likeness == likeness(ANSWER, texts[1]) > choice.options[1].likeness
    assert dropped == []


def test_each_text_that_is_not_rejected_has_its_reason():
    texts = ["", " -- ", ANSWER, "It is in room 6.", "It is in room 7.", "it is in ROOM 7"]
    choice, dropped = choice_of(asked(), [wrote(text) for text in texts], REFUSAL)
    assert [option.text for option in choice.options] == ["It is in room 7."]
    assert dropped == [Reason.EMPTY, Reason.EMPTY, Reason.ALIKE, Reason.RIGHT, Reason.REPEATED]


def test_a_text_that_was_cut_within_a_word_is_the_answer_s_beginning():
    cut, whole = wrote("The anch", is_cut=True), wrote("The anch")
    assert choice_of(asked(), [cut], REFUSAL) == (None, [Reason.ALIKE])
    assert choice_of(asked(), [whole], REFUSAL)[1] == []


@pytest.mark.parametrize("texts", [[], [""], [ANSWER], ["Room 6 it is."]])
def test_a_sample_may_have_nothing_to_reject(texts):
    choice, dropped = choice_of(asked(), [wrote(text) for text in texts], REFUSAL)
    assert choice is None
    assert len(dropped) == len(texts)


def test_a_refusal_is_right_only_where_nothing_answers():
    choice, _ = choice_of(asked(), [wrote(REFUSAL)], REFUSAL)
    assert choice.rejected.text == REFUSAL
    nothing = asked(kind=WITHHELD, answer=REFUSAL)
    choice, dropped = choice_of(
        nothing, [wrote(f"Well. {REFUSAL}"), wrote("It is in room 6.")], REFUSAL
    )
    assert choice.rejected.text == "It is in room 6."
    assert dropped == [Reason.RIGHT]


def test_of_a_passage_any_other_text_is_wrong():
    passage = sample("a", answer=ANSWER)
    choice, _ = choice_of(passage, [wrote("It is in room 6.")], REFUSAL)
    assert choice.rejected.text == "It is in room 6."


def choice(name, length, *options):
    """A sample whose answer has so many characters, and options of as many, the hardest first."""
    texts = tuple(Rejected("x" * size, 1 - place / 10) for place, size in enumerate(options))
    return Choice(sample(name, answer="y" * length), texts)


def kept(choices):
    pairs, dropped = balanced(choices)
    return [(each.sample.id, len(each.rejected.text)) for each in pairs], dropped


def test_fair_lengths_are_left_alone():
    choices = [choice("a", 10, 12, 50), choice("b", 20, 18)]
    assert auc_of(choices) == 0.5
    assert kept(choices) == ([("a", 12), ("b", 18)], [Reason.EASIER])


def test_another_candidate_is_taken_where_lengths_tell():
    """The one that changes most, and no more samples than it takes."""
    choices = [
        choice("a", 50, 10, 60),
        choice("b", 51, 11, 80, 90),
        choice("c", 52, 12),
        choice("d", 54, 55),
    ]
    assert auc_of(choices) == 0.75
    pairs, dropped = kept(choices)
    assert pairs == [("a", 10), ("b", 90), ("c", 12), ("d", 55)]
    assert dropped == [Reason.EASIER] * 3


def test_shorter_ones_are_taken_where_the_rejected_are_longer():
    choices = [
        choice("a", 50, 90, 10),
        choice("b", 51, 80, 20),
        choice("c", 52, 70),
        choice("d", 53, 10),
    ]
    assert auc_of(choices) == 0.25
    assert kept(choices)[0] == [("a", 10), ("b", 80), ("c", 70), ("d", 10)]


def test_pairs_are_left_out_where_no_candidate_helps():
    choices = [
        choice("a", 90, 10),
        choice("b", 80, 12, 11),
        choice("c", 50, 52),
        choice("d", 51, 49),
    ]
    pairs, dropped = kept(choices)
    assert pairs == [("c", 52), ("d", 49)]
    assert dropped == [Reason.LENGTHS] * 3
    flipped = [choice("a", 10, 90), choice("c", 50, 52), choice("d", 51, 49)]
    assert kept(flipped) == ([("c", 52), ("d", 49)], [Reason.LENGTHS])


def test_nothing_may_be_left():
    assert kept([choice("a", 50, 10)]) == ([], [Reason.LENGTHS])
    assert kept([choice("a", 50, 50)]) == ([("a", 50)], [])
    assert kept([]) == ([], [])


@pytest.mark.parametrize(("wins", "is_fair"), [(0.6, True), (0.61, False), (0.4, True)])
def test_the_limits_are_those_of_a_fair_set(wins, is_fair):
    """Of a hundred comparisons, ten pairs of which each side has ten lengths, so many are won."""
    won = round(wins * 100)
    rejected = [2 * sum(won > 10 * row + column for column in range(10)) for row in range(10)]
    chosen = [2 * column + 1 for column in range(10)]
    choices = [choice(str(n), a, b) for n, (a, b) in enumerate(zip(chosen, rejected, strict=True))]
    assert auc_of(choices) == pytest.approx(1 - wins)
    assert (kept(choices)[1] == []) is (FAIR[0] <= round(1 - wins, 4) <= FAIR[1])
    flipped = [choice(str(n), b, a) for n, (a, b) in enumerate(zip(chosen, rejected, strict=True))]
    assert auc_of(flipped) == pytest.approx(wins)
    assert (kept(flipped)[1] == []) is is_fair


lengths = st.lists(
    st.tuples(st.integers(1, 40), st.lists(st.integers(1, 40), min_size=1, max_size=3)), max_size=15
)


@given(lengths)
def test_whatever_the_lengths_are_what_is_kept_is_fair_and_all_is_counted(made):
    choices = [choice(str(n), length, *options) for n, (length, options) in enumerate(made)]
    pairs, dropped = balanced(choices)
    auc = auc_of(pairs)
    assert auc is None or FAIR[0] <= auc <= FAIR[1]
    assert len(pairs) + len(dropped) == sum(len(options) for _, options in made)
