"""Two drafts of one topic, shown to a person who is not told what wrote which."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Label = Literal["A", "B"]
Preferred = Literal["A", "B", "tie"]
LABELS: tuple[Label, Label] = ("A", "B")


class Arm(BaseModel):
    """What wrote one of the drafts, and how; None: as the recipe has it."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    draft_id: str
    model: str
    model_version: str
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None


class DraftComparison(BaseModel):
    """A comparison as it is kept; the drafts themselves are kept as answers are."""

    model_config = ConfigDict(frozen=True)

    id: str
    expires: datetime
    arms: dict[Label, Arm] = Field(description="by the label under which a person saw it")
    preferred: Preferred | None = Field(default=None, description="null before the vote")
