"""What monitoring remembers of each twin, in the file store: ``monitoring/<recipe>.json``."""

from pydantic import ValidationError

from twin.domain.errors import BadDataError, TryAgainError
from twin.domain.monitoring import MonitoringState
from twin.settings import Settings
from twin.stores.conditional_files import ChangedMeanwhileError, open_conditional_files

FOLDER = "monitoring"


class MonitoringStates:
    """The states of all twins; a state is written only if nobody else has written it since.

    Raises (all methods): `TryAgainError` if the store is away.
    """

    def __init__(self, settings: Settings) -> None:
        self._files = open_conditional_files(settings)

    def uri(self, recipe: str) -> str:
        """Where a twin's state is."""
        return self._files.uri(_name(recipe))

    def load(self, recipe: str) -> tuple[MonitoringState, str | None]:
        """The state, and its version for `save`; an empty one before the first look.

        Raises:
            BadDataError: the file holds something else.
        """
        found = self._files.read_version(_name(recipe))
        if found is None:
            return MonitoringState(recipe=recipe), None
        content, version = found
        try:
            return MonitoringState.model_validate_json(content), version
        except ValidationError as error:
            raise BadDataError(
                f"{self.uri(recipe)} is no state of monitoring ({error.errors()[0]['msg']}): "
                "delete it, and baselines are taken anew"
            ) from None

    def remove(self, recipe: str) -> None:
        """Forget what is remembered of a twin; not being there is fine."""
        self._files.remove(_name(recipe))

    def save(self, state: MonitoringState, version: str | None) -> None:
        """Replace the state of this version; None: there was none.

        Raises:
            TryAgainError: another look was first.
        """
        try:
            self._files.write_if(
                _name(state.recipe), state.model_dump_json(indent=2).encode(), version
            )
        except ChangedMeanwhileError:
            raise TryAgainError(f"another look at {state.recipe} has just ended") from None


def _name(recipe: str) -> str:
    return f"{FOLDER}/{recipe}.json"
