"""Section of a recipe: how the twin writes drafts."""

from typing import Literal

from pydantic import Field, PositiveInt

from twin.recipes.section import Section


class DraftsSection(Section):
    """How a draft is made: its outline, its length, and what it is checked for.

    Each section of a draft is an answer of its own, so ``serving.max_new_tokens`` bounds a section,
    and ``serving.answer_timeout_seconds`` the whole draft.
    """

    outline: Literal["headings", "model"] = Field(
        default="headings",
        description="where the points come from, if neither outline nor a list in the notes gives "
        "them. headings: of the passages on the topic, which suits a small model; model: the model "
        "writes them by a JSON schema (llama.cpp, vLLM and remote endpoints), and what can't be "
        "read gives way to headings",
    )
    max_sections: PositiveInt = Field(
        default=5, le=12, description="of a draft, whatever length is asked for"
    )
    contradictions: Literal["rules", "judge"] = Field(
        default="rules",
        description="how sentences are found that contradict an author's text. rules: those that "
        "are nearly the same but for a number or a negation; judge: the recipe's judge, which sees "
        "other words too, at up to a dozen calls a section; where it does not answer, by rules",
    )
    nearest: PositiveInt = Field(
        default=3,
        le=20,
        description="chunks of the author's texts that each sentence of a draft is compared with, "
        "beside those that it was written from: for what is copied and what contradicts them",
    )
