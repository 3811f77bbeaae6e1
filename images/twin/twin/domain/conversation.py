"""Turns of a conversation."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Turn(BaseModel):
    """What one side said."""

    model_config = ConfigDict(frozen=True)

    role: Literal["user", "assistant"]
    content: str
