"""The jobs `twin evaluation promote`, `reject`, `reference`: a person's word after the gate's."""

from twin.domain.errors import BadDataError, NothingToDo, TryAgainError, TwinError
from twin.evaluation.contest import (
    AGAINST,
    EVALUATION,
    GATE,
    HOLD,
    PROMOTE,
    REJECT,
    REJECTED,
    REPORT,
)
from twin.job import Job
from twin.stores.audit import note_action
from twin.stores.registry import CANDIDATE, CHAMPION, REFERENCE, ModelVersion, Registry

#: Tag that records a promotion past the gate.
FORCED = "promoted_by_force"


def promote(job: Job, version: str | None, *, force: bool = False) -> None:
    """Make a version champion: the candidate, or the one given.

    What the gate holds, for want of proof, a person may promote; what it rejects needs ``force``.

    Args:
        job: whose recipe names the model.
        version: number of the version; None means the one with the alias ``candidate``.
        force: promote whatever the gate said; recorded as a tag on the version, if it was needed.

    Raises:
        NothingToDo: it is champion already.
        BadDataError: there is no such version, it was not evaluated, or the gate rejects it.
        TryAgainError: the registry does not answer, or the version must be measured again,
            because the champion has changed since.
    """
    name = job.recipe.model_name
    with Registry(job.settings) as registry:
        chosen = _choose(registry, name, version)
        champion = registry.by_alias(name, CHAMPION)
        if champion is not None and champion.version == chosen.version:
            raise NothingToDo(f"version {chosen.version} of {name} is champion already")
        forced = _is_forced(chosen, champion, force=force)
        if forced:
            registry.tag(name, chosen.version, FORCED, job.run_id)
        registry.promote(name, chosen.version)
    previous = champion.version if champion else "none"
    job.counts.read = job.counts.written = 1
    job.result.message = f"{name} version {chosen.version} is champion; before: {previous}"
    job.result.ids |= {"model": name, "version": chosen.version, "previous": previous}
    job.result.detail |= {"promoted": True, "forced": forced}
    what = f"{name} version {chosen.version}"
    note_action(job.settings, "promoted", what, job.run_id, {"before": previous, "forced": forced})


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
    stays = f"version {champion.version} stays champion" if champion else "there is no champion yet"
    job.result.message = f"{name} version {chosen.version} is rejected; {stays}"
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


def refer(job: Job, version: str | None) -> None:
    """Make a version the reference champion, by which losses over many promotions are added up.

    Args:
        job: whose recipe names the model.
        version: number of the version; None means the champion.

    Raises:
        NothingToDo: it is the reference already.
        BadDataError: there is no such version.
        TryAgainError: the registry does not answer.
    """
    name = job.recipe.model_name
    with Registry(job.settings) as registry:
        if version is None:
            chosen = registry.by_alias(name, CHAMPION)
            missing = f"{name} has no champion: give the version with --model-version"
        else:
            chosen, missing = registry.version(name, version), f"{name} has no version {version}"
        if chosen is None:
            raise BadDataError(missing)
        before = registry.by_alias(name, REFERENCE)
        if before is not None and before.version == chosen.version:
            raise NothingToDo(f"version {chosen.version} of {name} is the reference already")
        registry.refer_to(name, chosen.version)
    job.counts.read = job.counts.written = 1
    was = before.version if before else "none"
    job.result.message = f"{name} version {chosen.version} is the reference champion; before: {was}"
    job.result.ids |= {"model": name, "version": chosen.version, "previous": was}


def _is_forced(chosen: ModelVersion, champion: ModelVersion | None, *, force: bool) -> bool:
    """Whether it takes force to promote the version.

    Raises:
        TwinError: it does, and there is none.
    """
    try:
        _check(chosen, champion)
    except TwinError:
        if not force:
            raise
        return True
    return False


def _check(chosen: ModelVersion, champion: ModelVersion | None) -> None:
    verdict = chosen.tags.get(GATE)
    if verdict not in {PROMOTE, HOLD, REJECT}:  # or by a gate of another time
        raise _not_evaluated(chosen)
    if verdict == REJECT:
        raise BadDataError(
            f"the gate rejects version {chosen.version} of {chosen.name}: "
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
