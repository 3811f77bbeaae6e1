"""Empty answers, leaked tokens, loops."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.evaluation.soundness import MIN_LOOP_CHARACTERS, Soundness, examine, leaked_tokens, loops


@pytest.mark.parametrize(
    "text",
    [
        "Well.<end_of_turn>",
        "<start_of_turn>model\nWell.",
        "<eos>",
        "<|im_end|>",
        "[INST] Well",
        "</s>",
    ],
)
def test_special_tokens_are_seen(text):
    assert leaked_tokens(text)


@pytest.mark.parametrize(
    "text", ["a < b and c > d", "<p>HTML</p>", "List<String>", "a [link]", "|x|"]
)
def test_ordinary_text_is_left_alone(text):
    assert not leaked_tokens(text)


def test_what_the_author_quotes_may_be_quoted():
    author = "Gemma ends a turn with <end_of_turn>."
    assert not leaked_tokens("It ends with <end_of_turn>.", author)
    assert leaked_tokens("It ends with <eos>.", author) == {"<eos>"}


@given(st.text(alphabet="abcdefgh ", min_size=3, max_size=50), st.integers(0, 49))
def test_any_piece_said_over_and_over_is_a_loop(piece, cut):
    piece = " ".join(piece.split()) + "."
    copies = 3 + MIN_LOOP_CHARACTERS // len(piece)
    endless = " ".join([piece] * (copies + 1)) + " " + piece[: cut % len(piece)]
    assert loops("It began well enough. " + endless)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No, no, no.",
        "Well, well, well, well.",
        "I keep the log. I keep the spare key. I keep the peace, and that is what keeps me.",
        "A loop in the middle " + "again and again " * 10 + "but it found its way out, and ended.",
        "He said it once. He said it once. Then he went home and never spoke of it to anybody.",
    ],
)
def test_ordinary_repetition_is_no_loop(text):
    assert not loops(text)


def test_a_loop_without_spaces_is_seen():
    assert loops("开始" + "我不知道。" * 20)


def test_all_are_counted():
    answers = ["Fine.", " ", "Well.<eos>", "and so on " * 20]
    assert examine(answers, [""] * 4) == Soundness(answers=4, empty=1, leaking=1, looping=1)
