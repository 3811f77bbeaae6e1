"""Guardrails by models: the classifiers that a recipe names, behind the protocol of the rules."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from twin.models.embedder import Embedder
from twin.models.text_classifier import KeptAlarm, TextClassifier, alarm_of, alarm_probability
from twin.rag.guardrail_head import FILE, HeadClassifier
from twin.rag.guardrails import Hit, Where
from twin.recipes.guardrails import ClassifierSection


class Classifier(Protocol):
    """Says how likely its labels are; safe to share between threads."""

    @property
    def labels(self) -> tuple[str, ...]:
        """All of them."""

    @property
    def alarm(self) -> KeptAlarm | None:
        """What it was trained to meet, if its training says so."""

    def probabilities(self, text: str, /) -> Mapping[str, float]:
        """Of each label, 0 to 1."""


class ClassifierRail:
    """A classifier as a guardrail.

    Args:
        section: which labels count, from where on, and what is done then.
        model: the classifier.

    Raises:
        BadDataError: it lacks a label, or nothing says which of its labels count.
    """

    def __init__(self, section: ClassifierSection, model: Classifier) -> None:
        self._section = section
        self._model = model
        where = f"serving.guardrails.classifiers: {section.name}"
        self._alarm = alarm_of(
            model.alarm, model.labels, section.labels, section.threshold, where=where
        )

    def hits(self, text: str, where: Where) -> list[Hit]:
        """A hit where the labels together are likely enough."""
        place = "passage" if where == "passage" else "question"
        if place not in self._section.places:
            return []
        judged = self._model.probabilities(text)
        score = alarm_probability(judged, self._alarm.labels)
        if score < self._alarm.threshold:
            return []
        label = max(self._alarm.labels, key=judged.__getitem__)
        refuses = self._section.action == "refuse"
        return [Hit(self._section.name, label, refuses, score)]


def load_classifiers(
    sections: Sequence[ClassifierSection], embedder: Embedder
) -> list[ClassifierRail]:
    """The classifiers of a recipe, loaded.

    Args:
        sections: as the recipe names them.
        embedder: the recipe's, which heads read.

    Raises:
        BadDataError: one is not there, lacks a label, or is a head over another embedder.
        BadConfigurationError: torch is not installed, and a folder needs it.
    """
    return [ClassifierRail(section, _load(Path(section.model), embedder)) for section in sections]


def _load(folder: Path, embedder: Embedder) -> Classifier:
    is_head = (folder / FILE).is_file()
    return HeadClassifier(folder, embedder) if is_head else TextClassifier(folder)
