"""Texts of a JSON Lines file, labelled by a classifier."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from twin.domain.errors import BadDataError
from twin.models.text_classifier import TextClassifier, alarm_probability


def predict_file(
    classifier: TextClassifier, source: Path, target: Path, advance: Callable[[int], None]
) -> int:
    """Write each row of ``source`` with its label and the labels' probabilities; returns how many.

    ``target`` is written whole or not at all.

    Args:
        classifier: that labels.
        source: JSON Lines with ``text``; other keys are kept.
        target: gets ``label``, ``probabilities`` and, where the classifier has a threshold,
            ``alarm`` beside them.
        advance: is told of rows that are done.

    Raises:
        BadDataError: a line is no JSON object with a text, or a file can't be read or written.
    """
    partial = target.with_name(f".{target.name}.part")
    count = 0
    try:
        with partial.open("w", encoding="utf-8") as file:
            for row in _rows(source):
                labelled = {**row, **_judged(classifier, row["text"])}
                file.write(json.dumps(labelled, ensure_ascii=False) + "\n")
                count += 1
                advance(1)
        partial.replace(target)
    except OSError as error:
        raise BadDataError(f"{error.filename or target}: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)
    return count


def _judged(classifier: TextClassifier, text: str) -> dict[str, Any]:
    probabilities = classifier.probabilities(text)
    found: dict[str, Any] = {
        "label": max(probabilities, key=probabilities.__getitem__),
        "probabilities": {label: round(value, 6) for label, value in probabilities.items()},
    }
    if (alarm := classifier.alarm) is not None:
        found["alarm"] = alarm_probability(probabilities, alarm.labels) >= alarm.threshold
    return found


def _rows(source: Path) -> Iterator[dict[str, Any]]:
    with source.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise BadDataError(f"{source}, line {number}: no JSON: {error.msg}") from None
            if not isinstance(row, dict) or not isinstance(row.get("text"), str):
                raise BadDataError(f"{source}, line {number}: no object with a text")
            yield row
