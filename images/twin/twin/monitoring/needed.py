"""Which versions and rerankers are needed, and what is needed for their sake.

Needed are versions that an alias points at, that serve, wait warm or would be gone back to, the
newest, those registered lately, those that their reports compare them with, and those that an
evaluation is at. While a rollout is under way, all are.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from twin.domain.rollout import RolloutState, ServedVersion
from twin.stores.job_runs import JobRun
from twin.stores.registry import ModelVersion
from twin.stores.rerankers import PINNED, RerankerReport

#: A run that began so long ago and has not ended was killed: a task has three attempts of a day.
LONGEST_RUN = timedelta(days=7)


def needed_versions(
    versions: Sequence[ModelVersion],
    aliases: Mapping[str, str],
    state: RolloutState,
    newest: int,
    since: datetime,
    now: datetime,
) -> dict[str, str]:
    """Version to the reason why it is kept.

    Args:
        versions: all of a model, oldest first.
        aliases: alias to version, people's own too.
        state: what should serve.
        newest: so many are kept whatever they are.
        since: those that were registered later are kept, and those of unknown age.
        now: a rollout whose lease has not ended by then is under way.
    """
    if state.lease is not None and state.lease.expires > now:
        return {each.version: f"rollout {state.lease.run_id} is under way" for each in versions}
    kept = {
        each.version: "registered lately"
        for each in versions
        if each.created is None or each.created > since
    }
    kept |= {
        each.version: "one of the newest" for each in versions[max(len(versions) - newest, 0) :]
    }
    kept |= {version: f"alias {alias}" for alias, version in aliases.items()}
    kept |= {each.version: "in service, or gone back to" for each in in_service(state)}
    return kept | ({state.awaits: "waits for a person"} if state.awaits else {})


def in_service(state: RolloutState) -> list[ServedVersion]:
    """All versions that serve, wait warm or would be gone back to."""
    others = (state.previous, state.warm)
    return [*state.running, *state.versions, *(each for each in others if each is not None)]


def running(runs: Iterable[JobRun], now: datetime) -> list[JobRun]:
    """Runs of jobs that are at work, as far as one can tell."""
    return [each for each in runs if each.is_running and now - each.began < LONGEST_RUN]


def needed_rerankers(
    reports: Mapping[str, RerankerReport],
    offered: str | None,
    state: RolloutState,
    latest: str | None,
) -> set[str]:
    """Rerankers that are offered, that a version in service has, or that are of the newest samples.

    Args:
        reports: by version.
        offered: the one that a new rollout would take.
        state: what should serve; a served recipe names its own.
        latest: the newest samples.
    """
    pinned = {
        str(each.recipe.get("retrieval", {}).get("rerank", "")).removeprefix(PINNED)
        for each in in_service(state)
    }
    of_latest = {version for version, each in reports.items() if each.dataset_version == latest}
    return reports.keys() & ({offered} | pinned | of_latest)
