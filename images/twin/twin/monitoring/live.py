"""What the routers have seen of answers: errors, waiting, refusals, sources, guardrails."""

from collections.abc import Mapping, Sequence

from twin.domain.monitoring import Baseline, Measure
from twin.domain.observation import Observation, RouterReport
from twin.monitoring.shares import Judged, at_most, mean_of_units, near_baseline, unknown
from twin.recipes.monitoring import LiveSection

ERRORS, SLOW = "live.errors", "live.slow"
REFUSED, UNGROUNDED, GUARDRAILS = "live.refused", "live.ungrounded", "live.guardrails"
ALL = (ERRORS, SLOW, REFUSED, UNGROUNDED, GUARDRAILS)


def served_observations(reports: Sequence[RouterReport]) -> list[Observation]:
    """Answers that callers were shown: of versions that have traffic, a mirrored question once."""
    weights = [report.weights or {} for report in reports]
    serving = {version for each in weights for version, share in each.items() if share}
    shown: dict[object, Observation] = {}
    for number, report in enumerate(reports):
        for item in report.observations:
            if item.version in serving:
                shown.setdefault(item.mirrored or (number, item.number), item)
    return list(shown.values())


def live(
    observations: Sequence[Observation], baselines: Mapping[str, Baseline], section: LiveSection
) -> list[Measure]:
    """A measure for each way in which answers may be bad."""
    if not observations:
        return [unknown(name, "nobody has asked in the last hour") for name in ALL]
    written = [item for item in observations if not item.failed]
    told = [item for item in written if not item.refused]
    errors = mean_of_units((item.unit, float(item.failed)) for item in observations)
    slow = mean_of_units(
        (item.unit, float(item.first_seconds > section.slow_seconds))
        for item in written
        if item.first_seconds is not None
    )
    late = f"answers whose first word took over {section.slow_seconds:g} s"
    compared: dict[str, tuple[str, list[Judged]]] = {
        REFUSED: ("refusals", [(item.unit, float(item.refused)) for item in written]),
        UNGROUNDED: (
            "answers without a source",
            [(item.unit, float(not item.grounded)) for item in told],
        ),
        GUARDRAILS: (
            "answers that guardrails changed",
            [(item.unit, float(item.cleaned)) for item in written],
        ),
    }
    return [
        at_most(ERRORS, errors, section.errors, "questions without an answer"),
        at_most(SLOW, slow, section.slow, late),
        *(
            near_baseline(name, mean_of_units(values), baselines.get(name), section.margin, what)
            for name, (what, values) in compared.items()
        ),
    ]
