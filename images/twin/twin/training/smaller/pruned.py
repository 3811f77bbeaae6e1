"""What is left of a model: without layers, without inner channels, or with zeros.

The first two change the configuration and make a smaller model of the same family, which whatever
loads the family loads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch  # noqa: TID253 - imported by the training functions only

from twin.domain.errors import BadDataError
from twin.recipes import PruningSection
from twin.training.smaller.importance import (
    gated_parts,
    importance_of_channels,
    influence_of_layers,
    layers_of,
)
from twin.training.smaller.layers import choose_layers, kinds_of_layers, with_layers

GRANULES = (256, 32)
"""What a row of weights is counted in: llama.cpp packs 256 numbers together (k-quants) or 32."""


@dataclass(frozen=True)
class Pruned:
    """A pruned model, and how it differs.

    Attributes:
        model: of transformers.
        kept: in words, what is left.
        sparsity: share of zeros among the weights of the layers.
        measured: what was found of each layer, for people.
    """

    model: Any
    kept: str
    sparsity: float
    measured: tuple[float, ...] = ()


def prune(model: Any, section: PruningSection, texts: Sequence[Sequence[int]]) -> Pruned:
    """Prune a causal model of transformers; it is not to be used afterwards.

    Args:
        model: in bf16 or float32.
        section: which method, and how much goes.
        texts: token ids of the author's texts, by which is measured what matters.

    Raises:
        BadDataError: nothing would be left or go, or the family is made otherwise.
    """
    method = {"layers": _by_layers, "channels": _by_channels, "magnitude": _by_magnitude}
    return method[section.method](model, section.share, texts)


def _by_layers(model: Any, share: float, texts: Sequence[Sequence[int]]) -> Pruned:
    influence = influence_of_layers(model, texts)
    kinds = kinds_of_layers(model.config)
    keep = len(kinds) - _going(len(kinds), share, "layers")
    chosen = choose_layers(kinds, keep, lambda _place, layer: -influence[layer])
    kept = f"layers {', '.join(map(str, chosen))} of {len(kinds)}"
    copy = with_layers(model, chosen)
    return Pruned(copy, kept, sparsity_of(copy), tuple(influence))


def _by_channels(model: Any, share: float, texts: Sequence[Sequence[int]]) -> Pruned:
    importance = importance_of_channels(model, texts)
    width = model.config.intermediate_size
    granule = next((size for size in GRANULES if width % size == 0 and width > size), 1)
    groups = width // granule
    keep = (groups - _going(groups, share, f"groups of {granule} channels")) * granule
    for part, worth in zip(gated_parts(model), importance, strict=True):
        chosen = worth.topk(keep).indices.sort().values
        for layer, axis in ((part.gate_proj, 0), (part.up_proj, 0), (part.down_proj, 1)):
            _keep(layer, chosen, axis)
    model.config.intermediate_size = keep
    lost = [float(1 - worth.topk(keep).values.sum() / worth.sum()) for worth in importance]
    return Pruned(model, f"{keep} of {width} channels a layer", sparsity_of(model), tuple(lost))


def _by_magnitude(model: Any, share: float, _texts: Sequence[Sequence[int]]) -> Pruned:
    from torch.nn.utils import prune as torch_prune

    for layer in linear_layers(model):
        torch_prune.l1_unstructured(layer, "weight", amount=share)
        torch_prune.remove(layer, "weight")
    sparsity = sparsity_of(model)
    return Pruned(model, f"{1 - sparsity:.1%} of the weights of each layer", sparsity)


def linear_layers(model: Any) -> list[torch.nn.Linear]:
    """The matrices within the layers: neither embedding nor head."""
    return [
        module
        for layer in layers_of(model)
        for module in layer.modules()
        if isinstance(module, torch.nn.Linear)
    ]


def sparsity_of(model: Any) -> float:
    """Share of zeros among the weights of `linear_layers`."""
    weights = [layer.weight.detach() for layer in linear_layers(model)]
    zeros = sum(int((each == 0).sum()) for each in weights)
    return zeros / sum(int(each.numel()) for each in weights)


def keep_zeros(model: Any) -> None:
    """Let no training change a weight of the layers that is zero now.

    A zero without gradient stays one under AdamW, decay included.
    """
    for layer in linear_layers(model):
        mask = layer.weight.detach() != 0
        if not bool(mask.all()):
            layer.weight.register_hook(lambda gradient, mask=mask: gradient * mask)


def _going(count: int, share: float, what: str) -> int:
    """How many of so many go: one at least, and not all.

    Raises:
        BadDataError: there is one only.
    """
    if count < 2:
        raise BadDataError(
            f"the model has {count} {what}, none of which can go: set another "
            "training.pruning.method"
        )
    return min(count - 1, max(1, round(count * share)))


def _keep(layer: torch.nn.Linear, chosen: torch.Tensor, axis: int) -> None:
    """Cut a matrix to the chosen rows (axis 0) or columns (1); a bias goes with the rows."""
    chosen = chosen.to(layer.weight.device)
    layer.weight = torch.nn.Parameter(layer.weight.detach().index_select(axis, chosen))
    if axis == 0:
        layer.out_features = len(chosen)
        if layer.bias is not None:
            layer.bias = torch.nn.Parameter(layer.bias.detach().index_select(0, chosen))
    else:
        layer.in_features = len(chosen)
