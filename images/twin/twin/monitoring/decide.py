"""What follows from what was measured: rules, each of which acts on a cause once.

`decide` is a pure function of what monitoring remembers and of the time. Nothing here measures and
nothing starts: the DAG *monitoring* starts what was decided.

What keeps a rule from running in circles: it acts on a measure that has been bad for several looks
and is bad now, never on one that could not be taken; the same cause starts nothing twice; between
two starts lies a pause; a month has a budget; and what answers are like (their length, their
sources) starts nothing, since a training changes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from twin.domain.monitoring import Held, MonitoringState, Record, Standing, Start
from twin.monitoring import accepted, currency, drift, opinion
from twin.recipes.monitoring import BudgetSection, MonitoringSection, OnlineRule, TrainingRule

#: Longer than any pause and than a month, which budgets need.
REMEMBERED = timedelta(days=100)

Decision = Start | Held


@dataclass(frozen=True)
class _Wish:
    """What a rule wants, before its pause and budget are asked."""

    rule: str
    reason: str
    causes: tuple[str, ...]
    pause: timedelta
    budget: BudgetSection | None = None
    pipeline: str = ""
    hour: int | None = None

    @property
    def starts(self) -> str:
        """The pipeline that it wants."""
        return self.pipeline or self.rule


def decide(state: MonitoringState, section: MonitoringSection, now: datetime) -> list[Decision]:
    """What to start now, and what is held back for which reason.

    Args:
        state: after the look at ``now``.
        section: of the recipe.
        now: the time of the look.
    """
    made: list[Decision] = []
    for wish in _wishes(state, section):
        # What this look starts counts for the wishes after it.
        so_far = remember(state, made, now)
        made.append(_decision(wish, so_far, section, now))
    return made


def remember(
    state: MonitoringState, decisions: Sequence[Decision], now: datetime
) -> MonitoringState:
    """The state with what was started; a training gives drift a new reference."""
    started = tuple(each for each in decisions if isinstance(each, Start))
    kept = tuple(each for each in state.starts if now - each.at < REMEMBERED)
    trains = any(each.pipeline == "training" for each in started)
    return state.model_copy(
        update={
            "starts": (*kept, *started),
            "reference_until": None if trains else state.reference_until,
            "reference_since": now if trains else state.reference_since,
        }
    )


def _wishes(state: MonitoringState, section: MonitoringSection) -> list[_Wish]:
    wishes = []
    rules = section.rules
    pause = timedelta(hours=rules.features_hours)
    # Samples are made of the index: one after the other.
    if rules.features and (record := _bad(state, currency.INDEX)):
        wishes.append(_Wish("features", record.last.says, _causes([record]), pause))
    elif rules.features and (record := _bad(state, currency.SAMPLES)):
        wishes.append(_Wish("datasets", record.last.says, _causes([record]), pause))
    if rules.training and (grounds := _grounds(state, rules.training)):
        wishes.append(
            _Wish(
                "training",
                "; ".join(record.last.says for record in grounds),
                _causes(grounds),
                timedelta(days=rules.training.cool_down_days),
                rules.training.budget,
            )
        )
    if rules.online and (record := state.records.get(accepted.ACCEPTED)):
        wishes += _online(record, rules.online)
    return wishes


def _online(record: Record, rule: OnlineRule) -> list[_Wish]:
    """The wish for a round on accepted feedback, where enough of it waits."""
    if record.last.value is None or record.last.value < rule.least_pairs:
        return []
    pause = timedelta(days=rule.cool_down_days)
    causes = _causes([record])
    return [_Wish("online", record.last.says, causes, pause, rule.budget, "training", rule.hour)]


def _grounds(state: MonitoringState, rule: TrainingRule) -> list[Record]:
    wanted = {
        currency.CHANGED: rule.changed is not None,
        drift.QUESTIONS: rule.drift,
        opinion.FEEDBACK: rule.feedback_below is not None,
    }
    found = (_bad(state, name) for name, is_wanted in wanted.items() if is_wanted)
    return [record for record in found if record]


def _bad(state: MonitoringState, name: str) -> Record | None:
    """The measure's record, if it has been bad for long enough and still is."""
    record = state.records.get(name)
    if record is None or record.standing is not Standing.BAD:
        return None
    return record if record.last.standing is Standing.BAD else None


def _is_good(state: MonitoringState, name: str) -> bool:
    """Whether a measure is good by now; one that is unknown is not."""
    record = state.records.get(name)
    return record is None or record.last.standing is record.standing is Standing.GOOD


def _causes(records: Sequence[Record]) -> tuple[str, ...]:
    return tuple(
        each.last.cause or f"{each.last.name}:{each.since.isoformat()}" for each in records
    )


def _decision(
    wish: _Wish, state: MonitoringState, section: MonitoringSection, now: datetime
) -> Decision:
    before = [each for each in state.starts if each.rule == wish.rule]
    acted_on = {cause for each in before for cause in each.causes}
    causes = tuple(cause for cause in wish.causes if cause not in acted_on)
    why_not = _why_not(wish, causes, before, state, section, now)
    if why_not:
        return Held(rule=wish.rule, reason=wish.reason, why_not=why_not)
    return Start(
        rule=wish.rule,
        pipeline=wish.starts,
        at=now,
        reason=wish.reason,
        causes=causes,
        gpu_hours=wish.budget.gpu_hours_a_run if wish.budget else 0.0,
    )


def _why_not(
    wish: _Wish,
    causes: Sequence[str],
    before: Sequence[Start],
    state: MonitoringState,
    section: MonitoringSection,
    now: datetime,
) -> str:
    """Why nothing is started; empty if it is."""
    if not causes:
        return "the same cause has started it before"
    if section.paused:
        return "monitoring.paused"
    if later := _later(wish, before, state, now):
        return later
    if wish.budget is None:
        return ""
    if not all(_is_good(state, name) for name in (currency.INDEX, currency.SAMPLES)):
        return "index and samples are brought up to date first"
    return _beyond_budget(wish.budget, before, now)


def _later(wish: _Wish, before: Sequence[Start], state: MonitoringState, now: datetime) -> str:
    """Why it is too early; empty if it is not."""
    if wish.hour is not None and now.hour != wish.hour:
        return f"it begins between {wish.hour:02}:00 and {wish.hour:02}:59 UTC"
    # A round after another rule's training would learn the same once more.
    alike = [each for each in state.starts if wish.pipeline and each.pipeline == wish.pipeline]
    newest = max((each.at for each in (*before, *alike)), default=None)
    if newest and now - newest < wish.pause:
        return f"paused until {newest + wish.pause:%Y-%m-%d %H:%M} UTC"
    return ""


def _beyond_budget(budget: BudgetSection, before: Sequence[Start], now: datetime) -> str:
    spent = sum(
        each.gpu_hours for each in before if (each.at.year, each.at.month) == (now.year, now.month)
    )
    hours = spent + budget.gpu_hours_a_run
    if hours > budget.gpu_hours:
        return f"the month's budget of {budget.gpu_hours:g} GPU hours: {spent:g} are spent"
    if budget.money is not None and hours * budget.price > budget.money:
        return f"the month's budget of {budget.money:g}: {spent * budget.price:g} are spent"
    return ""
