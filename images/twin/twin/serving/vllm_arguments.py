"""From a recipe to vLLM's engine arguments, checked. Imported in vLLM's environment only."""

import dataclasses
import difflib
from typing import Any

from twin.domain.errors import BadDataError
from twin.serving.vllm_engine import EngineSpec

#: Arguments that follow from elsewhere in the recipe, or that open a door: code that comes with a
#: model, weights as pickles.
RESERVED = {
    "model": "the registered weights are served",
    "served_model_name": "the application's name is the model's",
    "tokenizer": "the tokenizer beside the weights is used",
    "trust_remote_code": "code that comes with a model is not run",
    "load_format": "only safetensors are loaded",
    "logits_processors": "they are code",
    "enable_lora": "set serving.adapters: shared",
    "distributed_executor_backend": "Ray Serve LLM chooses it",
}

PENALTY = "twin.serving.vllm_repetition:AnswerRepetitionPenalty"

#: A small model that is bound to a schema may write blanks until its budget ends.
COMPACT_JSON = {"backend": "xgrammar", "disable_any_whitespace": True}

#: Key and value cache on processors, where vLLM otherwise takes half of the memory.
CPU_CACHE_BYTES = 1 << 30

#: Of the GPU memory that a replica has reserved; the rest is for CUDA itself and activations.
GPU_MEMORY_SHARE = 0.9


def engine_arguments(spec: EngineSpec) -> dict[str, Any]:
    """Keyword arguments of vLLM's engine: the house's defaults, then the recipe's options.

    Raises:
        BadDataError: an option that vLLM does not know, or that is set elsewhere.
    """
    options = spec.serving.vllm.options
    _check_names(options)
    speculative = options.get("speculative_config") is not None
    if speculative and spec.serving.repetition_penalty != 1.0:
        raise BadDataError(
            "serving.vllm.options.speculative_config: vLLM cannot penalise the answer's "
            "repetitions while it speculates: set serving.repetition_penalty: 1.0"
        )
    arguments: dict[str, Any] = {
        "load_format": "safetensors",
        "enable_prefix_caching": True,
        "logits_processors": None if speculative else [PENALTY],
        "structured_outputs_config": COMPACT_JSON,
    }
    if spec.serving.adapters == "shared":
        # As many adapters in one batch; the rank is the largest that an adapter may have.
        arguments |= {"enable_lora": True, "max_loras": 4, "max_lora_rank": 32}
    if gpus := spec.gpus_per_device:
        arguments["gpu_memory_utilization"] = round(GPU_MEMORY_SHARE * gpus, 3)
    else:
        # Compiling needs a C++ compiler, which the image does not carry.
        arguments |= {"enforce_eager": True, "kv_cache_memory_bytes": CPU_CACHE_BYTES}
    return arguments | options


def _check_names(options: dict[str, Any]) -> None:
    from vllm.engine.arg_utils import AsyncEngineArgs

    known = {field.name for field in dataclasses.fields(AsyncEngineArgs)}
    for name in options:
        if name in RESERVED:
            raise BadDataError(f"serving.vllm.options.{name} cannot be set: {RESERVED[name]}")
        if name not in known:
            close = difflib.get_close_matches(name, known - set(RESERVED), n=1, cutoff=0)
            raise BadDataError(
                f"serving.vllm.options.{name}: vLLM has no such engine argument; the nearest is "
                f"{close[0]!r}"
            )
