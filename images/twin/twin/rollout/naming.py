"""What a version is called beside others: by its number, or with its configuration's digest too."""

from collections.abc import Iterator, Sequence

from twin.domain.errors import BadDataError
from twin.domain.rollout import RolloutEvent, RolloutState, ServedVersion, registered_number
from twin.settings import Settings
from twin.stores.serve_config import as_written_now, engines_alike


def called(state: RolloutState, new: ServedVersion, settings: Settings) -> ServedVersion:
    """``new`` by a name that no other configuration of its version has, or has had of late.

    What is known keeps its name, so that a rollout which is run again goes on with the same. The
    first configuration of a version has the version's own name, any other its digest after it. Its
    engine is one that is known, where that writes alike: a prompt, or a way of retrieval, is tried
    without a second copy of the weights.

    Args:
        state: of its model.
        new: to be served; maybe once written down by older code.
        settings: of the platform.

    Raises:
        BadDataError: its recipe is none that this code can read.
    """
    new = as_written_now(new)
    known = list(_known(state, new.version))
    for item in known:
        if item.answers_like(new):
            return new.model_copy(update={"name": item.name, "engine": item.engine})
    name = _name(state.history, new, known)
    alike = (item.engine for item in known if engines_alike(item, new, settings))
    return new.model_copy(update={"name": name, "engine": next(alike, name)})


def is_as(one: ServedVersion | None, other: ServedVersion) -> bool:
    """Whether what was written down, maybe by older code, answers as another one does."""
    return one is not None and as_written_now(one).answers_like(other)


def _known(state: RolloutState, version: str) -> Iterator[ServedVersion]:
    """Configurations of a version that run, or did before."""
    for item in state.running:
        if item.version == version:
            yield as_written_now(item)
    if state.previous is not None and state.previous.version == version:
        try:
            yield as_written_now(state.previous)
        except BadDataError:
            return  # nobody can go back to it


def _name(
    history: Sequence[RolloutEvent], new: ServedVersion, known: Sequence[ServedVersion]
) -> str:
    lines = [
        line
        for line in history
        if line.configuration and registered_number(line.version) == new.version
    ]
    for line in lines:
        if line.configuration == new.configuration:
            return line.version
    return f"{new.version}-{new.configuration}" if known or lines else new.version
