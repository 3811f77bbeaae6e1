"""What a training takes of memory, before it is given any; and what would make it fit.

The parts are those of `twin.models.bases.memory`; what depends on the recipe is added here. A bench
(`tests/bench/test_training_memory.py`) holds the sum against measured peaks.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin.domain.errors import BadDataError
from twin.models.bases.memory import (
    BF16,
    FOUR_BITS,
    GIB,
    LIBRARIES,
    adapter_parameters,
    available_memory,
    check_memory,
    kept_of_a_layer,
)
from twin.recipes import TrainingSection

_FLOAT32 = 4
_OPTIMIZED = 12
"""Of a trained number, beside itself: its gradient and Adam's two moments in float32."""

HEAD_BLOCK = 256
"""Positions that are scored at once (`twin.models.token_log_probabilities.BLOCK`)."""

SHORTEST = 128
"""Tokens of a sample, below which hardly a question with its passages fits."""

HEAD_COPIES = 3
"""Of a block's logits in bf16: scores, probabilities, and one on the way from one to the other."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of a training at its peak, by what holds them."""

    libraries: int
    weights: int
    optimizer: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.libraries + self.weights + self.optimizer + self.activations + self.logits

    def text(self) -> str:
        """In words, in GiB."""
        parts = {
            "weights": self.weights,
            "optimizer and gradients": self.optimizer,
            "activations": self.activations,
            "logits": self.logits,
            "libraries": self.libraries,
        }
        named = ", ".join(f"{name} {size / GIB:.1f}" for name, size in parts.items())
        return f"{self.total / GIB:.1f} GiB ({named})"


def estimate_memory(
    config: dict[str, Any], parameters: int, recipe: TrainingSection, *, accelerated: bool
) -> MemoryEstimate:
    """What the hungrier of both stages takes.

    Args:
        config: the model's ``config.json``.
        parameters: numbers in its weights.
        recipe: its section.
        accelerated: on a GPU, whose memory holds no libraries to speak of.

    Raises:
        KeyError: the model's sizes have other names than those known here.
    """
    stages = [_of_stage(config, parameters, recipe, "sft", accelerated)]
    if recipe.dpo.enabled:
        stages.append(_of_stage(config, parameters, recipe, "dpo", accelerated))
    return max(stages, key=lambda stage: stage.total)


def _of_stage(
    config: dict[str, Any], parameters: int, recipe: TrainingSection, stage: str, accelerated: bool
) -> MemoryEstimate:
    knobs = recipe.sft if stage == "sft" else recipe.dpo
    texts = knobs.batch_size * (2 if stage == "dpo" and recipe.dpo.method != "kto" else 1)
    tokens = texts * knobs.max_length
    trained = adapter_parameters(config, recipe.lora.rank)
    if recipe.method == "full":
        trained = parameters
    checkpointed = knobs.gradient_checkpointing
    layers, kept = int(config["num_hidden_layers"]), kept_of_a_layer(config)
    whole = layers * kept
    if checkpointed or (checkpointed is None and accelerated):
        whole = layers * 2 * int(config["hidden_size"]) + kept
    return MemoryEstimate(
        libraries=0 if accelerated else LIBRARIES,
        weights=_weights(parameters, trained, recipe, stage),
        optimizer=trained * _OPTIMIZED,
        activations=tokens * whole,
        logits=_logits(config, recipe, stage, tokens),
    )


def _weights(parameters: int, trained: int, recipe: TrainingSection, stage: str) -> int:
    if recipe.method == "full":
        # Autocast keeps a copy of each in bf16; preference training a reference besides.
        copies = 2 if stage == "dpo" and recipe.dpo.method != "orpo" else 1
        return round(parameters * (_FLOAT32 + BF16 * copies))
    share = FOUR_BITS if recipe.method == "qlora" else 1.0
    return round(parameters * BF16 * share) + trained * _FLOAT32


def _logits(config: dict[str, Any], recipe: TrainingSection, stage: str, tokens: int) -> int:
    if stage == "dpo" and recipe.dpo.method == "orpo":  # all at once, in float32 for the loss
        return tokens * int(config["vocab_size"]) * (2 + 2 * _FLOAT32)
    return min(tokens, HEAD_BLOCK) * int(config["vocab_size"]) * 2 * HEAD_COPIES


