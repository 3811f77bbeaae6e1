"""Tokenizer, model and rows of a base model from nothing."""

import pytest
import torch

from tests.tiny_model import CORPUS
from twin.domain.errors import BadDataError
from twin.recipes import OwnBaseSection
from twin.training.own_base.model import END, make_model, make_tokenizer, rows_of

SECTION = OwnBaseSection(vocabulary=400, layers=2, width=32, heads=2, max_length=16)
STRANGE = "Grüße, 你好 🙂\n\tx  = 12345"


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer([CORPUS], SECTION)


def test_any_text_is_read_and_written_back(tokenizer):
    for text in (CORPUS, STRANGE):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert len(tokenizer) == 400
    assert len(tokenizer("a system that nobody")["input_ids"]) < 12
    assert len(tokenizer("2026")["input_ids"]) == 4, "digits by themselves"


def test_bytes_are_a_token_each():
    plain = make_tokenizer([CORPUS], SECTION.model_copy(update={"tokenizer": "bytes"}))
    assert len(plain) == 257
    assert len(plain("pods")["input_ids"]) == 4
    assert plain.decode(plain(STRANGE)["input_ids"]) == STRANGE


def test_rows_hold_the_whole_stream_with_ends_around_documents(tokenizer):
    texts = ["I keep this handbook.", CORPUS]
    rows = rows_of(tokenizer, texts, 16)
    assert {len(row["input_ids"]) for row in rows} == {16}
    assert all(row["labels"] == row["input_ids"] for row in rows)
    whole = [token for row in rows[:-1] for token in row["input_ids"]]
    text = tokenizer.decode(whole)
    assert text.startswith(f"{END}I keep this handbook.{END}I keep")
    stream = tokenizer(END + texts[0] + END + texts[1] + END)["input_ids"]
    assert whole == stream[: len(whole)]
    assert rows[-1]["input_ids"] == stream[-16:], "the last row overlaps the one before"
    assert rows_of(tokenizer, texts, len(stream))[0]["input_ids"] == stream
    with pytest.raises(BadDataError, match="shorter than one row of"):
        rows_of(tokenizer, texts, len(stream) + 1)
    (short,) = rows_of(tokenizer, texts, len(stream) + 1, may_be_short=True)
    assert short["input_ids"] == stream
    assert rows_of(tokenizer, texts, 16, may_be_short=True) == rows


def test_the_model_is_of_the_recipes_sizes_and_seed(tokenizer):
    model = make_model(tokenizer, SECTION, seed=1)
    config = model.config
    assert (config.num_hidden_layers, config.hidden_size) == (2, 32)
    assert (config.num_attention_heads, config.max_position_embeddings) == (2, 16)
    assert config.vocab_size == 400
    assert config.eos_token_id == tokenizer.eos_token_id
    same, other = make_model(tokenizer, SECTION, seed=1), make_model(tokenizer, SECTION, seed=2)
    for a, b in zip(model.parameters(), same.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(model.lm_head.weight, other.lm_head.weight)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model.model.layers[0].mlp.gate_proj.weight.shape == (96, 32)


def test_heads_share_the_width_in_pairs():
    with pytest.raises(ValueError, match="width 36 has to be a multiple of twice the heads"):
        OwnBaseSection(width=36, heads=4)
