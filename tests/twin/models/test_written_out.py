"""The transformer that is written out is the one that torch and transformers run."""

import pytest
import torch
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import (
    LlamaRotaryEmbedding,
    apply_rotary_pos_emb,
)

from twin.models import written_out


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def close(mine, theirs):
    return torch.allclose(mine, theirs, atol=1e-5)


@pytest.mark.parametrize("causal", [True, False])
def test_attention_is_torchs(causal):
    queries, keys, values = torch.randn(3, 2, 4, 7, 8)
    mask = written_out.causal_mask(7) if causal else None
    theirs = functional.scaled_dot_product_attention(queries, keys, values, is_causal=causal)
    assert close(written_out.attention(queries, keys, values, mask), theirs)


def test_heads_that_are_split_and_joined_are_as_before():
    states = torch.randn(2, 5, 12)
    split = written_out.split_heads(states, 3)
    assert split.shape == (2, 3, 5, 4)
    assert torch.equal(split[:, 1], states[:, :, 4:8])
    assert torch.equal(written_out.join_heads(split), states)


def test_sinusoidal_positions_are_those_of_the_paper():
    """PE(pos, 2i) = sin(pos / 10000^(2i / width)), PE(pos, 2i + 1) its cosine."""
    made = written_out.sinusoidal_positions(50, 8)
    assert made.shape == (50, 8)
    for position, pair in ((0, 0), (3, 0), (17, 2), (49, 3)):
        angle = torch.tensor(position / 10_000 ** (2 * pair / 8))
        assert close(made[position, 2 * pair], angle.sin())
        assert close(made[position, 2 * pair + 1], angle.cos())


def test_rotary_positions_are_transformers():
    config = LlamaConfig(hidden_size=32, num_attention_heads=4, max_position_embeddings=64)
    queries, keys = torch.randn(2, 1, 4, 9, 8)
    cosines, sines = LlamaRotaryEmbedding(config)(queries, torch.arange(9).unsqueeze(0))
    theirs = apply_rotary_pos_emb(queries, keys, cosines, sines)
    assert close(written_out.rotary(queries), theirs[0])
    assert close(written_out.rotary(keys), theirs[1])


def test_after_rotation_only_the_distance_counts():
    query, key = torch.randn(2, 8)
    turned_query = written_out.rotary(query.repeat(10, 1))
    turned_key = written_out.rotary(key.repeat(10, 1))
    assert turned_query[3] @ turned_key[1] == pytest.approx(
        float(turned_query[9] @ turned_key[7]), abs=1e-4
    )
    assert abs(float(turned_query[3] @ turned_key[1] - turned_query[3] @ turned_key[2])) > 1e-3


def test_norms_are_torchs():
    states, weight, bias = torch.randn(2, 5, 16), torch.randn(16), torch.randn(16)
    assert close(
        written_out.layer_norm(states, weight, bias),
        functional.layer_norm(states, (16,), weight, bias),
    )
    assert close(
        written_out.rms_norm(states, weight, 1e-6),
        functional.rms_norm(states, (16,), weight, eps=1e-6),
    )


def test_the_encoder_block_is_torchs():
    layer = torch.nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True).eval()
    states = torch.randn(2, 6, 16)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
        mine = written_out.encoder_block(states, layer.state_dict(), heads=4)
        assert close(mine, layer(states))


@pytest.mark.parametrize(("shared", "tied"), [(4, True), (2, False), (1, True)])
def test_a_whole_llama_is_transformers(shared, tied):
    """With as many heads of keys as of queries, and with fewer; the head tied and of its own."""
    config = LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=shared, tie_word_embeddings=tied,
        initializer_range=0.3, rope_parameters={"rope_type": "default", "rope_theta": 5_000.0},
    )  # fmt: skip
    model = LlamaForCausalLM(config).float().eval()
    weights = model.state_dict()
    if tied:
        del weights["lm_head.weight"]
    ids = torch.randint(50, (2, 11))
    with torch.no_grad():
        mine = written_out.logits(ids, weights, 3, 4, config.rms_norm_eps, base=5_000.0)
        theirs = model(ids).logits
        assert torch.allclose(mine, theirs, atol=1e-4)
        assert theirs.abs().max() > 1, "not all as good as zero"
