"""How a version writes where a study of decoding has chosen that: a tag of it in the registry.

The recipe's ``serving`` is how every version writes. `twin evaluation decoding --apply` leaves on
one version what is proved to be better for it, and beside it the recipe's values that this was
better than. Serving goes by the tag as long as the recipe still has those: who changes the recipe
afterwards is taken at their word.
"""

from collections.abc import Mapping

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from twin.domain.errors import BadDataError
from twin.recipes import Recipe, ServingSection

TAG = "decoding"

#: Keys of the recipe's ``serving`` that a study chooses.
KEYS = ("temperature", "top_p", "top_k", "min_p", "beams")

log = structlog.get_logger("twin")


class ChosenDecoding(BaseModel):
    """The tag's value, as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    settings: dict[str, float] = Field(description="keys of serving")
    instead_of: dict[str, float] = Field(description="the recipe's, when they were chosen")
    run: str = Field(default="", description="URL of the study's MLflow run")


def decoding_of(serving: ServingSection) -> dict[str, float]:
    """The recipe's own values of what a study chooses."""
    return {key: getattr(serving, key) for key in KEYS}


def with_chosen_decoding(recipe: Recipe, version: str, tags: Mapping[str, str]) -> Recipe:
    """The recipe as this version is served with it.

    Args:
        recipe: of the model.
        version: its number, for errors.
        tags: the version's.

    Raises:
        BadDataError: the tag is none that this code reads, or the recipe's engine can't do it.
    """
    if TAG not in tags:
        return recipe
    try:
        chosen = ChosenDecoding.model_validate_json(tags[TAG])
        if decoding_of(recipe.serving) != chosen.instead_of:
            log.warning(
                "the recipe's decoding is not what this version's was chosen instead of: the "
                "recipe's is served; run twin evaluation decoding --apply to choose anew",
                model=recipe.model_name,
                version=version,
            )
            return recipe
        values = recipe.serving.model_dump(exclude=set(KEYS)) | chosen.settings
        serving = ServingSection.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadDataError(
            f"version {version} of {recipe.model_name} has a tag {TAG} that can't be served "
            f"({first['msg']}): run twin evaluation decoding --apply anew, or delete the tag"
        ) from None
    return recipe.model_copy(update={"serving": serving})
