"""What a twin costs in a month: computing by step, answers, teacher, storage."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from twin.domain.seen_answer import SeenAnswer
from twin.stores.run_times import RunTime
from twin.stores.stored_file import StoredFile

GB = 1e9


@dataclass(frozen=True)
class StepCost:
    """All runs of one step."""

    runs: int
    hours: float
    gpu_hours: float


@dataclass(frozen=True)
class Costs:
    """What a twin costs in a month.

    Attributes:
        month: as 2026-05.
        steps: by step.
        price: of a GPU hour.
        answers: that are kept of the month.
        tokens: read and written by one answer, the mean of a sample.
        teacher: tokens that the newest samples took, and their money if there are prices. When
            they were made nothing says, so they are no part of the month's money.
        stored: bytes in the file store now, by folder.
    """

    month: str
    steps: Mapping[str, StepCost]
    price: float = 0.0
    answers: int = 0
    tokens: tuple[float, float] = (0.0, 0.0)
    teacher: tuple[int, float | None] = (0, None)
    stored: Mapping[str, int] = field(default_factory=dict)

    @property
    def gpu_hours(self) -> float:
        """Of all steps."""
        return sum(step.gpu_hours for step in self.steps.values())

    @property
    def money(self) -> float:
        """Of GPU hours."""
        return self.gpu_hours * self.price

    def lines(self) -> Iterator[str]:
        """A table for people."""
        yield f"{'step':<12} {'runs':>6} {'hours':>9} {'GPU hours':>10} {'money':>10}"
        for name, step in sorted(self.steps.items(), key=lambda item: -item[1].gpu_hours):
            yield (
                f"{name:<12} {step.runs:>6} {step.hours:>9.2f} {step.gpu_hours:>10.2f} "
                f"{step.gpu_hours * self.price:>10.2f}"
            )
        total = sum(step.hours for step in self.steps.values())
        runs = sum(step.runs for step in self.steps.values())
        yield (
            f"{'all':<12} {runs:>6} {total:>9.2f} {self.gpu_hours:>10.2f} "
            f"{self.gpu_hours * self.price:>10.2f}"
        )
        yield (
            f"teacher: {self.teacher[0]:,} tokens for the newest samples{_money(self.teacher[1])}, "
            "whenever they were made: no part of the month's money"
        )
        read, written = self.tokens
        yield (
            f"answers: {self.answers:,} kept, {read:,.0f} tokens read and {written:,.0f} written "
            "by each"
        )
        if self.answers:
            yield f"an answer's share of the month: {self.money / self.answers:.4f}"
        for name, size in sorted(self.stored.items(), key=lambda item: -item[1]):
            yield f"stored: {size / GB:9.3f} GB {name}"


def by_step(runs: Iterable[RunTime]) -> dict[str, StepCost]:
    """Runs added up by their step."""
    found: dict[str, StepCost] = {}
    for run in runs:
        before = found.get(run.step, StepCost(0, 0.0, 0.0))
        found[run.step] = StepCost(
            before.runs + 1, before.hours + run.hours, before.gpu_hours + run.gpu_hours
        )
    return found


def stored_by_folder(files: Iterable[StoredFile], recipe: str, model: str) -> dict[str, int]:
    """Bytes of a recipe's own files, by the folder that they are in.

    Args:
        files: of the whole store.
        recipe: name.
        model: name of the registered model.
    """
    own = {recipe, model, f"{recipe}.json", f"{model}.json"}
    found: dict[str, int] = {}
    for file in files:
        parts = file.name.split("/")
        if own.intersection(parts[1:3]):
            found[parts[0]] = found.get(parts[0], 0) + file.size
    return found


def mean_tokens(answers: Sequence[SeenAnswer]) -> tuple[float, float]:
    """Tokens that an answer reads and writes, on average; zeros where there is none."""
    if not answers:
        return 0.0, 0.0
    read = sum(each.prompt_tokens for each in answers)
    written = sum(each.completion_tokens for each in answers)
    return read / len(answers), written / len(answers)


def _money(amount: float | None) -> str:
    return "" if amount is None else f", {amount:.2f} by its prices"
