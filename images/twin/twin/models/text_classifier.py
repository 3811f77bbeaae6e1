"""Sequence classifiers in transformers folders: how likely each label is for a text.

Weights are read from safetensors only, nothing is fetched, and no code of a folder is run.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from twin.domain.errors import BadConfigurationError, BadDataError
from twin.recipes.places import BESIDE_RECIPE
from twin.stores.classifiers import REPORT

#: File of a folder with the labels that the classifier was trained to meet, and their threshold.
ALARM = "alarm.json"

#: Tokens that two windows of a long text share, so that no sentence is seen in halves only.
OVERLAP = 32
#: Windows of a text that are read: of a longer one the first.
MOST_WINDOWS = 16


class KeptAlarm(BaseModel):
    """Labels that a classifier was trained to meet, and from where on it does.

    The threshold is of the labels' probabilities together, and chosen by validation.
    """

    model_config = ConfigDict(frozen=True)

    labels: tuple[str, ...] = Field(min_length=1)
    threshold: float = Field(ge=0, le=1)

    def save(self, folder: Path) -> None:
        """Write it into a classifier's folder."""
        (folder / ALARM).write_text(self.model_dump_json(), encoding="utf-8")


class TextClassifier:
    """A sequence classifier; safe to share between threads.

    Attributes:
        labels: all of them.
        alarm: what it was trained to meet, if its training chose a threshold.

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
                "a classifier needs torch, which this environment lacks: install it, or take the "
                "classifiers (of serving.guardrails or datasets.gates) out of the recipe"
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
        self.alarm = _read_alarm(folder)
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


def _read_alarm(folder: Path) -> KeptAlarm | None:
    path = folder / ALARM
    if not path.is_file():
        return None
    try:
        return KeptAlarm.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise BadDataError(f"{path} can't be read: {error.errors()[0]['msg']}") from None


def alarm_of(
    own: KeptAlarm | None,
    known: Sequence[str],
    labels: Sequence[str],
    threshold: float | None,
    *,
    where: str,
) -> KeptAlarm:
    """Which labels count and from where on: as a recipe says, else as training has chosen.

    Args:
        own: what the classifier was trained to meet.
        known: its labels.
        labels: of the recipe; none: its own.
        threshold: of the recipe; None: its own, and 0.5 for labels that none was chosen for.
        where: the place in the recipe, for errors.

    Raises:
        BadDataError: it lacks a label, or nothing says which count.
    """
    if missing := [each for each in labels if each not in known]:
        raise BadDataError(f"{where} has no label {missing[0]!r}: it has {', '.join(known)}")
    chosen = tuple(labels) or (own.labels if own else ())
    if not chosen:
        raise BadDataError(
            f"{where} was not trained to meet any of its labels: name some in labels, of "
            f"{', '.join(known)}"
        )
    if threshold is None:
        threshold = own.threshold if own and set(own.labels) == set(chosen) else 0.5
    return KeptAlarm(labels=chosen, threshold=threshold)


def alarm_probability(judged: Mapping[str, float], labels: Sequence[str]) -> float:
    """How likely the labels are together; 1 at most, whatever rounding adds."""
    return min(1.0, sum(judged[label] for label in labels))


def weights_digest(folder: Path) -> str:
    """SHA-256 of what decides how a classifier judges: config, tokenizer, weights and alarm.

    Raises:
        BadDataError: no such folder.
    """
    if not folder.is_dir():
        raise BadDataError(f"the classifier {folder} is no folder {BESIDE_RECIPE}")
    digest = hashlib.sha256()
    for path in sorted((*folder.glob("*.json"), *folder.glob("*.safetensors"))):
        if path.name != REPORT:
            digest.update(path.name.encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
