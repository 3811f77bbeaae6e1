"""What should be in service, model by model, in the file store: ``rollouts/<model>.json``.

Kept outside of Ray so that a Ray that starts anew can be told what it served before.
"""

from pydantic import ValidationError

from twin.domain.errors import BadDataError
from twin.domain.rollout import RolloutState
from twin.settings import Settings
from twin.stores.files import open_files

FOLDER = "rollouts"


class RolloutStates:
    """The states of all models. Each write replaces a whole small file, at one moment."""

    def __init__(self, settings: Settings) -> None:
        self._files = open_files(settings)

    def load(self, model: str) -> RolloutState:
        """The state of a model; an empty one if it was never rolled out.

        Raises:
            BadDataError: the file holds something else.
        """
        name = f"{FOLDER}/{model}.json"
        if not self._files.exists(name):
            return RolloutState(model=model)
        try:
            return RolloutState.model_validate_json(self._files.read_bytes(name))
        except ValidationError as error:
            first = error.errors()[0]["msg"]
            raise BadDataError(
                f"{self._files.uri(name)} is no rollout state ({first}): delete it and run "
                "`twin rollout start` again"
            ) from None

    def save(self, state: RolloutState) -> None:
        """Write a model's state."""
        self._files.write_text(f"{FOLDER}/{state.model}.json", state.model_dump_json(indent=2))

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
