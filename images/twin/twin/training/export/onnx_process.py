"""Builds, quantises, scores and times ONNX models; runs as a process of its own.

    python -m twin.training.export.onnx_process build FOLDER TARGET fp32|int8
    python -m twin.training.export.onnx_process smooth FOLDER TARGET TEXTS
    python -m twin.training.export.onnx_process quantise SOURCE TARGET TEXTS
    python -m twin.training.export.onnx_process score FOLDER TEXTS
    python -m twin.training.export.onnx_process run FOLDER THREADS

A process each: onnxruntime lies in a folder of its own, which `twin.training.export.onnx_forms`
puts on the path, and memory that one model took is not given back before the next. TEXTS is a file
of JSON, a list of token ids (smooth, quantise), or of prompts and answers as token ids (score). The
last line that is printed is JSON too.
"""

import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np  # noqa: TID253 - a process of its own
import onnxruntime
import onnxruntime_genai

from twin.training.export.measured_run import (
    PROMPT_TEXT,
    PROMPT_TOKENS,
    WRITTEN_TOKENS,
    peak_memory_bytes,
)

MODEL = "model.onnx"
HEAD = "/lm_head/MatMul"
"""What the builder calls the product with the head."""
WARM_UP = 4
"""Tokens that are written before the clock starts."""


def build(folder: Path, target: Path, precision: str) -> None:
    """Write a model folder as ONNX: one graph that reads and extends its cache of keys and values.

    Args:
        folder: of safetensors, as transformers saves them.
        target: gets the graph, ``genai_config.json`` and the tokenizer.
        precision: ``fp32``, or ``int8``: weights in blocks of eight bits, and activations packed
            into eight bits as they come.
    """
    from onnxruntime_genai.models import builder

    builder.Gemma3Model = _gemma3(builder.Gemma3Model)
    cache = str(target / "cache")
    options = builder.parse_extra_options("", str(folder), str(target), precision, "cpu", cache, [])
    builder.create_model("", str(folder), str(target), precision, "cpu", cache, **options)
    shutil.rmtree(cache, ignore_errors=True)


def _gemma3(known: Any) -> Any:
    """The builder's Gemma 3, which expects the configuration that transformers 4 wrote.

    Since transformers 5 it says by kind of layer how positions are rotated.
    """

    class Gemma3(known):
        def __init__(self, config: Any, *args: Any) -> None:
            by_kind = config.rope_parameters
            if "full_attention" in by_kind:
                config.rope_local_base_freq = by_kind["sliding_attention"]["rope_theta"]
                config.rope_theta = by_kind["full_attention"]["rope_theta"]
                config.rope_parameters = by_kind["full_attention"]
            super().__init__(config, *args)

    return Gemma3


def smoothed(folder: Path, target: Path, texts: Sequence[Sequence[int]]) -> None:
    """Write a model folder anew, in float32 and equal, with activations that are easier to pack."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from twin.training.export.smoothing import smooth

    model = AutoModelForCausalLM.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
    )
    smooth(model, texts)
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(folder, local_files_only=True).save_pretrained(target)


class _Session:
    """A graph that is asked for the scores of whole texts."""

    def __init__(self, folder: Path) -> None:
        decoder = json.loads((folder / "genai_config.json").read_text("utf-8"))["model"]["decoder"]
        self._session = onnxruntime.InferenceSession(str(folder / MODEL))
        self._names = [each.name for each in self._session.get_inputs()]
        self._window = int(decoder.get("sliding_window", {}).get("window_size", 1))
        self._size = (int(decoder["num_key_value_heads"]), int(decoder["head_size"]))

    def feed(self, ids: Sequence[int]) -> dict[str, Any]:
        """Inputs for a text by itself: of a cache with room for it, which is empty."""
        heads, width = self._size
        room = max(self._window, len(ids))
        row = np.asarray([ids], dtype=np.int64)
        made = {"input_ids": row, "attention_mask": np.ones_like(row)}
        if "position_ids" in self._names:
            made["position_ids"] = np.arange(len(ids), dtype=np.int64)[None]
        empty = np.zeros((1, heads, room, width), dtype=np.float32)
        return made | {name: empty for name in self._names if name.startswith("past_key_values")}

    def log_likelihood(self, prompt: Sequence[int], answer: Sequence[int]) -> float:
        """Sum of the log-probabilities (nats) of an answer's tokens."""
        [logits] = self._session.run(["logits"], self.feed([*prompt, *answer]))
        scores = logits[0, len(prompt) - 1 : -1].astype(np.float64)
        scores -= scores.max(axis=-1, keepdims=True)
        said = scores[np.arange(len(answer)), list(answer)]
        return float((said - np.log(np.exp(scores).sum(axis=-1))).sum())


