"""Which candidates are rejected texts: the hard ones, of lengths that give nothing away.

Hard is what is most like the author's answer, by its words in their order. The likelihood that the
model gives to a text would cost more: each candidate's prompt is read once more for it, where
writing reads it once for all of them. And it says less, since each candidate is likely to the model
that wrote it. Preference training reports that margin as it goes (``rewards/margins``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from twin.domain.length_bias import fairness, length_auc
from twin.domain.sample import InstructSample, is_known_right
from twin.text.likeness import is_same_but_for_ending, likeness, plain_words
from twin.training.candidates import Candidate


class Reason(StrEnum):
    """Why a candidate is in no pair."""

    EMPTY = "empty"
    REPEATED = "the same as another one"
    ALIKE = "the author's answer but for its ending"
    RIGHT = "right"
    NOT_WORSE = "not worse than the author's answer, by the judge"
    NO_VERDICT = "the judge gave no verdict"
    EASIER = "another one of the sample was taken"
    LENGTHS = "left out to balance lengths"


@dataclass(frozen=True)
class Rejected:
    """A text that may be rejected, and how like the author's answer it is (0 to 1)."""

    text: str
    likeness: float


@dataclass(frozen=True)
class Choice:
    """A sample and what may be rejected for it, the hardest first; ``taken`` is the one that is."""

    sample: InstructSample
    options: tuple[Rejected, ...]
    taken: int = 0

    @property
    def rejected(self) -> Rejected:
        """The text that is taken."""
        return self.options[self.taken]

    @property
    def lengths(self) -> tuple[int, int]:
        """Characters of the chosen and of the rejected text."""
        return len(self.sample.answer), len(self.rejected.text)


def choice_of(
    sample: InstructSample, candidates: Sequence[Candidate], refusal: str
) -> tuple[Choice | None, list[Reason]]:
    """What may be rejected for a sample (None if nothing may), and why each other one may not.

    Args:
        sample: whose answer is chosen.
        candidates: what the model wrote to it.
        refusal: the recipe's ``retrieval.dont_know``.
    """
    options: dict[str, Rejected] = {}
    dropped: list[Reason] = []
    for candidate in candidates:
        key = " ".join(plain_words(candidate.text))
        reason = _fault(sample, candidate, refusal)
        if reason is None and key in options:
            reason = Reason.REPEATED
        if reason is None:
            options[key] = Rejected(candidate.text, likeness(sample.answer, candidate.text))
        else:
            dropped.append(reason)
    hardest = sorted(options.values(), key=lambda option: -option.likeness)
    return (Choice(sample, tuple(hardest)) if hardest else None), dropped


def _fault(sample: InstructSample, candidate: Candidate, refusal: str) -> Reason | None:
    if not plain_words(candidate.text):
        return Reason.EMPTY
    if is_same_but_for_ending(sample.answer, candidate.text, is_cut=candidate.is_cut):
        return Reason.ALIKE
    return Reason.RIGHT if is_known_right(sample, candidate.text, refusal) else None


def balanced(choices: Sequence[Choice]) -> tuple[list[Choice], list[Reason]]:
    """The choices whose lengths, chosen against rejected, say next to nothing (`FAIR`).

    Also returned is why each other option is not taken.

    Another candidate is taken where that brings lengths nearer, the one that changes most first, so
    that few samples lose their hardest. If that is not enough, pairs are left out, those that
    differ most first.
    """
    kept = _left(_swapped(choices))
    ids = {choice.sample.id for choice in kept}
    dropped: list[Reason] = []
    for choice in choices:
        is_kept = choice.sample.id in ids
        dropped += [Reason.EASIER if is_kept else Reason.LENGTHS] * (len(choice.options) - is_kept)
    return kept, dropped


def auc_of(choices: Sequence[Choice]) -> float | None:
    """Chance that the chosen text is the longer one; None without choices."""
    return length_auc([choice.lengths for choice in choices])


def _swapped(choices: Sequence[Choice]) -> list[Choice]:
    now = list(choices)
    sign = _bias(now)
    moves = [
        (sign * (len(option.text) - len(choice.rejected.text)), index, number)
        for index, choice in enumerate(now)
        for number, option in enumerate(choice.options)
    ]
    for gain, index, number in sorted(moves, key=lambda move: (-move[0], *move[1:])):
        if gain <= 0 or not _bias(now):
            break
        other = Choice(now[index].sample, now[index].options, number)
        after = [*now[:index], other, *now[index + 1 :]]
        if _distance(after) < _distance(now):
            now = after
    return now


def _left(choices: Sequence[Choice]) -> list[Choice]:
    now = list(choices)
    while sign := _bias(now):
        differences = [sign * (chosen - rejected) for chosen, rejected in _lengths(now)]
        now.pop(differences.index(max(differences)))
    return now


def _lengths(choices: Sequence[Choice]) -> list[tuple[int, int]]:
    return [choice.lengths for choice in choices]


def _bias(choices: Sequence[Choice]) -> int:
    """Which texts are longer than is fair (`fairness`)."""
    return fairness(auc_of(choices))


def _distance(choices: Sequence[Choice]) -> float:
    return abs((auc_of(choices) or 0.0) - 0.5)
