"""A rollout as a job: who holds the state, which version, and what the registry is told of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from twin.domain.errors import BadDataError, NothingToDo, TryAgainError, TwinError
from twin.domain.rollout import RolloutState, ServedVersion
from twin.job import Job, log
from twin.recipes import Recipe
from twin.rollout.lease import WAIT_SECONDS, LostLeaseError, Owner
from twin.rollout.naming import called, is_as
from twin.rollout.prompts import move_prompt, restore_prompt
from twin.rollout.shift import Shift
from twin.rollout.steering import (
    ask_to_end,
    check_brought,
    check_not_broken_off,
    check_waits,
    is_under_way,
    wish,
)
from twin.rollout.transitions import baseline
from twin.stores.deployments import open_deployments
from twin.stores.endpoint import Endpoint
from twin.stores.registry import CHAMPION, ModelVersion, Registry
from twin.stores.rollout_states import RolloutStates
from twin.stores.serve_config import recipe_of, served_version

#: Tag of a model version that says how its last rollout ended.
OUTCOME = "rollout"
#: What the result of a job says of a version that a person has to approve.
AWAITS = "awaiting approval"
#: MLflow takes 5,000 characters, and a person reads fewer.
LONGEST_REASON = 1_000


@contextmanager
def holding(
    job: Job,
    *,
    wait_seconds: float = WAIT_SECONDS,
    ends_others: bool = False,
    ends_version: str | None = None,
) -> Iterator[Shift]:
    """The state of the recipe's model, for this job alone, and what moves its traffic.

    Args:
        job: that changes it.
        wait_seconds: how long another rollout is waited for.
        ends_others: whether it is asked to end.
        ends_version: only if this is what it brings in; None: any.

    Raises:
        TryAgainError: another rollout is under way for too long.
    """
    model = job.recipe.model_name
    states = RolloutStates(job.settings)

    def waiting() -> None:
        if ends_others:
            check_brought(states.load(model), ends_version)
            ask_to_end(states, model)

    # Before the lease: who can't ask the endpoint begins nothing.
    endpoint = Endpoint(job.settings)
    owner = Owner(states, model, job.run_id, wait_seconds=wait_seconds, waiting=waiting)
    with owner:
        yield Shift(owner, job.settings, open_deployments(job.settings), endpoint)


def champion_of(job: Job) -> ModelVersion:
    """The registered champion of the recipe's model.

    Raises:
        BadDataError: there is none.
        TryAgainError: the registry is away.
    """
    model = job.recipe.model_name
    with Registry(job.settings) as registry:
        champion = registry.by_alias(model, CHAMPION)
    if champion is None:
        raise BadDataError(
            f"{model} has no champion yet: run `twin evaluation run --recipe {job.recipe.name}`, "
            "or set the alias in MLflow"
        )
    return champion


def start(job: Job) -> None:
    """Bring the champion into service; see `twin rollout start`.

    The alias is read when no other rollout is under way any more: of two quick promotions the last
    one ends in service.
    """
    champion_of(job)
    with holding(job) as shift:
        switch(job, shift, served_version(champion_of(job), job.recipe), job.recipe)


def rollback(job: Job, to: str | None) -> None:
    """Bring the version that served before back; see `twin rollout rollback`."""
    from twin.stores.audit import note_action

    rollback_target(job, to)
    with holding(job, ends_others=True) as shift:
        version = rollback_target(job, to)
        _move_champion(job, version)
        shift.note_rolled_back(version)
        switch(job, shift, version, recipe_of(version), asks=False)
    what = f"{job.recipe.model_name} version {version.name}"
    detail = {"alias": job.result.detail["alias"]}
    note_action(job.settings, "rolled back", what, job.run_id, detail)


def promote(job: Job, version: str | None, *, only_waiting: bool = False) -> None:
    """Give what is brought in all the traffic; see `twin rollout promote`."""
    model = job.recipe.model_name
    states = RolloutStates(job.settings)
    state = states.load(model)
    check_not_broken_off(state, version)
    if not only_waiting and (state.awaits is None or is_under_way(state)):
        wish(states, model, "promote", version)
        log.info("asked for", what="promote", model=model)
        job.counts.written += 1
        return
    check_waits(state, version)
    with holding(job) as shift:
        state = states.load(model)
        check_waits(state, version)
        approved = next(item for item in state.versions if item.name == state.awaits)
        recipe = recipe_of(approved)
        bring(job, approved, recipe, lambda: shift.finish(approved, recipe.serving))


def abort(job: Job, version: str | None = None, *, only_waiting: bool = False) -> None:
    """End the rollout that is under way, or undo one that was killed; see `twin rollout abort`."""
    model = job.recipe.model_name
    states = RolloutStates(job.settings)
    state = states.load(model)
    if only_waiting:
        check_waits(state, version)
    if baseline(state).serves_as(state):
        raise NothingToDo(f"no rollout of {model} is under way")
    check_brought(state, version)
    brought = state.versions[-1]
    with holding(job, ends_others=not only_waiting, ends_version=version) as shift:
        state = states.load(model)
        if only_waiting:
            check_waits(state, version)
        _end(job, shift, state, brought, version)
        job.counts.written += 1


def _end(
    job: Job, shift: Shift, state: RolloutState, brought: ServedVersion, version: str | None
) -> None:
    """Put back what served before ``brought``, and the alias, now that nothing moves any more.

    Raises:
        NothingToDo: it serves meanwhile, or another than ``version`` is brought in.
        TryAgainError: the old weights are not in force yet.
    """
    model, serving = state.model, baseline(state).serving
    job.result.ids.update(model=model, model_version=serving.name if serving else "")
    has_ended = baseline(state).serves_as(state)
    if has_ended and serving is not None and serving.name == brought.name:
        raise NothingToDo(
            f"the rollout of {model} version {brought.name} has ended meanwhile, and it serves: "
            "`twin rollout rollback` goes back"
        )
    if not has_ended:
        check_brought(state, version)
    if serving is not None:
        # First: who tries again after what follows has failed finds no rollout any more.
        restore_champion(job, serving, failed=brought)
    if not has_ended:
        shift.back_out(BadDataError(f"ended by hand (run {job.run_id})"))


def rollback_target(job: Job, to: str | None) -> ServedVersion:
    """The version that a rollback goes to.

    Raises:
        BadDataError: there is none.
    """
    model = job.recipe.model_name
    state = RolloutStates(job.settings).load(model)
    target = state.rollback_target
    if to is None:
        if target is None:
            raise BadDataError(f"{model}: no version served before this one; name one by --to")
        return target
    # One that is known from serving is taken as it served, also while the registry is away. The
    # very name goes first: 7 may serve while 7-1f3a09bc did before.
    known = [each for each in (target, *state.running) if each is not None]
    for names in ([each.name for each in known], [each.version for each in known]):
        if to in names:
            return known[names.index(to)]
    if not to.isdecimal():
        raise BadDataError(
            f"no version {to!r} of {model} has served: `twin rollout history` names those that have"
        )
    with Registry(job.settings) as registry:
        registered = registry.version(model, to)
    if registered is None:
        raise BadDataError(f"{model} has no version {to}")
    return served_version(registered, job.recipe)


def approval_request(state: RolloutState) -> dict[str, str]:
    """What a person is asked about a version that keeps its share: decision, and evidence.

    ``since`` it waits: the same question has the same.
    """
    shares = ", ".join(f"version {each}: {share}%" for each, share in state.weights.items())
    figures = state.progress.figures if state.progress else ()
    lines = [f"- {line}" for line in figures] or ["- nothing was compared (serving.rollout)"]
    return {
        "decision": AWAITS,
        "evidence": "\n".join([f"Traffic: {shares}.", "", *lines]),
        "since": state.progress.since.isoformat() if state.progress else "",
    }


def switch(
    job: Job, shift: Shift, version: ServedVersion, recipe: Recipe, *, asks: bool = True
) -> None:
    """Make a version what serves, and tell the registry how that went.

    Args:
        job: that does so.
        shift: of the version's model.
        version: to serve.
        recipe: that it serves by.
        asks: whether a person is asked before it gets all the traffic, if the recipe says so.

    Raises:
        NothingToDo: it does already.
        BadDataError: it was not taken, see `Shift.to`; the champion is what the recipe says.
        TryAgainError: a store failed.
    """
    state = RolloutStates(job.settings).load(recipe.model_name)
    version = called(state, version, job.settings)
    name = f"{recipe.model_name} version {version.name}"
    job.result.ids.update(
        model=recipe.model_name, model_version=version.name, configuration=version.configuration
    )
    job.result.uris.update(endpoint=job.settings.endpoint_url, weights=version.weights_uri)
    job.counts.read += 1
    steps = len(recipe.serving.traffic_steps) + 4
    with job.progress(f"rollout of {name}", steps) as advance:
        shift.advance = advance
        if shift.is_serving(version):
            job.counts.skipped += 1
            raise NothingToDo(f"{name} is in service")
        waits = state.version(state.awaits) if state.awaits else None
        # With another prompt, say, it is another one: a person was not asked about that.
        if asks and is_as(waits, version):
            job.counts.skipped += 1
            # Whoever was to ask may have been killed.
            job.result.detail |= approval_request(state)
            raise NothingToDo(f"{name} waits for a person's approval")
        bring(job, version, recipe, lambda: shift.to(version, recipe.serving, asks=asks))


def bring(job: Job, version: ServedVersion, recipe: Recipe, shift: Callable[[], bool]) -> None:
    """Run what brings a version in, and tell the registry how that went.

    Args:
        job: that does so; learns of a version that has to be approved.
        version: that is brought in.
        recipe: that it serves by.
        shift: brings it in; returns whether it serves all.

    Raises:
        BadDataError, TryAgainError: as `Shift.to`.
    """
    states = RolloutStates(job.settings)
    serving = baseline(states.load(recipe.model_name)).serving
    try:
        settled = shift()
    except LostLeaseError:
        raise
    except BadDataError as error:
        _note_outcome(job, version, f"failed: {error}", serving)
        if recipe.serving.rollout.failed_champion == "restore" and serving is not None:
            restore_champion(job, serving, failed=version)
        raise
    job.counts.written += 1
    if not settled:
        job.result.detail |= approval_request(states.load(recipe.model_name))
    _note_outcome(job, version, "serving" if settled else "waits for approval", serving)


def restore_champion(job: Job, serving: ServedVersion, *, failed: ServedVersion) -> None:
    """Point the alias back at what serves, if it still is where the failed rollout began.

    Where only the configuration has failed, it is the alias of its prompt.
    """
    model = job.recipe.model_name
    if serving.version == failed.version:
        restore_prompt(job, serving, failed=failed)
        return

    def restore(registry: Registry) -> None:
        registry.restore_champion(model, serving.version, failed=failed.version)

    _tell_registry(job, "the alias champion is not restored", restore)


def _note_outcome(
    job: Job, version: ServedVersion, outcome: str, before: ServedVersion | None
) -> None:
    """Tag the model version; where it serves on in another configuration, with what this one is."""
    model = job.recipe.model_name
    if before is not None and before.version == version.version and outcome != "serving":
        outcome = f"serving; configuration {version.configuration} {outcome}"

    def note(registry: Registry) -> None:
        registry.tag(model, version.version, OUTCOME, outcome[:LONGEST_REASON])

    _tell_registry(job, "the model version does not say how its rollout ended", note)


def _tell_registry(job: Job, lacking: str, tell: Callable[[Registry], None]) -> None:
    """What the registry should know; that it is away changes nothing of what serves."""
    try:
        with Registry(job.settings) as registry:
            tell(registry)
    except TwinError as error:
        log.warning(lacking, reason=str(error))


def _move_champion(job: Job, version: ServedVersion) -> None:
    """Move the alias back too, or the next look at the registry would roll forward again."""
    try:
        with Registry(job.settings) as registry:
            registry.promote(job.recipe.model_name, version.version)
        move_prompt(job, version)
        job.result.detail["alias"] = "moved"
    except TryAgainError as error:
        job.result.detail["alias"] = "not moved"
        log.warning(
            "alias champion is not moved: move it when MLflow answers, or the next rollout "
            "brings the other version back",
            version=version.version,
            reason=str(error),
        )
