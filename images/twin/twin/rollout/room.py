"""Is there room for a version beside what serves? Asked before anything is started."""

from collections.abc import Iterable, Sequence

import structlog

from twin.domain.errors import BadDataError, TryAgainError
from twin.domain.rollout import RolloutState, ServedVersion
from twin.rollout.transitions import dark
from twin.settings import Settings
from twin.stores.endpoint import Endpoint
from twin.stores.engine_config import engine_name, reserved_gpus
from twin.stores.serve_config import recipe_of

log = structlog.get_logger("twin")


def check_room(
    states: Sequence[RolloutState],
    model: str,
    new: ServedVersion,
    settings: Settings,
    endpoint: Endpoint,
) -> None:
    """See to it that the GPUs which a version reserves can be had while what serves keeps its own.

    A version whose engine runs already, or that needs none, asks nobody. Nor is anything held up
    where the endpoint does not say: Ray then finds out.

    Args:
        states: of all models.
        model: that the version is of.
        new: to be started.
        settings: how many GPUs there may be at most.
        endpoint: tells how many there are, and are free.

    Raises:
        BadDataError: the cluster is too small for both; says what to do.
        TryAgainError: others have them now.
    """
    after = [dark(state, new) if state.model == model else state for state in states]
    before, wanted = (_engines(each, settings) for each in (states, after))
    needed = _more(wanted, before)
    if not needed:
        return
    try:
        gpus = endpoint.gpus(model)
    except TryAgainError as error:
        log.warning("whether GPUs are free is not known", reason=str(error))
        return
    if gpus is None:
        return
    most = max(gpus.total, settings.ray_most_gpus or 0)
    what = f"version {new.name} of {model} needs {needed:g} GPUs beside what serves"
    if sum(wanted.values()) > most:
        raise BadDataError(
            f"{what}, which keeps {sum(wanted.values()) - needed:g} of {most:g}: set "
            "serving.adapters: shared, where versions share one engine, or fewer serving.replicas, "
            "or enlarge the cluster; nothing was started"
        )
    room = gpus.free + most - gpus.total + _more(before, wanted)
    if needed > room:
        raise TryAgainError(
            f"{what}, and {gpus.free:g} of {gpus.total:g} are free: others have them now; nothing "
            "was started"
        )


def _engines(states: Iterable[RolloutState], settings: Settings) -> dict[str, float]:
    """The engines that run, each once, with the GPUs that it reserves."""
    found = {}
    for state in states:
        for served in state.running:
            serving = recipe_of(served).serving
            name = engine_name(state.model, served, serving)
            if name is not None:
                found[name] = reserved_gpus(serving, settings)
    return found


def _more(one: dict[str, float], other: dict[str, float]) -> float:
    """GPUs of one set of engines that another has not."""
    return sum((max(0.0, gpus - other.get(name, 0.0)) for name, gpus in one.items()), 0.0)
