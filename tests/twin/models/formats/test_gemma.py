"""The template: what an answer ends with is what the model knows as an end."""

import pytest

from twin.models.formats.chat_format import ChatFormat
from twin.models.formats.gemma import CHAT_TEMPLATE, END_OF_TURN

TURNS = [
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": " Because. "},
    {"role": "user", "content": "And then?"},
]


@pytest.fixture
def tokenizer(tiny):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny)


def test_an_answer_ends_with_the_mark_that_a_pretrained_model_knows(tokenizer):
    assert ChatFormat(tokenizer).end_of_answer == "<eos>"
    assert tokenizer.apply_chat_template(TURNS, tokenize=False, add_generation_prompt=True) == (
        "<bos><start_of_turn>user\nWhy?<end_of_turn>\n"
        "<start_of_turn>model\nBecause.<eos>\n"
        "<start_of_turn>user\nAnd then?<end_of_turn>\n"
        "<start_of_turn>model\n"
    )


def test_an_instruction_tuned_models_own_template_says_how_its_answers_end(tokenizer):
    tokenizer.chat_template = CHAT_TEMPLATE.replace("eos_token", f"'{END_OF_TURN}'")
    assert ChatFormat(tokenizer).end_of_answer == END_OF_TURN


def test_a_trainer_sees_which_words_are_the_models_own(tokenizer):
    rendered = tokenizer.apply_chat_template(
        TURNS, return_dict=True, return_assistant_tokens_mask=True
    )
    own = [
        i
        for i, is_own in zip(rendered["input_ids"], rendered["assistant_masks"], strict=True)
        if is_own
    ]
    assert tokenizer.decode(own) == "Because.<eos>"
