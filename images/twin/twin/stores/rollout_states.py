"""What should be in service, model by model, in the file store: ``rollouts/<model>.json``.

Kept outside of Ray so that a Ray that starts anew can be told what it served before. Every change
is made from what is there and refused if that has changed (`twin.stores.conditional_files`), so
that of several writers none undoes another's.
"""

from collections.abc import Callable

from pydantic import ValidationError

from twin.domain.errors import BadDataError, TryAgainError
from twin.domain.rollout import RolloutState
from twin.settings import Settings
from twin.stores.conditional_files import ChangedMeanwhileError, open_conditional_files

FOLDER = "rollouts"

#: Writers of one state are a rollout, its heart and now and then a person.
ATTEMPTS = 20


class RolloutStates:
    """The states of all models. Each write replaces a whole small file, at one moment."""

    def __init__(self, settings: Settings) -> None:
        self._files = open_conditional_files(settings)

    def load(self, model: str) -> RolloutState:
        """The state of a model; an empty one if it was never rolled out.

        Raises:
            BadDataError: the file holds something else.
        """
        return self._read(model)[0]

    def change(self, model: str, change: Callable[[RolloutState], RolloutState]) -> RolloutState:
        """Replace a model's state by what ``change`` makes of it; returns the new one.

        ``change`` is called again, with the newer state, where another writer was first: it has
        no other effect than what it returns. Where that is the state it was given, nothing is
        written.

        Raises:
            BadDataError: the file holds something else.
            TryAgainError: others keep being first, or the store is away.
        """
        for _ in range(ATTEMPTS):
            before, version = self._read(model)
            after = change(before)
            if after == before:
                return before
            generation = before.generation + (not after.serves_as(before))
            after = after.model_copy(update={"generation": generation})
            try:
                content = after.model_dump_json(indent=2).encode()
                self._files.write_if(_name(model), content, version)
            except ChangedMeanwhileError:
                continue
            return after
        raise TryAgainError(f"the state of {model} keeps being changed by others: try again")

    def save(self, state: RolloutState) -> None:
        """Put a state in the place of whatever is there, as if no rollout were under way."""
        self.change(state.model, lambda _: state)

    def models(self) -> list[str]:
        """Names of all models that were ever rolled out, sorted."""
        names = self._files.names(FOLDER)
        return [
            name.removesuffix(".json")
            for name in names
            if name.endswith(".json") and not name.startswith(".")
        ]

    def all(self) -> list[RolloutState]:
        """The states of all models that were ever rolled out.

        Raises:
            BadDataError: the file of one holds something else.
        """
        return [self.load(model) for model in self.models()]

    def _read(self, model: str) -> tuple[RolloutState, str | None]:
        found = self._files.read_version(_name(model))
        if found is None:
            return RolloutState(model=model), None
        content, version = found
        try:
            return RolloutState.model_validate_json(content), version
        except ValidationError as error:
            first = error.errors()[0]["msg"]
            raise BadDataError(
                f"{self._files.uri(_name(model))} is no rollout state ({first}): delete it and "
                "run `twin rollout start` again"
            ) from None


def _name(model: str) -> str:
    return f"{FOLDER}/{model}.json"
