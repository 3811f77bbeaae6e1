"""Registry, wanted state and what serves are compared; what differs is repaired, or told."""

from datetime import UTC, datetime

from twin.domain.errors import BadDataError, NothingToDo, TryAgainError, TwinError
from twin.domain.rollout import RolloutEvent, RolloutState, ServedVersion
from twin.job import Job, log
from twin.models.embedder import load_embedder
from twin.rollout.naming import is_as
from twin.rollout.running import champion_of, holding, switch
from twin.rollout.shift import Shift
from twin.rollout.steering import is_under_way
from twin.rollout.transitions import ROLLED_BACK, baseline, retired
from twin.rollout.waiting import runs
from twin.stores.deployments import open_deployments
from twin.stores.endpoint import Endpoint
from twin.stores.index import open_index
from twin.stores.rollout_states import RolloutStates
from twin.stores.serve_config import ROUTER, applications_of, recipe_of, served_version


def reconcile(job: Job) -> None:
    """Bring a model's registry, state and Serve together; see `twin rollout reconcile`.

    Raises:
        NothingToDo: they agree, or a rollout is under way, which brings them together itself.
        BadDataError: the champion is a version whose rollout has failed: a person decides.
        TryAgainError: Serve or the endpoint is away.
    """
    model = job.recipe.model_name
    state = RolloutStates(job.settings).load(model)
    job.result.ids.update(model=model)
    job.counts.read += 1
    if is_under_way(state):
        raise NothingToDo(f"a rollout of {model} is under way")
    wanted = _wanted(job)
    served = state.serving.name if state.serving else None
    if _agrees(job, state) and (wanted is None or _follows(state, wanted)):
        job.counts.skipped += 1
        if state.awaits:
            raise NothingToDo(f"{model}: version {state.awaits} waits for a person's approval")
        raise NothingToDo(f"{model}: version {served or 'none'} is champion and serves")
    with holding(job, wait_seconds=0) as shift:
        _repair(job, shift, state)
        _follow(job, shift, wanted)
    job.counts.written += 1


def _wanted(job: Job) -> ServedVersion | None:
    """The champion with the recipe's configuration, if the registry says; what serves is looked
    after without it."""
    try:
        return served_version(champion_of(job), job.recipe)
    except TwinError as error:
        log.warning("what serves is not compared with the registry", reason=str(error))
        return None


def _agrees(job: Job, state: RolloutState) -> bool:
    """Whether what should serve does, and nothing is half done."""
    if _is_half_done(state):
        return False
    if retired(state, datetime.now(UTC)) != state:
        return False
    if not state.versions:
        return True
    found = open_deployments(job.settings).applications()
    wanted = {ROUTER} | {
        name for item in state.running for name in applications_of(state.model, item)
    }
    if not all(runs(found.get(name)) for name in wanted):
        return False
    return Endpoint(job.settings).weights(state.model) == state.shares


def _is_half_done(state: RolloutState) -> bool:
    """Whether a version is brought in by nobody any more, without waiting for a person."""
    return state.awaits is None and not baseline(state).serves_as(state)


def _repair(job: Job, shift: Shift, state: RolloutState) -> None:
    repaired = []
    if _is_half_done(state):
        shift.back_out(TryAgainError("its job has ended in the middle"))
        repaired.append("weights put back")
    elif shift.retire_warm():
        repaired.append("warm version retired")
    elif not _agrees(job, state):
        shift.repair()
        repaired.append("Serve told anew")
    if repaired:
        log.warning("repaired", model=state.model, what=repaired)
    job.result.detail["repaired"] = repaired


def _follows(state: RolloutState, wanted: ServedVersion) -> bool:
    """Whether what is wanted serves, or waits for a person, or was rolled back by one."""
    waits = state.version(state.awaits) if state.awaits else None
    if is_as(state.serving, wanted) or is_as(waits, wanted):
        return True
    same_version = state.serving is not None and state.serving.version == wanted.version
    return same_version and _is_rolled_back(state, wanted)


def _is_rolled_back(state: RolloutState, wanted: ServedVersion) -> bool:
    last = _last(state, wanted)
    return last is not None and last.event == ROLLED_BACK


def _last(state: RolloutState, wanted: ServedVersion) -> RolloutEvent | None:
    """What was last done with this version in this configuration."""
    return next((item for item in reversed(state.history) if item.is_of(wanted)), None)


def _lacks_index(job: Job, serving: ServedVersion | None) -> bool:
    """Whether the recipe names another embedder than what serves has, and it has no index yet."""
    embedder = job.recipe.features.embedder
    if serving is None or recipe_of(serving).features.embedder == embedder:
        return False
    index = open_index(job.settings, job.recipe).state()
    return index is None or index.spec.embedder != load_embedder(embedder, job.settings).id


def _follow(job: Job, shift: Shift, wanted: ServedVersion | None) -> None:
    """Roll the champion out if that was missed; a rollout that failed is not begun again."""
    state = RolloutStates(job.settings).load(job.recipe.model_name)
    if wanted is None or _follows(state, wanted):
        return
    served = state.serving.name if state.serving else "none"
    what = f"version {wanted.version} with configuration {wanted.configuration}"
    last = _last(state, wanted)
    if last is not None and last.event == "failed":
        raise BadDataError(
            f"champion of {state.model} is {what}, whose rollout has failed ({last.message}), and "
            f"version {served} serves: move the alias, change the recipe, or run `twin rollout "
            f"start --recipe {job.recipe.name}` once what failed is mended"
        )
    if _lacks_index(job, state.serving):
        raise NothingToDo(
            f"{state.model}: the index is not built with {job.recipe.features.embedder} yet; "
            f"{what} is rolled out after `twin features build`"
        )
    log.warning("the champion is not in service: rolling it out", champion=what, serves=served)
    switch(job, shift, wanted, job.recipe)
