"""Training with weights that are rounded as a file of few bits will round them.

What learns is the weight itself; what the model computes with is its rounded value, through which
the gradient passes as if nothing had been rounded (Jacob et al., 2018, arXiv:1712.05877). With the
whole twin as the teacher this is the data-free training of LLM-QAT (arXiv:2305.17888).
"""

from typing import Any

import torch  # noqa: TID253 - imported by the training functions only
from torch.nn.utils import parametrize  # noqa: TID253 - as torch

from twin.training.smaller.pruned import linear_layers

BITS = {"int8": 8, "int4": 4}

GROUP = 32
"""Weights of a row that share a scale: as in llama.cpp's q8_0, and within the blocks of q4_k."""

_SMALLEST = 1e-8
"""Scale of a group of zeros."""


class RoundedWeight(torch.nn.Module):
    """A matrix as it is after a round trip through so many bits.

    With 8 bits a group is symmetric about zero, with 4 it has a smallest value of its own.

    Args:
        bits: 8 or 4.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self._bits = bits

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """(rows, columns), columns a multiple of `GROUP`; differentiable."""
        groups = weight.reshape(-1, GROUP).float()
        scale, zero, low, high = self._grid(groups.detach())
        rounded = torch.fake_quantize_per_channel_affine(groups, scale, zero, 0, low, high)
        return rounded.reshape(weight.shape).to(weight.dtype)

    def _grid(self, groups: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, int, int]:
        """Scale and zero of each group, smallest and largest step."""
        most = 2**self._bits - 1
        if self._bits == 8:
            scale = (groups.abs().amax(1) / (most // 2)).clamp(min=_SMALLEST)
            return scale, torch.zeros_like(scale, dtype=torch.int32), -(most // 2), most // 2
        low, high = groups.amin(1).clamp(max=0.0), groups.amax(1).clamp(min=0.0)
        scale = ((high - low) / most).clamp(min=_SMALLEST)
        return scale, torch.round(-low / scale).to(torch.int32), 0, most


def round_weights(model: Any, bits: int) -> None:
    """Have the matrices within the layers computed with as they are in so many bits.

    Those whose rows are no multiple of `GROUP` stay: llama.cpp takes another type for them.
    """
    for layer in linear_layers(model):
        if layer.in_features % GROUP == 0:
            parametrize.register_parametrization(layer, "weight", RoundedWeight(bits))


def unround(model: Any) -> None:
    """Give the model its weights back as they have learned, for whatever rounds them later."""
    for layer in linear_layers(model):
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