def quantise(source: Path, target: Path, texts: Sequence[Sequence[int]]) -> None:
    """Pack weights and activations of the layers' products into eight bits, by fixed ranges.

    The head stays in float32: as one matrix with the embedding it would be unpacked for each word.

    Args:
        source: folder that `build` has made in ``fp32``.
        target: folder of the same kind.
        texts: token ids, whose activations' smallest and largest values are the ranges.
    """
    from onnxruntime import quantization

    session = _Session(source)
    feeds = (session.feed(text) for text in texts)

    class Feeds(quantization.CalibrationDataReader):
        """One text after the other."""

        def get_next(self) -> dict[str, Any] | None:
            return next(feeds, None)

    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if not path.name.startswith(MODEL):
            shutil.copyfile(path, target / path.name)
    quantization.quantize_static(
        str(source / MODEL),
        str(target / MODEL),
        Feeds(),
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        calibrate_method=quantization.CalibrationMethod.MinMax,
        use_external_data_format=True,
        nodes_to_exclude=[HEAD],
        # Products come out in float32: ranges of what they make took most of what was lost.
        extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul"]},
    )


def score(folder: Path, texts: Sequence[dict[str, list[int]]]) -> list[float]:
    """The log-likelihood (nats) of each answer, from what the graph itself computes."""
    session = _Session(folder)
    return [session.log_likelihood(text["prompt"], text["answer"]) for text in texts]


def run(folder: Path, threads: int) -> dict[str, float]:
    """Read one prompt and write one answer with the cache, after a short one that warms up."""
    config = onnxruntime_genai.Config(str(folder))
    options = {"session_options": {"intra_op_num_threads": threads}}
    config.overlay(json.dumps({"model": {"decoder": options}}))
    model = onnxruntime_genai.Model(config)
    ids = onnxruntime_genai.Tokenizer(model).encode(PROMPT_TEXT)[:PROMPT_TOKENS]
    written = json.loads((folder / "genai_config.json").read_text("utf-8"))
    room = min(1024, int(written["model"]["context_length"]))
    _write(model, ids[:8], WARM_UP, room)
    read, wrote = _write(model, ids, WRITTEN_TOKENS, room)
    return {
        "prompt_tokens_per_second": len(ids) / read,
        "tokens_per_second": WRITTEN_TOKENS / wrote,
        "peak_memory_bytes": peak_memory_bytes(),
    }


def _write(model: Any, prompt: Any, tokens: int, room: int) -> tuple[float, float]:
    """Seconds of reading a prompt, and of writing so many tokens, the likeliest, without an end."""
    parameters = onnxruntime_genai.GeneratorParams(model)
    parameters.set_search_options(max_length=room, min_length=room, do_sample=False)
    generator = onnxruntime_genai.Generator(model, parameters)
    began = time.perf_counter()
    generator.append_tokens(prompt)
    generator.generate_next_token()
    read = time.perf_counter()
    for _ in range(tokens):
        generator.generate_next_token()
    return read - began, time.perf_counter() - read


def _main(what: str, *arguments: str) -> Any:
    if what == "build":
        return build(Path(arguments[0]), Path(arguments[1]), arguments[2])
    if what == "run":
        return run(Path(arguments[0]), int(arguments[1]))
    texts = json.loads(Path(arguments[-1]).read_text("utf-8"))
    if what == "smooth":
        return smoothed(Path(arguments[0]), Path(arguments[1]), texts)
    if what == "quantise":
        return quantise(Path(arguments[0]), Path(arguments[1]), texts)
    return score(Path(arguments[0]), texts)


if __name__ == "__main__":
    print(json.dumps(_main(*sys.argv[1:])))
