"""Hysteresis: one alert when a measure has become bad, one recovery when it is good again."""

from datetime import datetime

from twin.domain.monitoring import Event, Measure, Record, Standing
from twin.recipes.monitoring import MonitoringSection

#: A store answers or it does not: nothing about that is left to chance, so one look is enough.
AT_ONCE = ("component.",)


def steady(
    record: Record | None, measure: Measure, now: datetime, section: MonitoringSection
) -> tuple[Record, Event | None]:
    """What a measure's record becomes by one more look, and what people are told of it.

    A look that could not measure changes nothing but what is shown of it.
    """
    before = record or Record(since=now, last=measure)
    if measure.standing is Standing.UNKNOWN:
        return before.model_copy(update={"last": measure}), None
    if measure.standing is before.standing:
        return before.model_copy(update={"last": measure, "streak": 0}), None
    streak = before.streak + 1
    if streak < _looks(measure, section):
        return before.model_copy(update={"last": measure, "streak": streak}), None
    after = Record(standing=measure.standing, since=now, last=measure)
    is_bad = measure.standing is Standing.BAD
    event = Event(
        kind="alert" if is_bad else "recovery",
        measure=measure.name,
        since=now if is_bad else before.since,
        at=now,
        says=measure.says,
    )
    return after, event


def _looks(measure: Measure, section: MonitoringSection) -> int:
    if measure.name.startswith(AT_ONCE):
        return 1
    return section.alert_after if measure.standing is Standing.BAD else section.recover_after
