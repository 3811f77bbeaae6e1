"""The jobs `twin evaluation promote` and `reject`: a person's word after the gate's."""

from twin.domain.errors import BadDataError, NothingToDo, TryAgainError
from twin.evaluation.contest import AGAINST, EVALUATION, GATE, PASSED, REJECTED, REPORT
from twin.job import Job
from twin.stores.audit import note_action
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
    what = f"{name} version {chosen.version}"
    note_action(job.settings, "promoted", what, job.run_id, {"before": previous, "forced": force})


def reject(job: Job, version: str | None) -> None:
    """Record that a person did not approve a version, so that nobody is asked about it again.

    It holds for what was measured: against another champion, or by another gate, the version is
    measured anew and asked about anew. `promote` takes a rejected version all the same.

    Args:
        job: whose recipe names the model.
        version: number of the version; None means the one with the alias ``candidate``.

    Raises:
        BadDataError: there is no such version, it has not been evaluated, or it is champion.
        TryAgainError: the registry does not answer.
    """
    name = job.recipe.model_name
    with Registry(job.settings) as registry:
        chosen = _choose(registry, name, version)
        measured = chosen.tags.get(EVALUATION)
        if measured is None:
            raise _not_evaluated(chosen)
        champion = registry.by_alias(name, CHAMPION)
        if champion is not None and champion.version == chosen.version:
            raise BadDataError(
                f"version {chosen.version} of {name} is champion: "
                "promote another version, or run twin rollout rollback"
            )
        registry.tag(name, chosen.version, REJECTED, measured)
    job.counts.read = job.counts.written = 1
    job.result.message = f"{name} version {chosen.version} is rejected"
    job.result.ids |= {"model": name, "version": chosen.version}
    job.result.detail |= {"promoted": False}
    note_action(job.settings, "rejected", f"{name} version {chosen.version}", job.run_id)


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
        raise _not_evaluated(chosen)
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


def _not_evaluated(chosen: ModelVersion) -> BadDataError:
    return BadDataError(
        f"version {chosen.version} of {chosen.name} has not been evaluated: "
        "run twin evaluation run first"
    )
