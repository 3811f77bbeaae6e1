"""Section of a recipe: which general abilities are measured beside the author's questions."""

from typing import Self

from pydantic import Field, PositiveInt, model_validator

from twin.recipes.places import RELATIVE, LocalPath
from twin.recipes.section import Section


class AbilitiesSection(Section):
    """Tasks of lm-eval that base and candidate both do. Without any, nothing is measured."""

    tasks: tuple[str, ...] = Field(
        default=(),
        description="names of tasks: those of `folder`, else those that lm-eval brings, whose "
        "questions are fetched from the model hub",
    )
    folder: LocalPath | None = Field(
        default=None,
        description="tasks of one's own, as lm-eval has them: a YAML file each, and the questions "
        f"beside it (JSONL, CSV, Parquet); no hub is needed for them; {RELATIVE}",
    )
    limit: PositiveInt | None = Field(
        default=None, description="questions of a task, the first ones; unset: all"
    )
    few_shot: int | None = Field(
        default=None,
        ge=0,
        description="worked examples before each question, of the task's own split for them; "
        "unset: as the task says",
    )
    chat: bool = Field(
        default=False,
        description="whether questions are put as turns of a conversation; off, as published "
        "figures of base models are made",
    )

    @model_validator(mode="after")
    def _folder_is_of_tasks(self) -> Self:
        if self.folder is not None and not self.tasks:
            raise ValueError("folder without tasks: name those of it that are to be measured")
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError("a task is named twice")
        return self
