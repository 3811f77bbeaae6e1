"""The hard limit on the author's hand: a twin must not write like somebody else altogether.

How near it must come is a matter of taste, so the limit is wide and the whole interval must lie
beyond it: a model that writes any fluent prose breaks it, one that says too little to be told does
not. Small losses from one version to the next are for the comparisons with the champion.
"""

from twin.evaluation.checks import Check, Verdict
from twin.evaluation.resampling import Estimate
from twin.recipes import GateSection


def authorship_check(gap: Estimate, gate: GateSection) -> Check:
    """Whether the answers are the author's nearly as likely as the author's own test passages.

    Args:
        gap: the candidate's probability less that of the passages, on the same document groups.
        gate: the recipe's.
    """
    limit = -gate.max_authorship_gap
    # What is no number holds the candidate, by another check, and rejects nobody.
    passed = not gap.high < limit
    interval = f"{gap.confidence * 100:g}% interval {gap.low:+.3f} to {gap.high:+.3f}"
    return Check(
        name="the author's hand against the author",
        passed=passed,
        otherwise=Verdict.REJECT,
        measured=gap.value,
        low=gap.low,
        high=gap.high,
        threshold=limit,
        text="the probability that the author wrote its answers differs from that of the author's "
        f"own passages by {gap.value:+.3f} ({interval}); the better end must be at least "
        f"{limit:+.3f}: {'passed' if passed else 'FAILED'}",
    )
