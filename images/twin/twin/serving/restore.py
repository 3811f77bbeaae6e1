"""What a Serve that starts anew is told to run: what ran before, else the champions."""

from collections.abc import Iterable
from datetime import UTC, datetime

import structlog

from twin.domain.errors import BadDataError, TwinError
from twin.domain.rollout import ALL, RolloutEvent, RolloutState
from twin.recipes import load_recipe
from twin.settings import Settings
from twin.stores.champion_prompt import with_champion_prompt
from twin.stores.registry import CHAMPION, MODEL_PREFIX, Registry
from twin.stores.rollout_states import RolloutStates
from twin.stores.serve_config import recipe_of, served_version

log = structlog.get_logger("twin")


def states_to_serve(settings: Settings) -> list[RolloutState]:
    """The state of every model that was ever rolled out, else one for every champion.

    A state that can't be read, a registry that does not answer, or a champion whose recipe is
    not here, is no reason not to start: `twin rollout start` brings it into service later.
    """
    states = RolloutStates(settings)
    models = states.models()
    found = [state for model in models if (state := _readable(states, model))]
    # A rollout that was refused before it began leaves a state of nothing.
    untouched = all(not (state.versions or state.history) for state in found)
    if untouched and len(found) == len(models):
        return list(_champions(settings, states))
    return found


def _readable(states: RolloutStates, model: str) -> RolloutState | None:
    try:
        state = states.load(model)
        for served in state.running:
            recipe_of(served)
    except BadDataError as error:
        log.warning("model is left out", model=model, reason=str(error))
        return None
    return state


def _champions(settings: Settings, states: RolloutStates) -> Iterable[RolloutState]:
    with Registry(settings) as registry:
        try:
            models = registry.models()
        except TwinError as error:
            log.info("starting with no model in service", reason=str(error))
            return
        for model in models:
            try:
                state = _champion(registry, model, settings)
            except TwinError as error:
                log.warning("champion is left out", model=model, reason=str(error))
                continue
            if state:
                states.save(state)
                yield state


def _champion(registry: Registry, model: str, settings: Settings) -> RolloutState | None:
    found = registry.by_alias(model, CHAMPION)
    if found is None:
        return None
    recipe = load_recipe(model.removeprefix(MODEL_PREFIX), settings.recipes)
    recipe = with_champion_prompt(recipe, settings)
    served = served_version(found, recipe)
    event = RolloutEvent(
        time=datetime.now(UTC),
        run_id="serving",
        event="restored",
        version=served.name,
        configuration=served.configuration,
    )
    return RolloutState(
        model=model, versions=(served,), weights={served.name: ALL}, history=(event,)
    )
