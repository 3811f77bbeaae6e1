"""A transformer written out, to be read: attention, positions, blocks, a whole decoder.

Nothing of it trains or serves; transformers' and llama.cpp's code does that, faster. Tests hold
every function here to torch's and transformers', so that what it says is what they do: `logits` of
a Llama's weights are those of `LlamaForCausalLM`. docs/pages/transformer.md walks through it.

Shapes: B texts, T tokens, W numbers a token (width), H heads of D = W / H numbers.
Sources: Vaswani et al., "Attention Is All You Need", arXiv:1706.03762; Su et al., "RoFormer",
arXiv:2104.09864; Zhang and Sennrich, "Root Mean Square Layer Normalization", arXiv:1910.07467;
Shazeer, "GLU Variants Improve Transformer", arXiv:2002.05202; Touvron et al., "LLaMA",
arXiv:2302.13971.
"""

from collections.abc import Mapping

import torch  # noqa: TID253 - a module of its own, imported where it is read or tested
from torch import Tensor  # noqa: TID253

Weights = Mapping[str, Tensor]
"""Name to matrix, as a folder of safetensors has them."""


def attention(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Each query's mean of the values, weighed by how well its keys fit.

    Args:
        queries: (..., T, D).
        keys: (..., S, D).
        values: (..., S, D).
        mask: (T, S), true where a query may look; None: everywhere.
    """
    fits = queries @ keys.transpose(-2, -1) / queries.shape[-1] ** 0.5
    if mask is not None:
        fits = fits.masked_fill(~mask, float("-inf"))
    return fits.softmax(dim=-1) @ values


def causal_mask(length: int) -> Tensor:
    """(T, T): each token sees itself and what stands before it."""
    return torch.ones(length, length, dtype=torch.bool).tril()


def split_heads(states: Tensor, heads: int) -> Tensor:
    """(B, T, W) to (B, H, T, D): each head has its own share of the numbers."""
    batch, length, width = states.shape
    return states.view(batch, length, heads, width // heads).transpose(1, 2)


def join_heads(states: Tensor) -> Tensor:
    """(B, H, T, D) to (B, T, W)."""
    batch, heads, length, size = states.shape
    return states.transpose(1, 2).reshape(batch, length, heads * size)


def frequencies(size: int, base: float = 10_000.0) -> Tensor:
    """(size / 2): how fast each pair of numbers turns, from once a token to hardly at all."""
    return base ** (-torch.arange(0, size, 2, dtype=torch.float32) / size)


def sinusoidal_positions(length: int, width: int) -> Tensor:
    """(T, W): what the first transformer adds to its embeddings, sines and cosines in turn."""
    angles = torch.arange(length).unsqueeze(1) * frequencies(width)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)


def rotary(states: Tensor, base: float = 10_000.0) -> Tensor:
    """Queries or keys (..., T, D), turned by their positions.

    Number d and number d + D/2 are a point in a plane, which is turned by its frequency once for
    each position. The product of a query and a key then depends on how far apart they stand alone.
    """
    length, size = states.shape[-2:]
    angles = torch.arange(length).unsqueeze(1) * frequencies(size, base)
    cosines, sines = angles.cos(), angles.sin()
    first, second = states.chunk(2, dim=-1)
    turned = (first * cosines - second * sines, second * cosines + first * sines)
    return torch.cat(turned, dim=-1)


def layer_norm(states: Tensor, weight: Tensor, bias: Tensor, epsilon: float = 1e-5) -> Tensor:
    """Each token's numbers with mean zero and spread one, scaled and moved as learned."""
    centred = states - states.mean(-1, keepdim=True)
    spread = (centred.square().mean(-1, keepdim=True) + epsilon).sqrt()
    return centred / spread * weight + bias


def rms_norm(states: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """The same without the mean: divided by the root of the mean square."""
    return states * (states.square().mean(-1, keepdim=True) + epsilon).rsqrt() * weight


def encoder_block(states: Tensor, weights: Weights, heads: int) -> Tensor:
    """A block of the first transformer: attention to all, then two layers; each added, then normed.

    Args:
        states: (B, T, W).
        weights: named as in `torch.nn.TransformerEncoderLayer`.
        heads: of attention.
    """
    mixed = states @ weights["self_attn.in_proj_weight"].T + weights["self_attn.in_proj_bias"]
    queries, keys, values = (split_heads(part, heads) for part in mixed.chunk(3, dim=-1))
    seen = join_heads(attention(queries, keys, values, mask=None))
    seen = seen @ weights["self_attn.out_proj.weight"].T + weights["self_attn.out_proj.bias"]
    states = layer_norm(states + seen, weights["norm1.weight"], weights["norm1.bias"])
    inner = (states @ weights["linear1.weight"].T + weights["linear1.bias"]).relu()
    outer = inner @ weights["linear2.weight"].T + weights["linear2.bias"]
    return layer_norm(states + outer, weights["norm2.weight"], weights["norm2.bias"])


def decoder_block(
    states: Tensor, weights: Weights, heads: int, epsilon: float, base: float = 10_000.0
) -> Tensor:
    """A block of Llama: normed first, attention to what stands before, then a gated layer.

    Args:
        states: (B, T, W).
        weights: named as in a `LlamaDecoderLayer`. Where there are fewer heads of keys and values
            than of queries, several queries share one (arXiv:2305.13245).
        heads: of queries.
        epsilon: of the norms.
        base: of the rotary positions.
    """
    normed = rms_norm(states, weights["input_layernorm.weight"], epsilon)
    queries = split_heads(normed @ weights["self_attn.q_proj.weight"].T, heads)
    size = queries.shape[-1]
    shared = weights["self_attn.k_proj.weight"].shape[0] // size
    keys, values = (
        split_heads(normed @ weights[f"self_attn.{name}_proj.weight"].T, shared) for name in "kv"
    )
    keys, values = (each.repeat_interleave(heads // shared, dim=1) for each in (keys, values))
    mask = causal_mask(states.shape[1])
    seen = attention(rotary(queries, base), rotary(keys, base), values, mask)
    states = states + join_heads(seen) @ weights["self_attn.o_proj.weight"].T
    normed = rms_norm(states, weights["post_attention_layernorm.weight"], epsilon)
    gate = torch.nn.functional.silu(normed @ weights["mlp.gate_proj.weight"].T)
    inner = gate * (normed @ weights["mlp.up_proj.weight"].T)
    return states + inner @ weights["mlp.down_proj.weight"].T


def logits(
    ids: Tensor, weights: Weights, layers: int, heads: int, epsilon: float, base: float = 10_000.0
) -> Tensor:
    """A whole Llama: (B, T) ids of tokens to (B, T, vocabulary), the scores of the next token.

    Args:
        ids: of tokens.
        weights: named as in `LlamaForCausalLM`; where it has no head, the embedding is the head.
        layers: blocks.
        heads: of queries.
        epsilon: of the norms.
        base: of the rotary positions.
    """
    embedding = weights["model.embed_tokens.weight"]
    states = embedding[ids]
    for number in range(layers):
        prefix = f"model.layers.{number}."
        own = {name.removeprefix(prefix): value for name, value in weights.items()
               if name.startswith(prefix)}  # fmt: skip
        states = decoder_block(states, own, heads, epsilon, base)
    states = rms_norm(states, weights["model.norm.weight"], epsilon)
    return states @ weights.get("lm_head.weight", embedding).T
