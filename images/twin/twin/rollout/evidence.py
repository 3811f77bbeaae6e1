"""What the endpoint has seen of a new version since its rollout began, metric by metric."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from twin.recipes.rollout import AnalysisSection
from twin.rollout.analysis import Measured, measured
from twin.stores.endpoint import Endpoint


@dataclass
class Evidence:
    """The analysis of one rollout.

    Attributes:
        endpoint: tells what it has seen.
        model: registered model.
        new: version that is brought in.
        old: version that serves; None: there is none.
        sections: what is compared.
        since: the rollout's begin.
        answers: of the new version, that callers or mirrored questions have got so far.
    """

    endpoint: Endpoint
    model: str
    new: str
    old: str | None
    sections: Sequence[AnalysisSection]
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    answers: int = 0

    def look(self) -> list[Measured]:
        """Every metric as far as it is known now.

        Raises:
            TryAgainError: a replica of the router does not answer.
        """
        if not self.sections:
            return []
        reports = self.endpoint.reports(self.model, self.since)
        observations = sorted(
            (item for report in reports for item in report.observations), key=lambda item: item.time
        )
        verdicts = [item for report in reports for item in report.verdicts]
        self.answers = sum(item.version == self.new for item in observations)
        return [
            measured(section, observations, verdicts, self.new, self.old)
            for section in self.sections
        ]


def named(figures: Sequence[Measured], outcome: str) -> list[Measured]:
    """Those of the figures that have come out so."""
    return [figure for figure in figures if figure.outcome == outcome]


def as_words(figures: Sequence[Measured]) -> str:
    """Figures in one line."""
    return "; ".join(map(str, figures))


def are_clear(figures: Sequence[Measured]) -> bool:
    """Whether what has come in is decided; a metric of which nothing comes in holds up nobody."""
    seen = [figure for figure in figures if figure.pairs]
    return bool(seen) and not named(seen, "undecided")
