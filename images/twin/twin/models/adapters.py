"""What training makes of a base, an adapter or all its weights: of which base, and as one model."""

import json
from pathlib import Path
from typing import Any

from twin.domain.errors import BadDataError
from twin.models.bases.base_models import BaseModelPin
from twin.models.formats.chat_format import ChatFormat
from twin.settings import Settings
from twin.stores.registry import ModelVersion
from twin.stores.weights import fetch_weights, weights_cache

BASE_FILE = "base.json"
"""In an adapter's folder: name and digest of the base that it was trained on."""


CONFIGURATION = "adapter_config.json"
"""PEFT's file, which no other folder has."""


def is_adapter(folder: Path) -> bool:
    """Whether a folder that training made holds an adapter; else it holds a whole model."""
    return (folder / CONFIGURATION).is_file()


def record_base(adapter: Path, base: BaseModelPin, weights_digest: str | None = None) -> None:
    """Write into an adapter's folder which base it is of.

    ``weights_digest`` is that of the base as the file store keeps it, which engines load.
    """
    note = {"base_model": base.name, "base_digest": base.digest}
    if weights_digest is not None:
        note["weights_digest"] = weights_digest
    (adapter / BASE_FILE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
    if not is_adapter(adapter):
        return
    # Where the base lay on the machine that trained is nobody else's business.
    configuration = adapter / CONFIGURATION
    written = json.loads(configuration.read_text("utf-8"))
    written["base_model_name_or_path"] = base.name
    configuration.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


def check_base(adapter: Path, base: BaseModelPin) -> None:
    """Refuse an adapter of another base: its numbers would be added to the wrong ones.

    Raises:
        BadDataError: it is of another base, or does not say of which.
    """
    note = adapter / BASE_FILE
    try:
        said = json.loads(note.read_text("utf-8"))
        name, digest = str(said["base_model"]), str(said["base_digest"])
    except (OSError, ValueError, KeyError, TypeError):
        raise BadDataError(
            f"the adapter {adapter} does not say of which base model it is ({BASE_FILE}): delete "
            "its folder and run `twin training sft` again"
        ) from None
    if digest != base.digest:
        raise BadDataError(
            f"the adapter {adapter} is of base model {name} (digest {digest[:12]}), not of "
            f"{base.name} (digest {base.digest[:12]}): train on this base, or name the other one "
            "in training.base_model"
        )


def check_engines_base(adapter: Path, weights_digest: str) -> None:
    """Refuse an adapter that was not trained on the weights which an engine runs.

    One of another base with layers as large would load, and answer nonsense. Those that do not say
    of which weights they are pass.

    Raises:
        BadDataError: it was trained on others.
    """
    note = adapter / BASE_FILE
    said = json.loads(note.read_text("utf-8")) if note.is_file() else {}
    if said.get("weights_digest", weights_digest) != weights_digest:
        raise BadDataError(
            f"the adapter {adapter} is of base model {said['base_model']} (digest "
            f"{said['weights_digest'][:12]}), and this engine runs another (digest "
            f"{weights_digest[:12]}): package the version again"
        )


def check_can_be_shared(adapter: Path) -> None:
    """Refuse an adapter that no engine loads beside others of its base.

    Raises:
        BadDataError: it changes rows of embedding and head.
    """
    written = json.loads((adapter / CONFIGURATION).read_text("utf-8"))
    if written.get("trainable_token_indices"):
        raise BadDataError(
            f"the adapter {adapter} taught its base model a token, by a row of embedding and head "
            "which versions share: set serving.adapters to merged"
        )


def merge_adapter(base: Path, adapter: Path, target: Path) -> None:
    """Write base and adapter as one model: bf16 safetensors, tokenizer, chat template, licence.

    Where all weights were trained, ``adapter`` holds these, and nothing is added to them.
    Each sum is formed in float32 and rounded once, a layer at a time: the memory that this takes
    is that of the base in bf16.
    """
    import torch
    from transformers import AutoModelForCausalLM

    chat = ChatFormat.load(base)
    model = AutoModelForCausalLM.from_pretrained(
        base if is_adapter(adapter) else adapter,
        local_files_only=True,
        use_safetensors=True,
        dtype=torch.bfloat16,
    )
    (_merged(model, adapter) if is_adapter(adapter) else model).save_pretrained(target)
    chat.tokenizer.save_pretrained(target)
    licence = base / "LICENCE"
    if licence.is_file():
        (target / "LICENCE").write_bytes(licence.read_bytes())


def _merged(model: Any, adapter: Path) -> Any:
    import torch
    from peft import PeftModel
    from peft.tuners.trainable_tokens import TrainableTokensLayer
    from peft.tuners.tuners_utils import BaseTunerLayer

    adapted = PeftModel.from_pretrained(model, adapter)
    for layer in adapted.modules():
        if isinstance(layer, TrainableTokensLayer):
            layer.merge()  # takes the place of rows: there is no sum
        elif isinstance(layer, BaseTunerLayer):
            layer.get_base_layer().float()
            layer.merge()
            layer.get_base_layer().to(torch.bfloat16)
    return adapted.base_model.unload()


def whole_weights(version: ModelVersion, settings: Settings) -> Path:
    """A registered version as one model on this machine, for whatever loads no adapters.

    Of a version that is registered as an adapter, base and adapter are merged here, once.

    Raises:
        BadDataError: base or adapter is missing, has other bytes, or is of another base.
        TryAgainError: the store does not answer, or there is no room.
    """
    weights = fetch_weights(version.weights_uri, version.weights_digest, settings)
    if version.tags.get("weights", "merged") == "merged":
        return weights
    base = fetch_weights(version.tags["base_uri"], version.tags["base_digest"], settings)
    cache = weights_cache(settings)
    size = sum(path.stat().st_size for folder in (base, weights) for path in folder.iterdir())

    def merge(folder: Path) -> None:
        merge_adapter(base, weights, folder)

    return cache.folder(f"{version.weights_digest}-merged", size, merge)
