"""`twin monitoring run`: look, remember, decide, and tell."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from twin.domain.errors import TwinError
from twin.domain.monitoring import Held, Measure, MonitoringState, Standing, Start
from twin.job import Job, log
from twin.monitoring.decide import Decision, decide, remember
from twin.monitoring.look import REGISTRY, Look
from twin.monitoring.remembering import looked, told
from twin.recipes.monitoring import MonitoringSection
from twin.stores.monitoring_states import MonitoringStates
from twin.stores.tracking import tracking_run

#: A start is told again for so long: whether the DAG got it, the job can't know. A pipeline's run
#: has the start's id, so it is made once.
TOLD_FOR = timedelta(hours=24)

_FIGURE = {Standing.GOOD: 1.0, Standing.BAD: 0.0}


def experiment_of(recipe: str) -> str:
    """MLflow experiment of a twin's looks: apart from its models' runs, for they are many."""
    return f"{recipe} monitoring"


def run_monitoring(job: Job, *, paused: bool = False) -> None:
    """Look at the recipe's twin once; ``paused``: as if the recipe said so.

    The state is written before anything is told, so a job that was killed tells again when it is
    run again under its id, and starts nothing twice.

    Raises:
        TryAgainError: the file store is away, or another look has just ended.
        BadDataError: the state can't be read.
    """
    now, section = datetime.now(UTC), job.recipe.monitoring
    states = MonitoringStates(job.settings)
    before, version = states.load(job.recipe.name)
    look = Look(job, before, now)
    measures = look.measures()
    kept_days = job.recipe.serving.answers_kept_days
    state = looked(before, measures, now, section, job.run_id, kept_days)
    state = state.model_copy(update={"canaries": look.canaries})
    wanted = section.model_copy(update={"paused": section.paused or paused})
    decisions = decide(state, wanted, now)
    state = remember(state, decisions, now)
    states.save(state, version)
    _report(job, state, measures, decisions, wanted, now)
    _track(job, measures, decisions)


def _report(
    job: Job,
    state: MonitoringState,
    measures: Sequence[Measure],
    decisions: Sequence[Decision],
    section: MonitoringSection,
    now: datetime,
) -> None:
    recipe = job.recipe.name
    job.counts.read = len(measures)
    job.counts.skipped = sum(each.standing is Standing.UNKNOWN for each in measures)
    job.counts.failed = sum(each.standing is Standing.BAD for each in state.records.values())
    job.result.uris["state"] = MonitoringStates(job.settings).uri(recipe)
    job.result.detail |= {
        "measures": {each.name: f"{each.standing.value}: {each.says}" for each in measures},
        "figures": _figures(measures),
        "told": [told(event, section, recipe) for event in state.events],
        # Whether the DAG got an earlier start, the job can't know: a pause stops it nevertheless.
        "starts": []
        if section.paused
        else [
            {"pipeline": each.pipeline, "run_id": f"{each.run_id}__{recipe}", "reason": each.reason}
            for each in state.starts
            if now - each.at < TOLD_FOR
        ],
        "held back": [
            f"{each.rule}: {each.why_not}" for each in decisions if isinstance(each, Held)
        ],
    }
    for event in state.events:
        log.warning(told(event, section, recipe))


def _track(job: Job, measures: Sequence[Measure], decisions: Sequence[Decision]) -> None:
    """One run of MLflow a look; a look does not fail because MLflow is away."""
    if any(each.name == REGISTRY and each.standing is Standing.BAD for each in measures):
        return  # it has just not answered, and its client waits long
    try:
        with tracking_run(
            job.settings, experiment=experiment_of(job.recipe.name), name="look", key=job.run_id
        ) as run:
            run.log_metrics(_metrics(measures))
            started = [each.rule for each in decisions if isinstance(each, Start)]
            run.set_tags({"started": ", ".join(started), "run_id": job.run_id})
            run.log_text(
                json.dumps([each.model_dump(mode="json") for each in measures], indent=2),
                "measures.json",
            )
            job.result.uris["mlflow"] = run.url
    except TwinError as error:
        log.warning("the look is not in MLflow", reason=str(error))


def _figures(measures: Sequence[Measure]) -> dict[str, dict[str, float]]:
    """Of each measure its value with its interval, and 1 for good, 0 for bad, as far as known."""
    figures: dict[str, dict[str, float]] = {}
    for each in measures:
        found = {"value": each.value, "low": each.low, "high": each.high}
        found["good"] = _FIGURE.get(each.standing)
        figures[each.name] = {name: value for name, value in found.items() if value is not None}
    return figures


def _metrics(measures: Sequence[Measure]) -> dict[str, float]:
    """The figures as MLflow names them: the value by the measure's own name."""
    return {
        name if figure == "value" else f"{name}.{figure}": value
        for name, figures in _figures(measures).items()
        for figure, value in figures.items()
    }
