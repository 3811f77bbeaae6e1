"""Two of the ways to run a sentence-transformers folder; `openvino_encoder` is the third.

Most such folders are a transformer, a pooling and perhaps a normalisation. Those run on
`transformers` alone: importing `sentence_transformers` pulls in its trainers, `datasets` and
scikit-learn, which made a cold start four times as slow and twice as large. Whatever else a
folder asks for (dense layers, other poolings) is left to `sentence_transformers` itself.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POOLINGS = ("cls", "mean")

CONVERSION = "int8-2"
"""How models are made 8-bit; part of the embedder's id, as other integers are other vectors."""

PAD_TO = 16
"""Lengths of batches are multiples of this."""


class Encoder(Protocol):
    """A loaded model that turns one batch of texts into vectors."""

    dimension: int
    batch_tokens: int
    """Tokens of a batch, padding included, beyond which it would go no faster."""

    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        """Unit vectors (shape: texts by `dimension`); texts over the limit are cut."""


@runtime_checkable
class TokenEncoder(Protocol):
    """An encoder that can give the vectors of the tokens too."""

    def token_vectors(self, texts: Sequence[str]) -> "list[NDArray[np.float32]]":
        """For each text of one batch the unit vectors of its tokens, special ones included."""


def load_encoder(folder: Path, max_tokens: int) -> Encoder:
    """The lightest encoder that does all that ``folder`` asks for."""
    pooling = simple_pooling(folder)
    if pooling is None:
        return SentenceTransformersEncoder(folder)
    return PoolingEncoder(folder, pooling, max_tokens)


def simple_pooling(folder: Path) -> str | None:
    """The folder's pooling if it is `POOLINGS` over a transformer at the folder's root."""
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    kinds = [module["type"].rsplit(".", 1)[-1] for module in modules]
    if kinds[:2] != ["Transformer", "Pooling"] or kinds[2:] not in ([], ["Normalize"]):
        return None
    if modules[0]["path"] or _changes_texts(folder):
        return None
    config = json.loads((folder / modules[1]["path"] / "config.json").read_text(encoding="utf-8"))
    return _pooling_of(config)


def _changes_texts(folder: Path) -> bool:
    """Whether something is put before a text or done to it ahead of the tokenizer."""
    transformer = read_configuration(folder / "sentence_bert_config.json")
    prompts = read_configuration(folder / "config_sentence_transformers.json").get("prompts") or {}
    return bool(transformer.get("do_lower_case")) or any(prompts.values())


def read_configuration(path: Path) -> dict[str, Any]:
    """One of a folder's JSON files; empty if the folder has none of this name."""
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return data


def _pooling_of(config: dict[str, Any]) -> str | None:
    """Reads both spellings: ``pooling_mode`` and one ``pooling_mode_*`` flag for each."""
    modes = config.get("pooling_mode")
    if modes is None:
        prefix = "pooling_mode_"
        modes = [key.removeprefix(prefix) for key in config if key.startswith(prefix)]
        modes = [mode for mode in modes if config[prefix + mode]]
    modes = [modes] if isinstance(modes, str) else modes
    names = [mode.removesuffix("_tokens").removesuffix("_token") for mode in modes]
    return names[0] if len(names) == 1 and names[0] in POOLINGS else None


class PoolingEncoder:
    """Transformer, then the mean of its token vectors or the first one, then unit length.

    Runs in `half_precision` where the device has one (bfloat16: cosine to float32 at least 0.9999,
    the same neighbours), else in float32. The pooling is always float32.
    """

    def __init__(self, folder: Path, pooling: str, max_tokens: int) -> None:
        import torch
        from tokenizers import Tokenizer
        from transformers import AutoModel
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()  # of loading weights: the command shows its own
        self._torch = torch
        self._pooling = pooling
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = AutoModel.from_pretrained(
            str(folder), dtype=torch.float32, local_files_only=True, use_safetensors=True
        )
        self._model.eval().to(self._device)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(max_tokens)
        # Few different lengths: oneDNN compiles and keeps a kernel for each shape it meets.
        self._tokenizer.enable_padding(
            pad_id=self._model.config.pad_token_id or 0, pad_to_multiple_of=PAD_TO
        )
        self._half = half_precision(self._device)
        self.batch_tokens = 1_024 if self._device.type == "cpu" else 32_768
        self.dimension = int(self._model.config.hidden_size)

    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        """Unit vectors of one batch."""
        torch = self._torch
        with torch.inference_mode():
            pooled = self._pool(*self._states(texts))
            vectors: list[list[float]] = torch.nn.functional.normalize(pooled, dim=1).tolist()
        return vectors

    def token_vectors(self, texts: Sequence[str]) -> "list[NDArray[np.float32]]":
        """For each text of one batch the unit vectors of its tokens, special ones included."""
        torch = self._torch
        with torch.inference_mode():
            states, mask = self._states(texts)
            units = torch.nn.functional.normalize(states, dim=2)
            return [own[kept.bool()].cpu().numpy() for own, kept in zip(units, mask, strict=True)]

    def _states(self, texts: Sequence[str]) -> tuple[Any, Any]:
        """The last hidden states in float32, and the mask of what is no padding."""
        torch = self._torch
        encodings = self._tokenizer.encode_batch(list(texts))
        ids = torch.tensor([encoding.ids for encoding in encodings], device=self._device)
        mask = torch.tensor([encoding.attention_mask for encoding in encodings], device=ids.device)
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, self._half, enabled=self._half is not None),
        ):
            states = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
        return states.float(), mask

    def _pool(self, states: Any, mask: Any) -> Any:
        if self._pooling == "cls":
            return states[:, 0]
        weights = mask.unsqueeze(-1).to(states.dtype)
        return (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)


def half_precision(device: Any) -> Any:
    """The 16-bit type in which a device multiplies faster and as well, or None.

    bfloat16 wherever it is native; float16 on the GPUs before that; on other processors none.
    """
    import torch

    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float16
    return torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() else None


class SentenceTransformersEncoder:
    """Any folder that `sentence_transformers` can load, in float32."""

    batch_tokens = 8_192

    def __init__(self, folder: Path) -> None:
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(
            str(folder), local_files_only=True, model_kwargs={"use_safetensors": True}
        )
        self.dimension = int(self._model.get_embedding_dimension())

    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        """Unit vectors of one batch."""
        vectors: list[list[float]] = self._model.encode(
            list(texts),
            batch_size=len(texts),
            normalize_embeddings=True,
            show_progress_bar=False,
        ).tolist()
        return vectors
