"""Sequence classifiers in transformers folders: how likely each label is for a text.

Weights are read from safetensors only, nothing is fetched, and no code of a folder is run.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

from twin.domain.errors import BadConfigurationError, BadDataError
from twin.recipes.places import BESIDE_RECIPE

#: Tokens that two windows of a long text share, so that no sentence is seen in halves only.
OVERLAP = 32
#: Windows of a text that are read: of a longer one the first.
MOST_WINDOWS = 16


class TextClassifier:
    """A sequence classifier; safe to share between threads.

    Args:
        folder: with config, tokenizer and weights.

    Raises:
        BadDataError: no such folder, or no weights in safetensors, or no classifier.
        BadConfigurationError: torch is not installed.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise BadDataError(f"the classifier {folder} is no folder {BESIDE_RECIPE}")
        if not any(folder.glob("*.safetensors")):
            raise BadDataError(
                f"{folder} holds no weights in safetensors, and no others are read: convert them"
            )
        try:
            import torch
        except ImportError:
            raise BadConfigurationError(
                "a classifier needs torch, which this environment lacks: install it, or take "
                "serving.guardrails.classifiers out of the recipe"
            ) from None
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model: Any = AutoModelForSequenceClassification.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
            ).eval()
        except (OSError, ValueError, KeyError) as error:
            raise BadDataError(f"{folder} is no sequence classifier: {error}") from None
        config = self._model.config
        self.labels = tuple(str(config.id2label[index]) for index in range(config.num_labels))
        self._several = config.problem_type == "multi_label_classification"
        longest = getattr(config, "max_position_embeddings", None) or 512
        self._longest = min(longest, self._tokenizer.model_max_length, 512)
        self._probabilities = lru_cache(maxsize=4_096)(self._judged)

    def probabilities(self, text: str) -> dict[str, float]:
        """How likely each label is, 0 to 1: the highest of a long text's windows."""
        return dict(zip(self.labels, self._probabilities(text), strict=True))

    def _judged(self, text: str) -> tuple[float, ...]:
        import torch

        windows = self._tokenizer(
            text,
            truncation=True,
            max_length=self._longest,
            stride=min(OVERLAP, self._longest // 4),
            return_overflowing_tokens=True,
            padding=True,
            return_tensors="pt",
        )
        given = {
            name: windows[name][:MOST_WINDOWS]
            for name in ("input_ids", "attention_mask", "token_type_ids")
            if name in windows
        }
        with torch.inference_mode():
            scores = self._model(**given).logits
        judged = scores.sigmoid() if self._several else scores.softmax(-1)
        return tuple(judged.max(0).values.tolist())
