"""The gate's check that a candidate can still do what its base could."""

from twin.evaluation.abilities import AbilitiesReport
from twin.evaluation.checks import Check, interval, signed, worse_end
from twin.recipes import GateSection

NAME = "general abilities against base"


def forgetting_checks(report: AbilitiesReport | None, gate: GateSection) -> tuple[Check, ...]:
    """Whether too much was forgotten; none where nothing was measured or anything is allowed."""
    if report is None or gate.max_forgetting == 1:
        return ()
    found, gain = report.whole, report.whole.gain
    said = (
        f"of {found.questions} general questions the candidate answers "
        f"{found.candidate.value:.1%} rightly, the base {found.base.value:.1%}: changes by "
        f"{signed(gain.value)} ({interval(gain, signed)})"
    )
    return (worse_end(NAME, gain, -gate.max_forgetting, said, signed),)
