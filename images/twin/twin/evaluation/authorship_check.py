"""The hard limit on the author's hand: a twin must not write like somebody else altogether.

How near it must come is a matter of taste, so the limit is wide and the whole interval must lie
beyond it: a model that writes any fluent prose breaks it, one that says too little to be told does
not. Small losses from one version to the next are for the comparisons with the champion.
"""

from twin.evaluation.checks import Check, better_end, interval, signed
from twin.evaluation.resampling import Estimate
from twin.recipes import GateSection


def authorship_check(gap: Estimate, gate: GateSection) -> Check:
    """Whether the answers are the author's nearly as likely as the author's own test passages.

    Args:
        gap: the candidate's probability less that of the passages, on the same document groups.
        gate: the recipe's.
    """
    said = (
        "the probability that the author wrote its answers differs from that of the author's own "
        f"passages by {signed(gap.value)} ({interval(gap, signed)})"
    )
    name = "the author's hand against the author"
    return better_end(name, gap, -gate.max_authorship_gap, said, signed)
