"""Labelled texts from JSON Lines or CSV, and their splits, in which no group of texts parts."""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twin.domain.errors import BadDataError
from twin.domain.sample import Split
from twin.recipes import TextClassifierSection
from twin.recipes.places import BESIDE_RECIPE

LEAST_GROUPS = 4
"""Of fewer groups there are no three splits of which two can say anything."""


@dataclass(frozen=True)
class LabelledText:
    """A text, and what it is.

    Attributes:
        text: what is read.
        label: its class.
        group: texts of one group hang together, and are in one split.
        split: where the corpus says it; else None.
    """

    text: str
    label: str
    group: str
    split: Split | None = None


Splits = Mapping[Split, Sequence[LabelledText]]


def read_corpus(path: Path) -> list[LabelledText]:
    """The labelled texts of a file: ``.jsonl``, or ``.csv`` with a header.

    Without a group a text is a group of its own, with those that are equal to it.

    Raises:
        BadDataError: no such file, a line that is no labelled text (it is named), or fewer than
            two labels.
    """
    if not path.is_file():
        raise BadDataError(f"the corpus {path} is no file {BESIDE_RECIPE}")
    texts = [_labelled(row, f"{path}, line {line}") for line, row in _rows(path)]
    labels = sorted({each.label for each in texts})
    if len(labels) < 2:
        raise BadDataError(
            f"{path} has {len(texts)} texts with {len(labels)} label(s): a classifier tells two "
            "or more apart"
        )
    return texts


def split_corpus(
    texts: Sequence[LabelledText], section: TextClassifierSection, seed: int
) -> dict[Split, list[LabelledText]]:
    """The texts by split: as the corpus says, else drawn by group, labels in like shares.

    Args:
        texts: of a corpus.
        section: shares of the splits that the corpus does not name.
        seed: draws them.

    Raises:
        BadDataError: the corpus parts a group, there are too few groups, nothing is left to train
            on, or a label is in one split only.
    """
    _refuse_parted_groups(texts)
    made: dict[Split, list[LabelledText]] = {
        split: [each for each in texts if each.split is split] for split in Split
    }
    free = [each for each in texts if each.split is None]
    whole = len(free or made[Split.TRAIN])  # that the shares are of
    shares = ((Split.TEST, section.test_share), (Split.VALIDATION, section.validation_share))
    for split, share in shares:
        if not made[split]:
            source = free or made[Split.TRAIN]
            if not source:
                raise BadDataError(
                    "no text of the corpus is left to train on: each row's split is test or "
                    "validation; name train, or leave the column empty"
                )
            held_out, rest = _drawn(source, share * whole / len(source), seed)
            made[split] = held_out
            if free:
                free = rest
            else:
                made[Split.TRAIN] = rest
    made[Split.TRAIN] += free
    _check_labels(made)
    return {split: [replace(each, split=split) for each in made[split]] for split in Split}


def corpus_digest(splits: Splits) -> str:
    """SHA-256 (first 12 hex digits) of texts, labels, groups and splits, in any order."""
    lines = sorted(
        json.dumps([split.value, each.group, each.label, each.text])
        for split, texts in splits.items()
        for each in texts
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix == ".csv":
                yield from enumerate(csv.DictReader(file), start=2)
                return
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, json.loads(line)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadDataError(f"{path} can't be read: {error}") from None
    except json.JSONDecodeError as error:
        raise BadDataError(f"{path}, line {number}: no JSON: {error.msg}") from None


def _labelled(row: Any, place: str) -> LabelledText:
    if not isinstance(row, dict):
        raise BadDataError(f"{place}: no object with text and label")
    text, label = row.get("text"), row.get("label")
    if not isinstance(text, str) or not text.strip():
        raise BadDataError(f"{place}: no text")
    if isinstance(label, bool | float | list | dict) or label in (None, ""):
        raise BadDataError(f"{place}: label is {label!r}, and has to be a word or a whole number")
    split = row.get("split") or None
    try:
        named = None if split is None else Split(split)
    except ValueError:
        known = ", ".join(Split)
        raise BadDataError(f"{place}: split is {split!r}, and has to be one of {known}") from None
    group = str(row.get("group") or "") or hashlib.sha256(_folded(text).encode()).hexdigest()[:16]
    return LabelledText(text, str(label), group, named)


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _refuse_parted_groups(texts: Sequence[LabelledText]) -> None:
    held: dict[str, Split | None] = {}
    for each in texts:
        if held.setdefault(each.group, each.split) is not each.split:
            raise BadDataError(
                f"group {each.group!r} of the corpus is in two splits: what is measured would have "
                "been trained on"
            )


def _drawn(
    texts: Sequence[LabelledText], share: float, seed: int
) -> tuple[list[LabelledText], list[LabelledText]]:
    """About a share of the texts by whole groups, labels in like shares; and the rest."""
    from sklearn.model_selection import StratifiedGroupKFold

    groups = [each.group for each in texts]
    if len(set(groups)) < LEAST_GROUPS:
        raise BadDataError(
            f"the corpus has {len(set(groups))} groups to draw a split from: {LEAST_GROUPS} are "
            "the least; label more documents, or name splits in it"
        )
    folds = StratifiedGroupKFold(
        max(2, min(round(1 / share), len(set(groups)))), shuffle=True, random_state=seed
    )
    try:
        _, chosen = next(folds.split(texts, [each.label for each in texts], groups))
    except ValueError as error:  # a label rarer than there are folds
        raise BadDataError(f"the corpus is too small to be split: {error}") from None
    places = set(chosen.tolist())
    return (
        [each for place, each in enumerate(texts) if place in places],
        [each for place, each in enumerate(texts) if place not in places],
    )


def _check_labels(made: Splits) -> None:
    counts = {split: Counter(each.label for each in texts) for split, texts in made.items()}
    for label in sorted({label for each in counts.values() for label in each}):
        lacking = [split.value for split in Split if not counts[split][label]]
        if lacking:
            raise BadDataError(
                f"label {label!r} has no text in the split {lacking[0]}: label more texts of other "
                "groups, or leave it out"
            )
