"""Writes GGUF files with llama.cpp's own converter; runs as a process of its own.

    python -m twin.models.engines.gguf_converter model FOLDER FILE bf16|f16|q8_0|q4_k_m
    python -m twin.models.engines.gguf_converter adapter FOLDER FILE BASE_FOLDER

The converter brings a copy of the package `gguf` that conflicts with the one of this environment,
so it lies in a folder of its own, which `twin.models.engines.gguf` puts before the others on the
path of this process. Weights are the converter's work. The vocabulary is written here, from
`tokenizer.json`: the converter knows byte-level tokenizers by a hash of what they make of one text
and SentencePiece ones by a file that transformers no longer writes.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import gguf
import torch  # noqa: TID253 - a process of its own
from conversion import ModelBase, ModelType, get_model_architecture, get_model_class
from safetensors.torch import load_file

from twin.models.engines.k_quants import q4_k_m, teach_converter
from twin.models.engines.pre_tokenizers import byte_level_name, is_byte_level, prepends_space

UNLEARNED_SCORE = -1e6
"""Score of pieces that no merge makes: SentencePiece would join to them last."""

FILE_TYPES = {
    "f16": gguf.LlamaFileType.MOSTLY_F16,
    "bf16": gguf.LlamaFileType.MOSTLY_BF16,
    "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
    "q4_k_m": gguf.LlamaFileType.MOSTLY_Q4_K_M,
}


def convert_model(folder: Path, file: Path, quantisation: str) -> None:
    """Write the model of a folder (safetensors, fast tokenizer) as one GGUF file."""
    parameters = ModelBase.load_hparams(folder, False)
    kind = _converter_of(parameters)
    types: tuple[type, ...] = ()
    if quantisation == "q4_k_m":
        teach_converter()
        types = (_MixedTypes,)

    class Model(*types, kind):  # type: ignore[misc, valid-type]
        model_arch = kind.model_arch

        def set_vocab(self) -> None:
            _write_vocabulary(self)

        def _create_vocab_sentencepiece(self) -> tuple[list[str], list[float], list[int]]:
            # Asked by Gemma's converter for the number of rows that have a token: all stay.
            return [""] * self.hparams["vocab_size"], [], []

    with torch.inference_mode():
        Model(folder, FILE_TYPES[quantisation], file, hparams=parameters).write()


class _MixedTypes:
    """Of a converter what chooses the type of each matrix."""

    model_tensors: dict[str, Any]
    block_count: int

    def prepare_tensors(self) -> None:
        self.tied = not any(name.endswith("lm_head.weight") for name in self.model_tensors)
        super().prepare_tensors()  # type: ignore[misc]

    def modify_tensors(self, data: Any, name: str, bid: int | None) -> Iterator[tuple[str, Any]]:
        for target, tensor in super().modify_tensors(data, name, bid):  # type: ignore[misc]
            self.width = tensor.shape[-1]
            yield target, tensor

    def tensor_force_quant(self, name: str, target: str, bid: int | None, n_dims: int) -> Any:
        if n_dims < 2:
            return super().tensor_force_quant(name, target, bid, n_dims)  # type: ignore[misc]
        return q4_k_m(target, self.width, bid, self.block_count, tied=self.tied)


def convert_adapter(folder: Path, file: Path, base: Path) -> None:
    """Write a LoRA adapter of PEFT as a GGUF file for the base model of a folder."""
    parameters = ModelBase.load_hparams(base, False)
    configuration = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    kind = _converter_of(parameters)
    adapter = type(
        "Adapter",
        (_AdapterParts, kind),
        {
            "model_arch": kind.model_arch,
            "alpha": _alpha(configuration),
            "pairs": _lora_pairs(load_file(folder / "adapter_model.safetensors")),
        },
    )
    with torch.inference_mode():
        adapter(base, gguf.LlamaFileType.ALL_F32, file, hparams=parameters, eager=True).write()


class _AdapterParts:
    """Of a converter what is otherwise for adapters: their two matrices a weight, and no words."""

    alpha: float
    pairs: dict[str, tuple[Any, Any]]
    gguf_writer: Any

    def set_vocab(self) -> None:
        """An adapter has none."""

    def set_type(self) -> None:
        self.gguf_writer.add_type(gguf.GGUFType.ADAPTER)
        self.gguf_writer.add_string(gguf.Keys.Adapter.TYPE, "lora")

    def set_gguf_parameters(self) -> None:
        self.gguf_writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, self.alpha)

    def generate_extra_tensors(self) -> Iterable[tuple[str, Any]]:
        return ()

    def get_tensors(self) -> Iterator[tuple[str, Any]]:
        yield from ((name, b) for name, (_, b) in self.pairs.items())

    def modify_tensors(self, data: Any, name: str, bid: int | None) -> Iterator[tuple[str, Any]]:
        # What the converter does to a linear layer it does to the rows of its weight (Llama's
        # heads change their order), so B, which has the same rows, goes through it for both.
        a, _ = self.pairs[name]
        try:
            written = list(super().modify_tensors(data, name, bid))  # type: ignore[misc]
        except ValueError:
            raise SystemExit(
                f"the adapter has a matrix for {name}, and its base model no such layer: it is of "
                "another base model"
            ) from None
        for target, rows in written:
            if rows.shape[1] != a.shape[0]:
                raise SystemExit(f"an adapter of {name} cannot be written for llama.cpp")
            yield f"{target}.lora_a", a
            yield f"{target}.lora_b", rows


def _converter_of(parameters: dict[str, Any]) -> Any:
    architecture = get_model_architecture(parameters, ModelType.TEXT)
    try:
        return get_model_class(architecture)
    except NotImplementedError:
        raise SystemExit(f"llama.cpp's converter does not know {architecture}") from None


def _lora_pairs(tensors: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Name of each adapted weight to its matrices A (rank, inputs) and B (outputs, rank)."""
    pairs: dict[str, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        weight, mark, matrix = name.removeprefix("base_model.model.").rpartition(".lora_")
        if mark == "" or matrix not in ("A.weight", "B.weight"):
            raise SystemExit(f"the adapter has {name}, which is no LoRA matrix of a linear layer")
        pairs.setdefault(f"{weight}.weight", {})[matrix[0]] = tensor.float()
    return {name: (pair["A"], pair["B"]) for name, pair in pairs.items()}


def _alpha(configuration: dict[str, Any]) -> float:
    """What llama.cpp divides by the rank: PEFT's rank-stabilised LoRA divides by its root."""
    if configuration.get("alpha_pattern"):
        raise SystemExit("the adapter scales layers apart (alpha_pattern), llama.cpp all alike")
    alpha, rank = float(configuration["lora_alpha"]), int(configuration["r"])
    return alpha * rank**0.5 if configuration.get("use_rslora") else alpha


def _write_vocabulary(model: Any) -> None:
    described = json.loads((model.dir_model / "tokenizer.json").read_text("utf-8"))
    if is_byte_level(described):
        name = byte_level_name(described)
        model.get_vocab_base_pre = lambda _: name
        model._set_vocab_gpt2()
    else:
        _write_sentence_pieces(model, described)


def _write_sentence_pieces(model: Any, described: dict[str, Any]) -> None:
    size = model.hparams["vocab_size"]
    kinds = gguf.TokenType
    tokens = [f"[PAD{index}]" for index in range(size)]
    types = [kinds.UNUSED] * size
    scores = [UNLEARNED_SCORE] * size
    merges = (pair if isinstance(pair, list) else pair.split(" ") for pair in _merges(described))
    ranks: dict[str, int] = {}
    for rank, (left, right) in enumerate(merges):
        ranks.setdefault(left + right, rank)
    for piece, index in described["model"]["vocab"].items():
        tokens[index], types[index] = piece, kinds.NORMAL
        if len(piece) == 6 and piece.startswith("<0x"):
            types[index] = kinds.BYTE
        elif piece in ranks:
            scores[index] = -float(ranks[piece])
    for added in described["added_tokens"]:
        index = added["id"]
        tokens[index] = added["content"]
        types[index] = kinds.CONTROL if added["special"] else kinds.USER_DEFINED
    unknown = described["model"].get("unk_token")
    if unknown in tokens:
        types[tokens.index(unknown)] = kinds.UNKNOWN
    writer = model.gguf_writer
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_add_space_prefix(prepends_space(described))
    gguf.SpecialVocab(model.dir_model, n_vocab=size).add_to_gguf(writer)


def _merges(described: dict[str, Any]) -> list[Any]:
    merges: list[Any] = described["model"]["merges"]
    return merges


if __name__ == "__main__":
    what, source, target, option = sys.argv[1:]
    if what == "model":
        convert_model(Path(source), Path(target), option)
    else:
        convert_adapter(Path(source), Path(target), Path(option))
