"""What one more look makes of what monitoring remembers."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from twin.domain.monitoring import Baseline, Event, Measure, MonitoringState, Standing
from twin.monitoring import drift, live
from twin.monitoring.steadiness import steady
from twin.recipes.monitoring import MonitoringSection

#: Page of the documentation that says what to do, with a heading for each kind of measure.
RUNBOOK = "docs/pages/how-to/keep-up-to-date.md"

#: Measures that hold the reference while they are bad: what callers ask.
HOLDING = (drift.QUESTIONS, drift.LANGUAGES)

#: Measures that are compared with their own first figure.
WITH_BASELINE = (live.REFUSED, live.UNGROUNDED, live.GUARDRAILS)


def looked(
    state: MonitoringState,
    measures: Sequence[Measure],
    now: datetime,
    section: MonitoringSection,
    run_id: str = "",
    kept_days: int | None = None,
) -> MonitoringState:
    """The state after a look; its ``events`` are what people are to be told.

    Args:
        state: before it.
        measures: that it has taken.
        now: its moment.
        section: of the recipe.
        run_id: of the job that looks.
        kept_days: how long answers are kept (``serving.answers_kept_days``); None: for ever.

    A measure that is no longer taken (its source has left the recipe) is dropped. A look that runs
    again under its own id tells again what it told: whether that arrived, nobody knows. It is the
    same look, so a measure that it has counted becomes neither worse nor better.
    """
    is_again = bool(run_id) and run_id == state.run_id
    records, events = {}, list(state.events if is_again else ())
    for measure in measures:
        known = state.records.get(measure.name)
        if is_again and known and known.last.standing is not Standing.UNKNOWN:
            # That it was counted must stay to be seen, so what is unknown now changes nothing.
            is_taken = measure.standing is not Standing.UNKNOWN
            records[measure.name] = (
                known.model_copy(update={"last": measure}) if is_taken else known
            )
            continue
        records[measure.name], event = steady(known, measure, now, section)
        if event:
            events.append(event)
    after = state.model_copy(
        update={
            "checked": now,
            "records": records,
            "baselines": {**state.baselines, **_first_figures(state, measures, now, section)},
            "events": tuple(events),
            "run_id": run_id,
        }
    )
    held = after.model_copy(update={"reference_until": _held_reference(after, now, section)})
    return (
        held
        if _is_kept(held, now, section, kept_days)
        else held.model_copy(update={"reference_until": None})
    )


def reference_window(
    state: MonitoringState, now: datetime, section: MonitoringSection
) -> tuple[datetime, datetime]:
    """Beginning and end of the answers that the newest ones are compared with.

    After a training it begins with that, and is empty until as much time has passed as the newest
    answers take: nothing is said meanwhile.
    """
    end = state.reference_until or newest_window(now, section)
    begin = end - timedelta(days=section.drift.reference_days)
    return max(begin, state.reference_since or begin), end


def newest_window(now: datetime, section: MonitoringSection) -> datetime:
    """Beginning of the newest answers."""
    return now - timedelta(hours=section.drift.window_hours)


def _held_reference(
    state: MonitoringState, now: datetime, section: MonitoringSection
) -> datetime | None:
    """Drift must not become what it is compared with: the reference stays while it lasts.

    What answers are like holds nothing: a new version changes that for good.
    """
    seen = [state.records[name] for name in HOLDING if name in state.records]
    if any(each.last.standing is Standing.BAD or each.streak for each in seen):
        return state.reference_until or newest_window(now, section)
    is_unknown = any(each.last.standing is Standing.UNKNOWN for each in seen)
    return state.reference_until if is_unknown else None


def _is_kept(
    state: MonitoringState, now: datetime, section: MonitoringSection, kept_days: int | None
) -> bool:
    """Whether all answers of the reference are still there: with those that are gone, what is
    asked can't be compared, and a reference that is held until it is would be held for ever.
    """
    begin, _ = reference_window(state, now, section)
    return kept_days is None or begin >= now - timedelta(days=kept_days)


def _first_figures(
    state: MonitoringState,
    measures: Sequence[Measure],
    now: datetime,
    section: MonitoringSection,
) -> Mapping[str, Baseline]:
    found = {}
    for each in measures:
        is_new = each.name in WITH_BASELINE and each.name not in state.baselines
        enough = each.count >= section.live.baseline_units
        if is_new and enough and None not in (each.value, each.low, each.high):
            found[each.name] = Baseline(
                value=each.value or 0.0,
                low=each.low or 0.0,
                high=each.high or 0.0,
                count=each.count,
                at=now,
            )
    return found


def told(event: Event, section: MonitoringSection, recipe: str) -> str:
    """An event as people read it: what, since when, whose, and where it says what to do."""
    head = "is bad" if event.kind == "alert" else "is good again"
    owner = f" Owner: {section.owner}." if section.owner else ""
    what_to_do = f" What to do: {RUNBOOK}#{event.measure.partition('.')[0]}"
    return (
        f"{recipe}: {event.measure} {head} (bad since {event.since:%Y-%m-%d %H:%M} UTC): "
        f"{event.says}.{owner}{what_to_do if event.kind == 'alert' else ''}"
    )
