"""What a sample must pass before anything is trained on it, whoever made it.

What a person wrote passes all of these: a machine does not overrule people. Each sample that does
not pass is kept with the first reason that speaks against it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from twin.datasets.audit_texts import holds_placeholder, holds_special_token, is_an_assistants
from twin.datasets.held_out import HeldOut
from twin.domain.sample import InstructSample, Split


class Reason(StrEnum):
    """Why a sample is left out."""

    ASSISTANT = "an assistant speaks in it"
    SPECIAL_TOKEN = "a special token of a model family"  # noqa: S105 - no secret
    PLACEHOLDER = "a placeholder that nothing was filled into"
    TOXIC = "offensive"
    HELD_OUT = "asks what models are measured by"
    IRRELEVANT = "the answer is not about what is asked"
    POOR = "the judge's marks are too low"
    CLASSIFIED = "a classifier speaks against it"
    LANGUAGE = "in another language than the passage"
    LENGTH = "too short or too long"
    GIVES_AWAY = "the instruction repeats its answer"
    POINTS = "speaks of the passage that the reader does not see"
    REPEATED = "asked before"
    COPY = "repeats the passage"
    UNSUPPORTED = "says what the passages do not say"
    REFUSES = "refuses"


@dataclass(frozen=True)
class Rejected:
    """A sample that is left out, why, and by which figure or words if any."""

    sample: InstructSample
    reason: Reason
    detail: str = ""


@dataclass(frozen=True)
class Passed:
    """What gates have made of samples."""

    kept: list[InstructSample]
    rejected: list[Rejected]


class Gate(Protocol):
    """Looks at many samples at once, since what needs a model costs less so."""

    def __call__(self, samples: Sequence[InstructSample]) -> list[Rejected]:
        """The samples that do not pass."""


def by_rule(samples: Sequence[InstructSample]) -> list[Rejected]:
    """What plain rules find: the faults that an audit counts."""
    return [
        Rejected(sample, reason)
        for sample in samples
        if (reason := _fault(sample.instruction, sample.answer)) is not None
    ]


def held_out_gate(held_out: HeldOut) -> Gate:
    """The gate against training on what models are measured by."""

    def gate(samples: Sequence[InstructSample]) -> list[Rejected]:
        return [
            Rejected(sample, Reason.HELD_OUT, asked)
            for sample in samples
            if sample.split is Split.TRAIN
            and (asked := held_out.like(sample.instruction, sample.answer))
        ]

    return gate


def pass_gates(samples: Sequence[InstructSample], gates: Iterable[Gate]) -> Passed:
    """The samples that pass every gate, in their order, and the others.

    Args:
        samples: of any makers.
        gates: the cheap ones first: a later one sees only what has passed the earlier.
    """
    rejected: list[Rejected] = []
    open_ones = [sample for sample in samples if not sample.is_by_person]
    for gate in gates:
        found = gate(open_ones)
        gone = {each.sample.id for each in found}
        open_ones = [sample for sample in open_ones if sample.id not in gone]
        rejected += found
    gone = {each.sample.id for each in rejected}
    return Passed([sample for sample in samples if sample.id not in gone], rejected)


def _fault(instruction: str, answer: str) -> Reason | None:
    tests: tuple[tuple[Reason, Callable[[str], bool]], ...] = (
        (Reason.ASSISTANT, is_an_assistants),
        (Reason.SPECIAL_TOKEN, holds_special_token),
        (Reason.PLACEHOLDER, holds_placeholder),
    )
    return next(
        (reason for reason, test in tests if any(map(test, (instruction, answer)))),
        None,
    )
