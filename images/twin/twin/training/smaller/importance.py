"""How much the layers of a model, and the channels within them, do to the author's texts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch  # noqa: TID253 - imported by the training functions only

from twin.domain.errors import BadDataError


def layers_of(model: Any) -> Sequence[Any]:
    """The layers of a causal model of transformers, in their order.

    Raises:
        BadDataError: they are not where they are looked for.
    """
    count = getattr(model.config, "num_hidden_layers", None)
    for module in model.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return list(module)
    raise BadDataError(
        f"models of type {model.config.model_type} keep their layers in a way that is not known "
        "here: set training.pruning.method to magnitude"
    )


def influence_of_layers(model: Any, texts: Sequence[Sequence[int]]) -> list[float]:
    """One number a layer: one less the cosine of a hidden state before and after it.

    The mean over all tokens of the texts; 0 is a layer that changes nothing (Men et al.,
    "ShortGPT", 2024, arXiv:2403.03853).

    Args:
        model: a causal model of transformers.
        texts: token ids.
    """
    layers = layers_of(model)
    changes = [0.0] * len(layers)

    def watch(number: int, inputs: Any, output: Any) -> None:
        before, after = _states(inputs), _states(output)
        cosines = torch.cosine_similarity(before.float(), after.float(), dim=-1)
        changes[number] += float((1.0 - cosines).sum())

    with _watched(layers, watch):
        tokens = _read(model, texts)
    return [change / tokens for change in changes]


def importance_of_channels(model: Any, texts: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """A tensor a layer, (channels,): size of each inner channel, times that of what it feeds.

    The root mean square of the channel over all tokens, and the norm of its column in the
    projection that reads it (Sun et al., "Wanda", 2023, arXiv:2306.11695, over whole columns).

    Args:
        model: a causal model of transformers with gated feed-forward parts.
        texts: token ids.
    """
    readers = [mlp.down_proj for mlp in gated_parts(model)]
    squares = [torch.zeros(reader.in_features, dtype=torch.float64) for reader in readers]

    def watch(number: int, inputs: Any, _output: Any) -> None:
        states = _states(inputs)
        squares[number] += states.double().square().flatten(0, -2).sum(0).cpu()

    with _watched(readers, watch):
        tokens = _read(model, texts)
    return [
        (square / tokens).sqrt() * reader.weight.detach().double().norm(dim=0).cpu()
        for square, reader in zip(squares, readers, strict=True)
    ]


def largest_inputs(
    model: Any, readers: Sequence[Any], texts: Sequence[Sequence[int]]
) -> list[torch.Tensor]:
    """A tensor a reader, (channels,): the largest absolute value that each of its inputs has.

    Args:
        model: a causal model of transformers.
        readers: linear layers of it.
        texts: token ids.
    """
    largest = [torch.zeros(reader.in_features) for reader in readers]

    def watch(number: int, inputs: Any, _output: Any) -> None:
        states = _states(inputs).float().abs().flatten(0, -2).amax(0).cpu()
        largest[number] = torch.maximum(largest[number], states)

    with _watched(readers, watch):
        _read(model, texts)
    return largest


def gated_parts(model: Any) -> list[Any]:
    """The feed-forward part of each layer: ``down_proj(act(gate_proj(x)) * up_proj(x))``.

    Raises:
        BadDataError: the model's are made otherwise.
    """
    names = ("gate_proj", "up_proj", "down_proj")
    parts = [getattr(layer, "mlp", None) for layer in layers_of(model)]
    if any(
        not isinstance(getattr(p, name, None), torch.nn.Linear) for p in parts for name in names
    ):
        raise BadDataError(
            f"models of type {model.config.model_type} have other feed-forward parts than gate, up "
            "and down: set training.pruning.method to layers or magnitude"
        )
    return parts


def _read(model: Any, texts: Sequence[Sequence[int]]) -> int:
    """Read the texts, one at a time; returns how many tokens they have."""
    with torch.inference_mode():
        for text in texts:
            ids = torch.tensor([list(text)], device=model.device)
            model.base_model(input_ids=ids, use_cache=False)
    return sum(map(len, texts))


def _states(given: Any) -> torch.Tensor:
    """The hidden states among what a layer is given or gives."""
    found: torch.Tensor = given[0] if isinstance(given, tuple) else given
    return found


@contextmanager
def _watched(modules: Sequence[Any], watch: Any) -> Iterator[None]:
    handles = [
        module.register_forward_hook(
            lambda _module, inputs, output, number=number: watch(number, inputs, output)
        )
        for number, module in enumerate(modules)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
