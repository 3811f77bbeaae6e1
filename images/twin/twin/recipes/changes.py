"""``--set training.sft.max_steps=12``: values of one run instead of the recipe's."""

from collections.abc import Sequence
from typing import Any

import yaml

from twin.domain.errors import BadDataError

#: A job may have values of its own in the section of its stage. What other stages read must stay
#: the recipe's: they would not know.
TRAINING = "training"


def parse_changes(assignments: Sequence[str], stage: str = TRAINING) -> dict[str, Any]:
    """Assignments such as ``training.dpo.enabled=false`` as a part of a recipe.

    Args:
        assignments: each is one ``KEY=VALUE``, or several with commas between; values are YAML.
        stage: whose section they are of.

    Raises:
        BadDataError: one is no assignment, is to a key outside of the stage's section, or gives a
            key another value than one before it.
    """
    changes: dict[str, Any] = {}
    for assignment in split_assignments(assignments):
        key, equals, value = assignment.partition("=")
        *sections, last = key.strip().split(".")
        if not equals or not last or sections[:1] != [stage]:
            raise BadDataError(
                f"--set {assignment}: must be KEY=VALUE with a key of the section {stage}, "
                f"as in {stage}.seed=12"
            )
        place = changes
        for section in sections:  # sorted, what is within a section comes before a value of its own
            place = place.setdefault(section, {})
        read = _value(assignment, value)
        if not isinstance(place.get(last, read), dict) and place.get(last, read) != read:
            raise BadDataError(f"--set {assignment}: {key.strip()} has another value too, give one")
        place[last] = read
    return changes


def split_assignments(assignments: Sequence[str]) -> list[str]:
    """The single assignments, each once, sorted: the same changes are the same list."""
    parts = (part.strip() for text in assignments for part in text.split(","))
    return sorted({part for part in parts if part})


def _value(assignment: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise BadDataError(f"--set {assignment}: the value is not YAML") from None
