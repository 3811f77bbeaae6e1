"""A model in a GGUF file, turned into bf16 safetensors with a fast tokenizer."""

from pathlib import Path
from typing import Any

from twin.domain.errors import BadDataError
from twin.models.formats.gemma import CHAT_TEMPLATE, END_OF_TURN, START_OF_TURN


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Write the model of a GGUF file into ``folder``: bf16 safetensors, tokenizer, chat template.

    Raises:
        BadDataError: the file is no GGUF file, or of an architecture that transformers can't read.
    """
    architecture = _architecture(gguf)
    folder.mkdir(parents=True, exist_ok=True)
    if architecture == "gemma3":
        _convert_gemma3(gguf, folder)
    else:
        _convert_any(gguf, folder, architecture)


def _architecture(gguf: Path) -> str:
    from transformers.integrations.gguf import read_gguf_metadata

    with gguf.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise BadDataError(f"{gguf} is no GGUF file: it does not begin with the letters GGUF")
    try:
        metadata, _ = read_gguf_metadata(str(gguf))
        return str(metadata["general.architecture"])
    except Exception as error:  # whatever a reader of a broken file stumbles over
        raise BadDataError(f"{gguf}: not a whole GGUF file: {_line(error)}") from None


def _convert_any(gguf: Path, folder: Path, architecture: str) -> None:
    """By transformers' own reader, which knows many architectures and takes about a minute."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            dtype=torch.bfloat16,
            quantization_config=GgufConfig(dequantize=True),
        )
    except (ValueError, KeyError, NotImplementedError) as error:
        raise BadDataError(
            f"{gguf}: architecture {architecture!r} can't be read: {_line(error)}; take the model "
            "as safetensors"
        ) from None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    plain = AutoModelForCausalLM.from_config(model.config).to(torch.bfloat16)
    plain.load_state_dict(model.state_dict())
    plain.generation_config = model.generation_config
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _convert_gemma3(gguf: Path, folder: Path) -> None:
    """A Gemma 3 text model.

    The same weights, bit for bit, as transformers' own ``from_pretrained(gguf_file=…)``, which
    reads the file's 262,144 words three times over and takes about a minute; this takes seconds.
    """
    from transformers.integrations.gguf import read_gguf_metadata

    metadata, _ = read_gguf_metadata(str(gguf))
    _save_weights(gguf, _config(metadata), folder)
    _save_tokenizer(gguf, folder)


def _config(metadata: dict[str, Any]) -> Any:
    """The transformers configuration that the file's metadata describes."""
    from transformers import Gemma3TextConfig
    from transformers.integrations.ggml import GGUF_CONFIG_MAPPING

    known = {
        name: metadata[f"gemma3.{key}"]
        for key, name in GGUF_CONFIG_MAPPING["gemma3"].items()
        if name is not None and f"gemma3.{key}" in metadata
    }
    return Gemma3TextConfig(
        **known,
        vocab_size=metadata["tokenizer.ggml.tokens"],
        bos_token_id=metadata["tokenizer.ggml.bos_token_id"],
        eos_token_id=metadata["tokenizer.ggml.eos_token_id"],
        pad_token_id=metadata["tokenizer.ggml.padding_token_id"],
        tie_word_embeddings=True,
        dtype="bfloat16",
        architectures=["Gemma3ForCausalLM"],
    )


def _save_weights(gguf: Path, config: Any, folder: Path) -> None:
    import numpy as np
    import torch
    from gguf import dequantize
    from safetensors.torch import save_file
    from transformers import Gemma3ForCausalLM, GenerationConfig

    with torch.device("meta"):
        names = _gguf_names(Gemma3ForCausalLM(config))
    weights: dict[str, torch.Tensor] = {}
    for stored in _gguf_tensors(gguf):
        values = torch.from_numpy(np.array(dequantize(stored.data, stored.tensor_type)))
        if stored.name.endswith("norm.weight"):
            values = values - 1  # llama.cpp stores a norm's factor, Gemma its excess over one
        weights[names[stored.name]] = values.to(torch.bfloat16)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(folder)
    GenerationConfig(
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
    ).save_pretrained(folder)


def _gguf_tensors(gguf: Path) -> list[Any]:
    import numpy as np
    from gguf import GGUFReader

    class Reader(GGUFReader):
        """Reads a million little values through an array, not a memory map: four times faster."""

        def _get(self, *args: Any, **kwargs: Any) -> Any:
            self.data: Any = np.asarray(self.data)
            return super()._get(*args, **kwargs)

    return list(Reader(gguf).tensors)


def _gguf_names(model: Any) -> dict[str, str]:
    """Name of each tensor in the GGUF file to its name in the model."""
    from gguf import MODEL_ARCH, get_tensor_name_map

    table = get_tensor_name_map(MODEL_ARCH.GEMMA3, model.config.num_hidden_layers)
    parameters = (name for name, _ in model.named_parameters())
    return {
        f"{table.get_name(name.removesuffix('.weight'))}.weight": name
        for name in parameters
        if not name.startswith("lm_head")
    }


def _save_tokenizer(gguf: Path, folder: Path) -> None:
    from transformers import GemmaTokenizer
    from transformers.integrations.gguf.gguf_tokenizer_mapping import (
        convert_gguf_tokenizer,
        get_gguf_tokenizer,
    )

    architecture, described, configuration = get_gguf_tokenizer(str(gguf))
    backend, _ = convert_gguf_tokenizer(architecture, described)
    tokenizer = GemmaTokenizer(tokenizer_object=backend, **configuration)
    tokenizer.add_special_tokens({"additional_special_tokens": [START_OF_TURN, END_OF_TURN]})
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
