"""The gate's hard limit on answers that their passages do not support."""

from collections.abc import Mapping

from twin.evaluation.gate import Check, Verdict
from twin.evaluation.grounding import FAITHFULNESS
from twin.evaluation.resampling import Estimate
from twin.recipes import GateSection


def faithfulness_check(values: Mapping[str, Estimate], gate: GateSection) -> tuple[Check, ...]:
    """The hard limit, where the recipe sets one; ``values`` are those of the candidate."""
    limit = gate.min_faithfulness
    if limit == 0:
        return ()
    found = values.get(FAITHFULNESS)
    if found is None:
        text = "no test sample shows a passage, so that nobody can tell whether answers keep to it"
        return (_check(text, 0.0, limit, Verdict.HOLD, passed=False),)
    text = (
        f"passages support {found.value:.1%} of the sentences that it says; it must be at least "
        f"{limit:.1%}"
    )
    return (_check(text, found.value, limit, Verdict.REJECT, passed=found.value >= limit),)


def _check(text: str, measured: float, limit: float, otherwise: Verdict, *, passed: bool) -> Check:
    return Check(
        name=FAITHFULNESS,
        passed=passed,
        otherwise=otherwise,
        measured=measured,
        threshold=limit,
        text=f"{text}: {'passed' if passed else 'FAILED'}",
    )
