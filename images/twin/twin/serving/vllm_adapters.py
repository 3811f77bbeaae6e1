"""What of a LoRA adapter's folder vLLM cannot run, said before vLLM is asked."""

import json
from pathlib import Path
from typing import Any

from twin.domain.errors import BadDataError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def check_adapter(folder: Path, name: str, largest_rank: int) -> None:
    """See whether vLLM can load PEFT's adapter in ``folder`` beside its base model.

    Raises:
        BadDataError: it cannot; says why and what to do.
    """
    if not largest_rank:
        raise BadDataError(
            f"adapter {name}: this engine takes none: set serving.adapters: shared in the recipe"
        )
    for fault in _faults(folder, largest_rank):
        raise BadDataError(f"adapter {name}: {fault}")


def _faults(folder: Path, largest_rank: int) -> list[str]:
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return [f"{folder} holds no {CONFIG} of PEFT: package the version again"]
    faults = []
    if not (folder / WEIGHTS).is_file():
        faults.append(f"{folder} holds no {WEIGHTS}; weights in another format are not loaded")
    if config.get("peft_type") != "LORA":
        faults.append(f"its kind is {config.get('peft_type')}; vLLM runs LORA only")
    faults += [
        f"vLLM cannot run an adapter with {key} = {config[key]!r:.80}: set "
        "serving.adapters: merged, or train without"
        for key in ("modules_to_save", "trainable_token_indices", "use_dora", "layer_replication")
        if config.get(key)
    ]
    if config.get("bias", "none") != "none":
        faults.append(f"vLLM cannot run an adapter with bias = {config['bias']!r}: train without")
    rank = max([config.get("r", 0), *(config.get("rank_pattern") or {}).values()])
    if rank > largest_rank:
        faults.append(
            f"its rank is {rank}, and this engine takes {largest_rank} at most: set "
            f"serving.vllm.options.max_lora_rank: {rank}"
        )
    return faults
