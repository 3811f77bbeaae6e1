"""Whether a folder holds a base model that can be trained and served, in plain words."""

import hashlib
import json
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from twin.domain.errors import BadDataError
from twin.stores.files import file_digest, listing_digest

#: The files of a model that are loaded, and so what its digest is of.
LOADED = ("*.json", "*.safetensors", "*.jinja", "tokenizer.model")

#: Formats whose loading may run code that came with them.
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")

_NEEDED = {
    "config.json": "config.json",
    "tokenizer.json": "a tokenizer (tokenizer.json)",
    "*.safetensors": "safetensors weights",
}


@dataclass(frozen=True)
class ModelFacts:
    """What configuration and weights' headers say of a model.

    Attributes:
        architecture: class of transformers, e.g. ``LlamaForCausalLM``.
        parameters: numbers in the weights.
        context_tokens: longest text that it was trained for; 0 if the configuration doesn't say.
    """

    architecture: str
    parameters: int
    context_tokens: int


def check_folder(folder: Path) -> Path:
    """The folder, if it has a decoder's configuration, a tokenizer and safetensors weights.

    Raises:
        BadDataError: something is missing, or it is another kind of model.
    """
    missing = [words for pattern, words in _NEEDED.items() if not any(folder.glob(pattern))]
    names = [path.name for path in folder.iterdir() if path.is_file()]
    if "adapter_config.json" in names and "config.json" not in names:
        raise BadDataError(f"{folder} is an adapter, no base model: give the model that it adapts")
    if "safetensors weights" in missing:
        refuse_pickles(str(folder), names)
    if missing:
        raise BadDataError(f"{folder} is no base model: it lacks {', '.join(missing)}")
    check_config(str(folder), read_config(folder))
    return folder


def refuse_pickles(model: str, names: Iterable[str]) -> None:
    """Refuse a model whose weights there are as pickles only.

    Raises:
        BadDataError: it is one.
    """
    names = sorted(names)
    pickles = [name for name in names if name.endswith(PICKLES)]
    if pickles and not any(name.endswith(".safetensors") for name in names):
        raise BadDataError(
            f"{model} has its weights as a pickle ({pickles[0]}), which can run code of others "
            "when it is loaded: only safetensors are taken; look for a revision or a copy of the "
            "model that has them"
        )


def read_config(folder: Path) -> dict[str, Any]:
    """The model's ``config.json``.

    Raises:
        BadDataError: it is not JSON, or no object.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise BadDataError(f"{path}: not JSON: {error}") from None
    if not isinstance(config, dict):
        raise BadDataError(f"{path}: not the configuration of a model")
    return config


def check_config(model: str, config: dict[str, Any]) -> str:
    """The architecture that a configuration names, if it is a decoder that transformers has.

    Raises:
        BadDataError: it is an encoder, a model of text and images, or one that comes with code.
    """
    named = [str(name) for name in config.get("architectures") or []]
    kind = str(config.get("model_type", ""))
    decoder = next((name for name in named if _is_decoder(name, config)), None)
    if decoder is None:
        what = ", ".join(named) or f"model_type {kind!r} without architectures"
        raise BadDataError(
            f"{model} is no decoder of text (its config.json says {what}): take a causal language "
            "model, whose architecture ends with ForCausalLM"
        )
    from transformers import __version__
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    if kind not in CONFIG_MAPPING_NAMES:
        raise BadDataError(
            f"{model}: transformers {__version__} does not know model_type {kind!r}; code that "
            "comes with a model is never run, so take a model of a known architecture"
        )
    return decoder


def _is_decoder(architecture: str, config: dict[str, Any]) -> bool:
    if config.get("is_encoder_decoder"):
        return False
    if architecture.endswith("ForCausalLM"):
        return True
    old = architecture.endswith("LMHeadModel")
    return old and (architecture.startswith("GPT") or bool(config.get("is_decoder")))


def model_facts(folder: Path) -> ModelFacts:
    """What a model's configuration and weights say of it; reads the weights' headers only.

    Raises:
        BadDataError: they can't be read.
    """
    config = read_config(folder)
    shapes = (shape for path in folder.glob("*.safetensors") for shape in _shapes(path))
    return ModelFacts(
        architecture=check_config(str(folder), config),
        parameters=sum(prod(shape) for shape in shapes),
        context_tokens=int(config.get("max_position_embeddings") or 0),
    )


def _shapes(path: Path) -> Iterator[list[int]]:
    """Shapes of a safetensors file's tensors, by its header: its length, then JSON."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, path.stat().st_size)))
        end = max(entry["data_offsets"][1] for name, entry in header.items() if name[:2] != "__")
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadDataError(f"{path}: not a safetensors file: {error}") from None
    if path.stat().st_size != 8 + length + end:
        raise BadDataError(f"{path}: not whole: fetch or copy the model again")
    yield from (entry["shape"] for name, entry in header.items() if name != "__metadata__")


def loaded_listing(folder: Path) -> list[Path]:
    """The files of a model that are loaded, by name."""
    paths = (path for pattern in LOADED for path in folder.glob(pattern))
    return sorted(path for path in paths if not path.name.startswith("."))


def digest_of(digests: dict[str, str]) -> str:
    """A model's digest by name and SHA-256 of its files; those that are not loaded don't count."""
    from fnmatch import fnmatch

    return listing_digest(
        {
            name: {"sha256": digest}
            for name, digest in digests.items()
            if any(fnmatch(name, pattern) for pattern in LOADED)
        }
    )


def folder_model_digest(folder: Path, notes: Path) -> str:
    """SHA-256 (hex) over names and contents of the files that are loaded.

    It is kept under ``notes`` and found again while sizes and times of the files stay the same.
    """
    files = loaded_listing(folder)
    stamp = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    note = notes / f"{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(note.read_text("utf-8"))
        if known["stamp"] == stamp:
            return str(known["digest"])
    digest = digest_of({path.name: file_digest(path) for path in files})
    with suppress(OSError):  # where nothing can be kept, it is read again next time
        notes.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({"stamp": stamp, "digest": digest}), encoding="utf-8")
    return digest
