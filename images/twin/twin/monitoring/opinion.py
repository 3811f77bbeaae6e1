"""What callers think of answers: each caller counts once."""

from collections.abc import Sequence

from twin.domain.monitoring import Measure
from twin.domain.seen_answer import SeenAnswer
from twin.monitoring.shares import at_least, mean_of_units

FEEDBACK = "feedback"


def opinion(judged: Sequence[SeenAnswer], lowest: float, callers: int) -> Measure:
    """Mean approval of callers, 0 to 1, with its interval.

    Args:
        judged: answers with feedback.
        lowest: bad where the whole interval is below.
        callers: below which nothing is said.
    """
    rated = [(each.caller, each.rating) for each in judged]
    found = mean_of_units((caller, rating) for caller, rating in rated if rating is not None)
    return at_least(FEEDBACK, found, lowest, callers, "callers' approval")
