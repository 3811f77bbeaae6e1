"""Models and LoRA adapters as GGUF files, which llama.cpp reads; each is converted once a node."""

import errno
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError
from twin.models.engines.pre_tokenizers import byte_level_name, is_byte_level
from twin.settings import get_settings, inherited_environment

CONVERSION = "1"
"""Part of a file's name: changes when converting gives other bytes."""

_FULL = (f"[Errno {errno.ENOSPC}]", f"[Errno {errno.EDQUOT}]", "requested and")
"""How Python, and NumPy where it was half done, say that a disk is full."""

_MODEL_FILES = ("*.json", "*.safetensors")


def prepare_gguf(folder: Path, quantisation: str, cache: Path) -> Path:
    """The GGUF file of a model folder (safetensors and fast tokenizer), converted at first use.

    Named by the digest of what it is made of; made under a lock and moved into place, so that a
    killed conversion leaves nothing that is taken for a model.

    Args:
        folder: as `twin training package` writes it, or a prepared base model.
        quantisation: f16, bf16, q8_0 or q4_k_m.
        cache: folder in which the files are kept.

    Raises:
        BadDataError: llama.cpp does not know the architecture or how the tokenizer cuts text, or
            cuts it otherwise than the tokenizer does.
        BadConfigurationError: the converter is not installed.
        TryAgainError: no space is left for the file.
    """
    _refuse_unknown_tokenizer(folder)
    digest = _digest(_files(folder, _MODEL_FILES), quantisation)
    target = cache / f"model-{quantisation}-{digest}.gguf"
    with _to_be_made(target) as scratch:
        if scratch is not None:
            from twin.models.engines.llama_server import refuse_other_tokens

            _convert("model", folder, scratch, quantisation)
            refuse_other_tokens(scratch, folder)
    return target


def prepare_gguf_adapter(folder: Path, base: Path, cache: Path) -> Path:
    """The GGUF file of a LoRA adapter (a folder of PEFT) for the base model in ``base``.

    Raises:
        BadDataError: no LoRA adapter of linear layers, or of another base model.
        BadConfigurationError: the converter is not installed.
    """
    wanted = ("adapter_config.json", "adapter_model.safetensors")
    if missing := [name for name in wanted if not (folder / name).is_file()]:
        raise BadDataError(f"{folder} is no LoRA adapter: it lacks {', '.join(missing)}")
    digest = _digest([*(folder / name for name in wanted), base / "config.json"], "adapter")
    target = cache / f"adapter-{digest}.gguf"
    with _to_be_made(target) as scratch:
        if scratch is not None:
            _convert("adapter", folder, scratch, str(base))
    return target


def _refuse_unknown_tokenizer(folder: Path) -> None:
    try:
        described: dict[str, Any] = json.loads((folder / "tokenizer.json").read_bytes())
        if is_byte_level(described):
            byte_level_name(described)
    except OSError:
        raise BadDataError(f"{folder} has no tokenizer.json, which llama.cpp needs") from None
    except (ValueError, KeyError, TypeError) as error:
        raise BadDataError(
            f"{folder} cannot run on llama.cpp: {error}: choose another engine"
        ) from None


def _files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    return sorted(path for pattern in patterns for path in folder.glob(pattern))


def _digest(files: Iterable[Path], kind: str) -> str:
    digest = hashlib.sha256(f"{CONVERSION}\0{kind}\n".encode())
    for path in files:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.name}\0{content}\n".encode())
    return digest.hexdigest()[:32]


@contextmanager
def _to_be_made(target: Path) -> Iterator[Path | None]:
    """A path to write to, which becomes ``target``; None when that is there already."""
    if target.is_file():
        yield None
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_suffix(".lock")):
        if target.is_file():  # another process has just made it
            yield None
            return
        for stale in target.parent.glob(f".{target.stem}-*"):  # left by a killed conversion
            for path in stale.iterdir():
                path.unlink()
            stale.rmdir()
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.stem}-") as scratch:
            file = Path(scratch) / target.name
            yield file
            file.rename(target)


def _convert(what: str, folder: Path, file: Path, option: str) -> None:
    converter = get_settings().gguf_converter.resolve()
    if not (converter / "conversion").is_dir():
        raise BadConfigurationError(
            f"llama.cpp's converter is not in {converter}: run `make setup`, or set "
            "TWIN_GGUF_CONVERTER to the folder in which it is installed"
        )
    command = [sys.executable, "-m", "twin.models.engines.gguf_converter"]
    done = subprocess.run(  # noqa: S603 - ourselves
        [*command, what, str(folder.resolve()), str(file), option],
        env={**inherited_environment(), "PYTHONPATH": str(converter), "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        if any(words in lines[-1] for words in _FULL):
            raise TryAgainError(
                f"no space left for {file}: make some, or name a larger folder with TWIN_HOME (a "
                "pod: a larger volume)"
            )
        raise BadDataError(f"{folder} cannot be converted for llama.cpp: {lines[-1][:300]}")
