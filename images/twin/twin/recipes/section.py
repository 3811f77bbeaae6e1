"""What every part of a recipe is made of: the closed base model and its common types."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
#: As a slug, and with dots between its parts, as a model's size has them: llama-3.1-8b.
RecipeName = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9-]*(\.[a-z0-9-]+)*$", min_length=1, max_length=41)
]
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")]


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]
HttpUrl = Annotated[str, Field(pattern=r"^https?://[^/\s]+")]
HostAndPort = Annotated[str, Field(pattern=r"^[^/\s]+:\d{1,5}$")]


class Section(BaseModel):
    """A part of a recipe: immutable, and closed to keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
