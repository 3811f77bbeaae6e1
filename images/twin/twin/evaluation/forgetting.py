"""The gate's check that a candidate can still do what its base could."""

from twin.evaluation.abilities import AbilitiesReport
from twin.evaluation.checks import Check, Verdict
from twin.recipes import GateSection

NAME = "general abilities against base"


def forgetting_checks(report: AbilitiesReport | None, gate: GateSection) -> tuple[Check, ...]:
    """Whether too much was forgotten; none where nothing was measured or anything is allowed.

    The worse end of the interval must keep to the limit. Where the better end does not either, the
    loss is proved and rejects the candidate; in between it holds it, since too few questions were
    asked to tell.
    """
    if report is None or gate.max_forgetting == 1:
        return ()
    found, limit = report.whole, -gate.max_forgetting
    gain = found.gain
    passed = gain.low >= limit
    return (
        Check(
            name=NAME,
            passed=passed,
            otherwise=Verdict.REJECT if gain.high < limit else Verdict.HOLD,
            measured=gain.value,
            low=gain.low,
            high=gain.high,
            threshold=limit,
            text=f"of {found.questions} general questions the candidate answers "
            f"{found.candidate.value:.1%} rightly, the base {found.base.value:.1%}: changes by "
            f"{gain.value:+.3f} ({gain.confidence * 100:g}% interval {gain.low:+.3f} to "
            f"{gain.high:+.3f}); the worse end must be at least {limit:+.3f}: "
            f"{'passed' if passed else 'FAILED'}",
        ),
    )
