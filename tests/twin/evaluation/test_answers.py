"""Copying, refusing, length and diversity of answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.domain.written import plain
from twin.evaluation.answers import (
    copy_share,
    distinct,
    distinct_pairs,
    mean_length,
    own_words,
    personal_data_share,
    refusal_share,
    repetition,
    self_bleu,
)
from twin.text.personal_data import PersonalDataDetector

LONG = "A gauge that nobody reads is a hole in the wall."
OTHER = "On the third night of the watch the pump failed again."
REFUSAL = "I have not written about that."


def value(statistic, samples):
    weights = np.ones(samples) if statistic.counted is None else statistic.counted.astype(float)
    return float(statistic.of(weights))


def copies(answers, prompts, trained="", refusal=REFUSAL):
    return value(copy_share(answers, prompts, plain(trained), refusal), len(answers))


def test_sentences_from_prompt_and_training_text_are_copies():
    assert copies([LONG], [f"Passages: {LONG} Question?"]) == 1
    assert copies([LONG], ["Question?"], trained=f"Before. {LONG} After.") == 1
    assert copies([LONG], ["Question?"], trained=OTHER) == 0
    assert copies([f"{LONG} {OTHER}"], [LONG]) == 0.5


def test_line_breaks_make_no_difference():
    assert copies([LONG], [LONG.replace(" is ", "\n  is ")]) == 1


def test_another_questions_passage_is_not_what_was_shown():
    assert copies([LONG, OTHER], [OTHER, LONG]) == 0


def test_eight_words_are_no_copy_and_nine_are():
    eight, nine = (
        "One two three four five six seven eight.",
        "One two three four five six seven eight nine.",
    )
    assert copies([f"{eight} {LONG}"], [eight]) == 0
    assert copies([f"{nine} {LONG}"], [nine]) == 0.5


def test_short_answers_copy_nothing():
    assert copies(["Yes.", ""], ["Yes.", ""]) == 0


def test_a_long_refusal_is_no_copy():
    refusal = "About that I have not written anything at all so far."
    assert copies([refusal, LONG], ["", ""], trained=refusal, refusal=refusal) == 0


def test_own_words_are_what_is_neither_copied_nor_a_refusal():
    answers = [f"{LONG} My own words. {REFUSAL}", f"{OTHER} A gauge.", ""]
    prompts = [f"Passages: {LONG}", "A gauge. Or two?", "Question?"]
    assert own_words(answers, prompts, plain(f"Before. {OTHER}"), REFUSAL) == [
        "My own words.",
        "",
        "",
    ]


def test_refusals_and_lengths():
    answers = ["I have not  written about THAT.", "Well then.", "One two three.", ""]
    assert value(refusal_share(answers, REFUSAL), 4) == 0.25
    assert value(mean_length(answers), 4) == pytest.approx((6 + 2 + 3) / 4)


def test_distinct_pairs_are_counted_over_all_answers():
    assert value(distinct_pairs(["a b c", "x y"]), 2) == 1
    assert value(distinct_pairs(["a b", "A b", "a b"]), 3) == pytest.approx(1 / 3)
    assert value(distinct_pairs(["one", ""]), 2) == 0
    statistic = distinct_pairs(["a b", "a b", "c d"])
    rows = np.array([[1.0, 1, 1], [1, 1, 0], [0, 1, 1]])
    assert statistic.of(rows) == pytest.approx([2 / 3, 1 / 2, 1])


def test_runs_of_every_length_are_counted():
    answers = ["a b a b", "a b"]
    assert value(distinct(answers, 1), 2) == pytest.approx(2 / 6)
    assert value(distinct(answers, 2), 2) == pytest.approx(2 / 4)
    assert value(distinct(answers, 3), 2) == 1
    assert value(distinct(answers, 5), 2) == 0


def test_an_answer_that_says_the_same_again_repeats():
    again = "one two three four one two three four"  # five runs of four, the last like the first
    assert value(repetition([again]), 1) == pytest.approx(1 / 5)
    assert value(repetition([again, "one two three four"]), 2) == pytest.approx(1 / 10)
    assert value(repetition([again, "one two three"]), 2) == pytest.approx(1 / 5), "too short"
    assert value(repetition(["one two", ""]), 2) == 0


def test_answers_that_are_all_the_same_are_alike():
    assert value(self_bleu([LONG, LONG, LONG]), 3) == pytest.approx(1)
    assert value(self_bleu([LONG, OTHER]), 2) < 0.2
    alike = value(self_bleu([LONG, LONG, OTHER]), 3)
    assert 0.6 < alike < 0.8, "each is compared with the others and not with itself"
    assert value(self_bleu([LONG]), 1) == 0
    assert value(self_bleu(["", ""]), 2) == 0


def test_personal_data_counts_that_the_prompt_does_not_hold():
    detector = PersonalDataDetector(names=("Ada Byron",), author_name="Ann")
    mail = "Write to ada@example.org."

    def share(answers, prompts):
        return value(personal_data_share(answers, prompts, detector), len(answers))

    assert share([mail, "Nothing."], ["Whom?", "What?"]) == 0.5
    assert share([mail, "Nothing."], ["Whom? ada@example.org", "What?"]) == 0
    assert share([mail, "Nothing."], ["Whom?", "ada@example.org"]) == 0.5, "another's prompt"
    assert share(["Ask Ada Byron."], ["Whom?"]) == 1
    assert share(["Ask Ann."], ["Whom?"]) == 0


@given(st.lists(st.text(alphabet="ab .", max_size=30), min_size=1, max_size=6))
def test_shares_are_shares(answers):
    for statistic in (
        copy_share(answers, answers, "", REFUSAL), distinct_pairs(answers),
        refusal_share(answers, REFUSAL), repetition(answers), self_bleu(answers),
    ):  # fmt: skip
        assert 0 <= value(statistic, len(answers)) <= 1
