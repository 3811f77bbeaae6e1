"""Questions whose answers are known, asked of the endpoint as any caller would."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from twin.domain.errors import BadDataError
from twin.domain.monitoring import Measure, Standing
from twin.domain.sample import InstructSample, Split, draw_key
from twin.domain.written import QuestionKind, missing_facts, refuses
from twin.monitoring.shares import unknown
from twin.recipes import Recipe
from twin.recipes.monitoring import CanaryQuestion
from twin.settings import Settings
from twin.stores.files import open_files
from twin.stores.sample_sets import SampleSets

CANARIES = "canaries"
SEED = 13

Ask = Callable[[str], str]
"""A question to the endpoint's answer. Raises TryAgainError: it does not answer; BadDataError: it
refuses the question."""


@dataclass(frozen=True)
class Asked:
    """A canary question and whether its answer was right."""

    question: str
    right: bool

    @property
    def key(self) -> str:
        """Digest of the question."""
        return hashlib.sha256(self.question.encode()).hexdigest()[:16]


def questions_of(settings: Settings, recipe: Recipe) -> list[CanaryQuestion]:
    """A recipe's canaries: its own, or those drawn of its newest samples.

    Raises:
        TryAgainError: the file store is away.
    """
    section = recipe.monitoring.canaries
    if section.questions:
        return list(section.questions)
    sets = SampleSets(open_files(settings), recipe.name)
    latest = sets.find_latest() if section.drawn else None
    if latest is None:
        return []
    return drawn(sets.instruct(latest.version, Split.TEST), section.drawn)


def drawn(samples: Sequence[InstructSample], count: int) -> list[CanaryQuestion]:
    """Canaries from held-out questions that a person wrote: the same ones as long as they stand."""
    known = [
        each
        for each in samples
        if not each.history and (each.facts or each.kind == QuestionKind.UNANSWERABLE)
    ]
    known.sort(key=lambda each: draw_key(each.id, SEED))
    return [CanaryQuestion(question=each.instruction, facts=each.facts) for each in known[:count]]


def ask_all(questions: Sequence[CanaryQuestion], ask: Ask, refusal: str) -> list[Asked]:
    """Ask every question; one that the endpoint refuses is answered wrong.

    Raises:
        TryAgainError: the endpoint does not answer.
    """
    return [Asked(each.question, _is_right(each, ask, refusal)) for each in questions]


def _is_right(canary: CanaryQuestion, ask: Ask, refusal: str) -> bool:
    try:
        answer = ask(canary.question)
    except BadDataError:
        return False
    if not canary.facts:
        return refuses(answer, refusal)
    return not refuses(answer, refusal) and not missing_facts(answer, canary.facts)


def canaries(asked: Sequence[Asked], before: Mapping[str, bool]) -> Measure:
    """Bad where a question is answered wrong that was answered right before.

    Args:
        asked: at this look.
        before: `Asked.key` to whether it was ever right; others have no baseline yet.
    """
    if not asked:
        return unknown(CANARIES, "there are no questions with known answers: see "
                       "monitoring.canaries of the recipe")  # fmt: skip
    right = sum(each.right for each in asked)
    lost = [each.question for each in asked if before.get(each.key) and not each.right]
    says = f"{right} of {len(asked)} known questions are answered right"
    if lost:
        says += f"; no longer: {lost[0]!r}" + (f" and {len(lost) - 1} more" if lost[1:] else "")
    return Measure(
        name=CANARIES,
        standing=Standing.BAD if lost else Standing.GOOD,
        value=right / len(asked),
        reference=sum(before.get(each.key, each.right) for each in asked) / len(asked),
        count=len(asked),
        says=says,
    )


def remembered(asked: Sequence[Asked], before: Mapping[str, bool]) -> dict[str, bool]:
    """What to compare with next time: a question that was right once should stay right.

    Questions that are no longer asked are left out.
    """
    return {each.key: each.right or before.get(each.key, False) for each in asked}
