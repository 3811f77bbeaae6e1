"""What a base model takes of memory: enough arithmetic to refuse one that can't be held."""

from pathlib import Path
from typing import Any

from twin.domain.errors import BadDataError

GIB = 1024**3

MIB = 1024**2

LIBRARIES = 774 * MIB
"""A training process but for its model: peak resident set of `twin training sft` on a model of
half a million parameters, batches of two (29 November 2026; two cores, Python 3.11)."""

PLATFORM = 2996 * MIB
"""The laptop's processes (Airflow, MLflow, warehouse, Ray with router and proxies) before a version
is in service: the sum of their proportional sets (PSS) after `twin laptop up`, the same day."""

SERVED = 1125 * MIB
"""What a version in service adds to that, its model apart: the same sum after `twin rollout start`
of a tiny model, less `PLATFORM`. The version has embedder and index, the engine llama.cpp."""

ENGINE = 418 * MIB
"""The engine's process in that: proportional set of llama.cpp's replica with a tiny model."""

#: Bytes a parameter: bf16, and llama.cpp's q8_0 (32 values and a scale in 34 bytes).
BF16, Q8_0 = 2.0, 34 / 32

FOUR_BITS = 0.36
"""Of a base's bytes in bf16 what QLoRA holds: Llama 3.1 8B's, whose layers take 4.1 bits a number
and whose embedding and head stay as they are. Smaller models have a larger share of these."""

#: Of a trained parameter of an adapter: itself, its gradient and Adam's two moments in float32.
_TRAINED = 16


def available_memory() -> int:
    """Bytes that this process may use: the machine's memory, or its container's limit."""
    import psutil

    total = int(psutil.virtual_memory().total)
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        limit = Path(path)
        if limit.is_file() and (text := limit.read_text("ascii").strip()).isdigit():
            total = min(total, int(text))
    return total


def check_memory(name: str, weights: int, others: int = 0, available: int | None = None) -> None:
    """Refuse a base that this machine can't hold, whatever a recipe says of batches.

    Args:
        name: the base, for the message.
        weights: bytes of its weights in bf16.
        others: bytes of what runs beside a training.
        available: bytes there are; unset means this machine's.

    Raises:
        BadDataError: weights and libraries alone are more than there is.
    """
    available = available_memory() if available is None else available
    need = weights + LIBRARIES + others
    if need > available:
        beside = f", other processes {_gib(others)}" if others else ""
        raise BadDataError(
            f"base model {name} can't be held: it takes {_gib(need)} (weights {_gib(weights)}, "
            f"libraries {_gib(LIBRARIES)}{beside}) before anything is trained, and there are "
            f"{_gib(available)}: take a smaller model, or a machine with more memory"
        )


def training_memory(config: dict[str, Any], parameters: int, rank: int, tokens: int) -> int:
    """Bytes of LoRA training in bf16 without gradient checkpointing, at most.

    Args:
        config: the model's ``config.json``.
        parameters: numbers in its weights.
        rank: of the adapter, on all linear layers of the body.
        tokens: of a batch, padding included.
    """
    adapter = adapter_parameters(config, rank) * _TRAINED
    kept = kept_of_a_layer(config) * int(config["num_hidden_layers"])
    return round(LIBRARIES + BF16 * parameters + adapter + kept * tokens)


def adapter_parameters(config: dict[str, Any], rank: int) -> int:
    """Numbers of an adapter on all linear layers of the body."""
    hidden, inner = int(config["hidden_size"]), int(config["intermediate_size"])
    query, key = _widths(config)
    linear = 2 * (hidden + query) + 2 * (hidden + key) + 3 * (hidden + inner)
    return int(config["num_hidden_layers"]) * rank * linear


def kept_of_a_layer(config: dict[str, Any]) -> int:
    """Bytes that a layer keeps of a token for the backward pass.

    In bf16: inputs and outputs of its linear layers and norms, and the gated product.
    """
    hidden, inner = int(config["hidden_size"]), int(config["intermediate_size"])
    query, key = _widths(config)
    return 2 * (6 * hidden + 2 * query + 2 * key + 4 * inner)


def serving_memory(config: dict[str, Any], parameters: int, tokens: int) -> int:
    """Bytes of a llama.cpp engine in q8_0 with ``tokens`` of context for all callers together."""
    _, key = _widths(config)
    cache = 2 * int(config["num_hidden_layers"]) * key * tokens * BF16
    return round(ENGINE + Q8_0 * parameters + cache)


def demo_memory(config: dict[str, Any], parameters: int) -> int:
    """Bytes of everything on a laptop while a twin is trained beside its version in service.

    LoRA of rank 16 on 768 tokens at a time, llama.cpp with room for eight times 2,048.
    """
    training = training_memory(config, parameters, rank=16, tokens=768)
    serving = serving_memory(config, parameters, tokens=8 * 2048)
    return PLATFORM + SERVED - ENGINE + serving + training


def _widths(config: dict[str, Any]) -> tuple[int, int]:
    """Width of all query heads together, and of all key heads."""
    heads = int(config["num_attention_heads"])
    width = int(config.get("head_dim") or int(config["hidden_size"]) // heads)
    return heads * width, int(config.get("num_key_value_heads") or heads) * width


def _gib(count: int) -> str:
    return f"{count / GIB:.1f} GiB"
