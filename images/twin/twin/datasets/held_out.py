"""Questions that models are measured by, and whether a sample would teach one of them.

A question is the same as another if they have nearly all their words in common, in any order and
case; an answer is taken from one if it is mostly made of its words in a row.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import yaml

from twin.domain.errors import BadDataError
from twin.text.shingles import Shingle, is_copy, shingles
from twin.text.words import words as words_of

ALIKE = 0.8
"""Share of the words of two questions that they have in common (Jaccard) from which they are the
same."""


class HeldOut:
    """Questions and answers that nothing may be trained on.

    Args:
        questions: as they are asked.
        answers: of those, where they are known; a short one is nobody's own.
    """

    def __init__(self, questions: Iterable[str], answers: Iterable[str] = ()) -> None:
        self._questions = list(dict.fromkeys(questions))
        self._words = [frozenset(words_of(each.casefold())) for each in self._questions]
        self._holders: dict[str, list[int]] = defaultdict(list)
        for place, held in enumerate(self._words):
            for word in held:
                self._holders[word].append(place)
        self._answers = set[Shingle]().union(*map(shingles, answers))

    def __len__(self) -> int:
        """How many questions there are."""
        return len(self._questions)

    def like(self, instruction: str, answer: str) -> str:
        """The question that an instruction asks once more, or the words "its answer"; else ""."""
        asked = frozenset(words_of(instruction.casefold()))
        common = Counter(place for word in asked for place in self._holders.get(word, ()))
        for place, count in common.most_common():
            if count / len(asked | self._words[place]) >= ALIKE:
                return self._questions[place]
            if count < ALIKE * len(asked):
                break
        is_taken = self._answers and is_copy(shingles(answer), self._answers)
        return "its answer" if is_taken else ""


def read_questions(path: Path) -> list[str]:
    """The questions of an evaluation set: JSON Lines or YAML with a field ``question`` each.

    Raises:
        BadDataError: the file can't be read, or holds none.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix in {".jsonl", ".ndjson"}:
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            rows = yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise BadDataError(
            f"datasets.gates.evaluation_sets: {path} can't be read: {reason}"
        ) from None
    asked = [row.get("question") for row in rows if isinstance(row, dict)] if rows else []
    found = [each for each in asked if isinstance(each, str) and each.strip()]
    if not found:
        raise BadDataError(
            f"datasets.gates.evaluation_sets: {path} has no entry with a field question"
        )
    return found
