"""A version as ONNX models, which onnxruntime runs: in float32, and in eight bits on processors."""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError
from twin.settings import Settings, inherited_environment
from twin.stores.files import folder_digest
from twin.stores.weights import weights_cache

F32, INT8, STATIC = "onnx-f32", "onnx-int8", "onnx-int8-static"
FORMS = (F32, INT8, STATIC)

BUILDER = "1"
"""Version of this code, part of a model's name on this machine: raise it when results change."""

_PRECISIONS = {F32: "fp32", INT8: "int8"}

Texts = Sequence[Sequence[int]]


def check_packages(settings: Settings) -> Path:
    """The folder of onnxruntime.

    Raises:
        BadConfigurationError: it is not there.
    """
    folder = settings.onnx_packages.resolve()
    if not (folder / "onnxruntime_genai").is_dir():
        raise BadConfigurationError(
            f"an ONNX format needs onnxruntime, which is not in {folder}: run `make onnx`, or set "
            "TWIN_ONNX_PACKAGES to the folder in which it is installed"
        )
    return folder


def prepare_onnx(weights: Path, form: str, settings: Settings, texts: Texts) -> Path:
    """The folder of a model as ONNX on this machine, made at first use.

    Args:
        weights: folder of safetensors.
        form: of `FORMS`.
        settings: where it is kept.
        texts: token ids, by which ``onnx-int8-static`` fixes the ranges of activations.

    Raises:
        BadDataError: the builder does not know the architecture; or there is no text for ranges.
        BadConfigurationError: onnxruntime is not installed.
        TryAgainError: no space is left.
    """
    check_packages(settings)
    if form == STATIC and not texts:
        raise BadDataError(
            f"{STATIC} fixes ranges by samples, and there is none: leave that format out"
        )
    parameters = sum(path.stat().st_size for path in weights.glob("*.safetensors")) // 2
    key = hashlib.sha256(
        json.dumps(
            [BUILDER, folder_digest(weights), form, list(texts) if form == STATIC else []]
        ).encode()
    ).hexdigest()[:32]

    def fill(folder: Path) -> None:
        for left in folder.iterdir():  # by an attempt that was killed
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        if form == STATIC:
            _make_static(weights, folder, settings, texts)
        else:
            _call(settings, "build", str(weights), str(folder), _PRECISIONS[form])

    # In float32, twice while ranges are fixed, of which the smoothed weights are as much again.
    return weights_cache(settings).folder(f"{key}-{form}", 16 * parameters, fill)


def _make_static(weights: Path, folder: Path, settings: Settings, texts: Texts) -> None:
    smooth, whole, said = folder / "smooth", folder / "whole", folder / "texts.json"
    said.write_text(json.dumps(list(texts)), encoding="utf-8")
    _call(settings, "smooth", str(weights), str(smooth), str(said))
    _call(settings, "build", str(smooth), str(whole), _PRECISIONS[F32])
    _call(settings, "quantise", str(whole), str(folder), str(said))
    for made in (smooth, whole):
        shutil.rmtree(made)
    said.unlink()


def score(
    folder: Path, settings: Settings, prompts: Texts, answers: Texts
) -> list[tuple[float, int]]:
    """Sum of log-probabilities (nats) and tokens of each answer, by what onnxruntime computes."""
    texts = [{"prompt": p, "answer": a} for p, a in zip(prompts, answers, strict=True)]
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(texts, file)
        file.flush()
        nats: list[float] = _call(settings, "score", str(folder), file.name)
    return [(each, len(answer)) for each, answer in zip(nats, answers, strict=True)]


def run(folder: Path, settings: Settings, threads: int) -> dict[str, float]:
    """Speed and memory of reading a prompt and writing an answer, with the cache."""
    measured: dict[str, float] = _call(settings, "run", str(folder), str(threads))
    return measured


def _call(settings: Settings, *arguments: str) -> Any:
    """What a process of `twin.training.export.onnx_process` answers."""
    done = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-m", "twin.training.export.onnx_process", *arguments],
        env={
            **inherited_environment(),
            "PYTHONPATH": str(check_packages(settings)),
            "HF_HUB_OFFLINE": "1",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return json.loads(done.stdout.strip().splitlines()[-1])
    reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1][:300]
    if "No space left" in done.stderr:
        raise TryAgainError(
            f"no space left for an ONNX model in {settings.home}: make some, or name a larger "
            "folder with TWIN_HOME"
        )
    raise BadDataError(f"onnxruntime cannot {arguments[0]} {arguments[1]}: {reason}")
