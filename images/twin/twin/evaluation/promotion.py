"""The job `twin evaluation promote`: a person's (or a DAG's) word after the gate's."""

from twin.domain.errors import BadDataError, NothingToDo, TryAgainError
from twin.evaluation.contest import AGAINST, GATE, PASSED, REPORT
from twin.job import Job
from twin.stores.registry import CANDIDATE, CHAMPION, ModelVersion, Registry

#: Tag that records a promotion past the gate.
FORCED = "promoted_by_force"


def promote(job: Job, version: str | None, *, force: bool = False) -> None:
    """Make a version champion: the candidate, or the one given.

    Args:
        job: whose recipe names the model.
        version: number of the version; None means the one with the alias ``candidate``.
        force: promote whatever the gate said; recorded as a tag on the version.

    Raises:
        NothingToDo: it is champion already.
        BadDataError: there is no such version, or the gate did not let it pass.
        TryAgainError: the registry does not answer, or the version must be measured again,
            because the champion has changed since.
    """
    name = job.recipe.model_name
    with Registry(job.settings) as registry:
        chosen = _choose(registry, name, version)
        champion = registry.by_alias(name, CHAMPION)
        if champion is not None and champion.version == chosen.version:
            raise NothingToDo(f"version {chosen.version} of {name} is champion already")
        if force:
            registry.tag(name, chosen.version, FORCED, job.run_id)
        else:
            _check(chosen, champion)
        registry.promote(name, chosen.version)
    previous = champion.version if champion else "none"
    job.counts.read = job.counts.written = 1
    job.result.message = f"{name} version {chosen.version} is champion; before: {previous}"
    job.result.ids |= {"model": name, "version": chosen.version, "previous": previous}
    job.result.detail |= {"promoted": True, "forced": force}


def _choose(registry: Registry, name: str, version: str | None) -> ModelVersion:
    if version is not None:
        chosen = registry.version(name, version)
        missing = f"{name} has no version {version}"
    else:
        chosen = registry.by_alias(name, CANDIDATE)
        missing = f"{name} has no candidate: run twin training package first"
    if chosen is None:
        raise BadDataError(missing)
    return chosen


def _check(chosen: ModelVersion, champion: ModelVersion | None) -> None:
    verdict = chosen.tags.get(GATE)
    if verdict is None:
        raise BadDataError(
            f"version {chosen.version} of {chosen.name} has not been evaluated: "
            "run twin evaluation run first"
        )
    if verdict != PASSED:
        raise BadDataError(
            f"the gate refused version {chosen.version} of {chosen.name}: "
            f"see {chosen.tags.get(REPORT, 'its report')}; --force promotes it all the same"
        )
    now = champion.version if champion else "none"
    if chosen.tags.get(AGAINST) != now:
        raise TryAgainError(
            f"version {chosen.version} of {chosen.name} was measured against champion "
            f"{chosen.tags.get(AGAINST)}, which is {now} now: run twin evaluation run again"
        )
