"""Copies of a model with some of its layers.

A family's layers may be of several kinds, which come in a fixed order (Gemma 3: five that see a
window, then one that sees all), and engines know that order by heart. So a layer moves only to a
place of its own kind, and the copy is a model of the family like any other.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch  # noqa: TID253 - imported by the training functions only

from twin.domain.errors import BadDataError

#: Lists of a configuration that say by place of what kind a layer is.
KINDS = ("layer_types", "mlp_layer_types", "no_rope_layers")

Kind = tuple[Any, ...]


def kinds_of_layers(config: Any) -> list[Kind]:
    """The kind of each layer, by the model's configuration."""
    lists = [found for name in KINDS if (found := getattr(config, name, None))]
    count = int(config.num_hidden_layers)
    return [tuple(each[layer] for each in lists) for layer in range(count)]


def evenly(kinds: Sequence[Kind], keep: int) -> list[int]:
    """``keep`` layers, spread as evenly over the model as their kinds allow."""
    step = (len(kinds) - 1) / max(1, keep - 1)
    return choose_layers(kinds, keep, lambda place, layer: abs(layer - place * step))


def choose_layers(kinds: Sequence[Kind], keep: int, cost: Callable[[int, int], float]) -> list[int]:
    """The cheapest ``keep`` layers, in their order, each of the kind that its new place has.

    By dynamic programming over places; there always is a choice, the first ``keep`` layers.

    Args:
        kinds: of the model's layers.
        keep: how many, one at least and not more than there are.
        cost: of putting a layer (second) into a place of the copy (first).
    """
    best: dict[int, tuple[float, list[int]]] = {-1: (0.0, [])}
    for place in range(keep):
        reached: dict[int, tuple[float, list[int]]] = {}
        for layer in range(place, len(kinds)):
            if kinds[layer] != kinds[place]:
                continue
            before = [entry for last, entry in best.items() if last < layer]
            if before:
                total, chosen = min(before)
                reached[layer] = (total + cost(place, layer), [*chosen, layer])
        best = reached
    return min(best.values())[1]


def with_layers(model: Any, chosen: Sequence[int]) -> Any:
    """A copy of a causal model of transformers that has the ``chosen`` layers only.

    Raises:
        BadDataError: the model's layers are not where they are looked for.
    """
    from transformers import AutoModelForCausalLM

    prefix = _layers_of(model)
    config = _shortened(model.config, len(chosen))
    copy = AutoModelForCausalLM.from_config(config, dtype=model.dtype)
    places = {str(layer): str(place) for place, layer in enumerate(chosen)}
    weights = {}
    for name, value in model.state_dict().items():
        if name.startswith(prefix):
            number, rest = name.removeprefix(prefix).split(".", 1)
            if number not in places:
                continue
            name = f"{prefix}{places[number]}.{rest}"  # noqa: PLW2901 - its name in the copy
        weights[name] = value.clone()
    copy.load_state_dict(weights, assign=True)
    copy.tie_weights()
    copy.generation_config = model.generation_config
    return copy


def _layers_of(model: Any) -> str:
    """Where the state dictionary has the layers, up to their number."""
    count = getattr(model.config, "num_hidden_layers", None)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return f"{name}."
    raise BadDataError(
        f"models of type {model.config.model_type} keep their layers in a way that is not known "
        "here: take a base model of another family, or name a smaller one in "
        "training.distillation.student"
    )


def _shortened(config: Any, keep: int) -> Any:
    """The configuration with fewer layers: places keep their kinds, see `choose_layers`."""
    data = config.to_dict()
    data |= {name: data[name][:keep] for name in KINDS if data.get(name)}
    return type(config).from_dict({**data, "num_hidden_layers": keep})


def save_copy(copy: Any, source: Path, folder: Path) -> None:
    """Write a copy of the model in ``source``: in bf16, with tokenizer and licence."""
    from twin.models.formats.chat_format import ChatFormat

    copy.to(torch.bfloat16).save_pretrained(folder)
    ChatFormat.load(source).tokenizer.save_pretrained(folder)
    licence = source / "LICENCE"
    if licence.is_file():
        (folder / "LICENCE").write_bytes(licence.read_bytes())