def check_fits(
    name: str,
    config: dict[str, Any],
    parameters: int,
    recipe: TrainingSection,
    available: int,
    *,
    accelerated: bool,
) -> MemoryEstimate:
    """The estimate, if there is so much memory.

    Args:
        name: of the base model, for the message.
        config: its ``config.json``.
        parameters: numbers in its weights.
        recipe: its section.
        available: bytes there are.
        accelerated: whether they are a GPU's.

    Raises:
        BadDataError: there is not; it names the smallest change by which the training would fit.
    """
    estimate = estimate_memory(config, parameters, recipe, accelerated=accelerated)
    if estimate.total <= available:
        return estimate
    change = _smallest_change(config, parameters, recipe, available, accelerated)
    raise BadDataError(
        f"training {name} takes about {estimate.text()}, and there are {available / GIB:.1f} GiB: "
        + (change or "take a smaller base model, or a machine with more memory")
    )


def _smallest_change(
    config: dict[str, Any],
    parameters: int,
    recipe: TrainingSection,
    available: int,
    accelerated: bool,
) -> str | None:
    for words, changed in _changes(recipe):
        if estimate_memory(config, parameters, changed, accelerated=accelerated).total <= available:
            return words
    return None


def _changes(recipe: TrainingSection) -> Iterator[tuple[str, TrainingSection]]:
    """Changes from those that alter no result to those that alter most, each on top of the last."""
    while (smaller := _smaller_batches(recipe)) != recipe:
        recipe = smaller
        yield (
            f"set training.sft.batch_size to {recipe.sft.batch_size} with gradient_accumulation "
            f"{recipe.sft.gradient_accumulation} and training.dpo.batch_size to "
            f"{recipe.dpo.batch_size} with {recipe.dpo.gradient_accumulation}, which trains the "
            "same",
            recipe,
        )
    done = f"with batches of {recipe.sft.batch_size}"
    recipe = _both(recipe, gradient_checkpointing=True)
    yield (
        f"{done} set gradient_checkpointing of training.sft and training.dpo to true, which trains "
        "the same in a third more time",
        recipe,
    )
    done += ", gradient_checkpointing"
    for method in {"full": ("lora", "qlora"), "dora": ("lora", "qlora"), "lora": ("qlora",)}.get(
        recipe.method, ()
    ):
        recipe = recipe.model_copy(update={"method": method})
        yield f"{done} set training.method to {method}", recipe
    done += f" and method {recipe.method}"
    length = max(recipe.sft.max_length, recipe.dpo.max_length) // 2
    while length >= SHORTEST:
        recipe = _both(recipe, max_length=length)
        yield (
            f"{done} set max_length of training.sft and training.dpo to {length}, which leaves "
            "longer samples out",
            recipe,
        )
        length //= 2


def _smaller_batches(recipe: TrainingSection) -> TrainingSection:
    """Batches of the next smaller size by which as many samples still make a step."""
    changed = {}
    for stage, knobs in (("sft", recipe.sft), ("dpo", recipe.dpo)):
        fewest = 2 if stage == "dpo" and recipe.dpo.method == "kto" else 1
        now = knobs.batch_size
        size = next((n for n in range(now - 1, fewest - 1, -1) if now % n == 0), now)
        times = knobs.gradient_accumulation * now // size
        changed[stage] = knobs.model_copy(
            update={"batch_size": size, "gradient_accumulation": times}
        )
    return recipe.model_copy(update=changed)


def _both(recipe: TrainingSection, **values: Any) -> TrainingSection:
    return recipe.model_copy(
        update={
            "sft": recipe.sft.model_copy(update=values),
            "dpo": recipe.dpo.model_copy(update=values),
        }
    )


def check_room(
    name: str, folder: Path, recipe: TrainingSection, longest: int, taken: int = 0
) -> int:
    """Refuse a training that this machine, or its GPU, has no room for; returns the estimate.

    Args:
        name: of the base model.
        folder: where it is, prepared.
        recipe: its section.
        longest: tokens of the longest sample.
        taken: bytes that another model holds meanwhile.

    Raises:
        BadDataError: it names the smallest change by which the training would fit.
    """
    import torch

    accelerated = torch.cuda.is_available()
    available = torch.cuda.mem_get_info()[1] if accelerated else available_memory()
    available -= taken
    config = json.loads((folder / "config.json").read_text("utf-8"))
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    fitted = _both(recipe, max_length=longest) if longest < recipe.sft.max_length else recipe
    try:
        return check_fits(
            name, config, round(weights / BF16), fitted, available, accelerated=accelerated
        ).total
    except KeyError:  # a family that calls its sizes otherwise: what is known is its weights
        packed = round(FOUR_BITS * weights) if recipe.method == "qlora" else weights
        check_memory(name, packed, taken)
        return packed + LIBRARIES
