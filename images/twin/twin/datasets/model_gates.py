"""Gates that a model decides: by the embedder, by words, by trained classifiers, by the judge."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from twin.datasets.gates import Gate, Reason, Rejected
from twin.domain.sample import InstructSample
from twin.models.embedder import Embedder
from twin.models.text_classifier import TextClassifier, alarm_of, alarm_probability
from twin.rag.marks import Marked, Marker, Marks
from twin.recipes.datasets import ClassifierGateSection
from twin.text.sentences import sentences


def relevance_gate(embedder: Embedder, least: float) -> Gate:
    """Instruction and answer have to be near in meaning.

    Args:
        embedder: whose vectors tell.
        least: cosine below which the answer is not about what is asked.
    """

    def gate(samples: Sequence[InstructSample]) -> list[Rejected]:
        found = cosines(embedder, samples)
        return [
            Rejected(sample, Reason.IRRELEVANT, f"cosine {cosine:.2f}")
            for sample, cosine in zip(samples, found, strict=True)
            if cosine < least
        ]

    return gate


def cosines(embedder: Embedder, samples: Sequence[InstructSample]) -> list[float]:
    """How near each sample's instruction and answer are in meaning."""
    import numpy as np

    if not samples:
        return []
    answers = list(dict.fromkeys(sample.answer for sample in samples))
    place = {answer: number for number, answer in enumerate(answers)}
    held = np.asarray(embedder.encode(answers), dtype=np.float32)
    asked = np.asarray(
        embedder.encode_questions([sample.instruction for sample in samples]), dtype=np.float32
    )
    rows = held[[place[sample.answer] for sample in samples]]
    return [float(cosine) for cosine in (asked * rows).sum(axis=1)]


def toxicity_gate(least: float) -> Gate:
    """No sentence may be offensive, by English words: of other languages it sees nothing.

    Args:
        least: probability from which a sentence is offensive.
    """

    def gate(samples: Sequence[InstructSample]) -> list[Rejected]:
        texts = {
            sample.id: (*sentences(sample.instruction), *sentences(sample.answer))
            for sample in samples
        }
        worst = _worst([each for said in texts.values() for each in said])
        return [
            Rejected(sample, Reason.TOXIC, f"{probability:.2f}: {sentence}")
            for sample in samples
            for probability, sentence in sorted((worst[each], each) for each in texts[sample.id])[
                -1:
            ]
            if probability >= least
        ]

    return gate


def classifier_gate(section: ClassifierGateSection, advance: Callable[[int], None]) -> Gate:
    """No part of a sample that is read may be what a classifier is to meet.

    Args:
        section: which classifier, labels and threshold.
        advance: is told of samples that are done.

    Raises:
        BadDataError: no such classifier, or it lacks a label.
        BadConfigurationError: torch is not installed.
    """
    model = TextClassifier(Path(section.model))
    where = f"datasets.gates.classifiers: {section.name}"
    alarm = alarm_of(model.alarm, model.labels, section.labels, section.threshold, where=where)

    def score(text: str) -> float:
        return alarm_probability(model.probabilities(text), alarm.labels)

    def gate(samples: Sequence[InstructSample]) -> list[Rejected]:
        rejected = []
        for sample in samples:
            scores = {part: score(getattr(sample, part)) for part in section.reads}
            worst = max(scores, key=scores.__getitem__)
            if scores[worst] >= alarm.threshold:
                detail = f"{section.name}: {worst} {scores[worst]:.2f}"
                rejected.append(Rejected(sample, Reason.CLASSIFIED, detail))
            advance(1)
        return rejected

    return gate


def marks_gate(marker: Marker, least: int, advance: Callable[[int], None]) -> Gate:
    """The judge has to give so many marks for relevance and for quality.

    Args:
        marker: asks the judge.
        least: marks, from 1 to 5.
        advance: is told of so many replies that have come.
    """

    def gate(samples: Sequence[InstructSample]) -> list[Rejected]:
        asked = [
            (Marked(each.instruction, each.context, each.answer), each.document_id)
            for each in samples
        ]
        found = marker.mark(asked, advance)
        return [
            Rejected(sample, Reason.POOR, _told(marks))
            for sample, marks in zip(samples, found, strict=True)
            if marks is None or min(marks.relevance, marks.quality) < least
        ]

    return gate


def _told(marks: Marks | None) -> str:
    if marks is None:
        return "no marks that can be read"
    return f"relevance {marks.relevance}, quality {marks.quality}: {marks.reason}"


def _worst(texts: Sequence[str]) -> dict[str, float]:
    """How likely each text is offensive."""
    distinct = list(dict.fromkeys(texts))
    if not distinct:
        return {}
    found = _classifier()(distinct)
    return {text: float(probability) for text, probability in zip(distinct, found, strict=True)}


@cache
def _classifier() -> Callable[[Sequence[str]], Sequence[float]]:
    from profanity_check import predict_prob

    classify: Callable[[Sequence[str]], Sequence[float]] = predict_prob
    return classify
