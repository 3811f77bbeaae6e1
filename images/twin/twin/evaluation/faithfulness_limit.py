"""The gate's hard limit on answers that their passages do not support."""

from collections.abc import Mapping

from twin.evaluation.checks import Check, Verdict, hard_limit
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
        unknown = Check(
            name=FAITHFULNESS,
            passed=False,
            otherwise=Verdict.HOLD,
            measured=0.0,
            threshold=limit,
            text="no test sample shows a passage, so that nobody can tell whether answers keep to "
            "it: FAILED",
        )
        return (unknown,)
    said = f"passages support {found.value:.1%} of the sentences that it says"
    return (hard_limit(FAITHFULNESS, found, said, least=limit),)
