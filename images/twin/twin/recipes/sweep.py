"""Section `training.sweep` of a recipe: where better values of fine-tuning are looked for."""

from pydantic import Field, PositiveInt, model_validator

from twin.recipes.section import Section


class RangeSection(Section):
    """Numbers that a sweep draws from, both ends included; whole ones if both ends are."""

    low: float
    high: float
    log: bool = Field(
        default=False, description="even over the orders of magnitude, as suits learning rates"
    )

    @model_validator(mode="after")
    def _has_room(self) -> "RangeSection":
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be less than high ({self.high})")
        if self.log and self.low <= 0:
            raise ValueError(f"low ({self.low}) must be above 0 where log is true")
        return self


class ChoicesSection(Section):
    """Values that a sweep chooses from."""

    choices: tuple[bool | int | float | str, ...] = Field(min_length=2)


class SweepSection(Section):
    """What `twin training sweep` searches: values of fine-tuning, by its validation loss."""

    space: dict[str, RangeSection | ChoicesSection] = Field(
        default={
            "sft.learning_rate": RangeSection(low=5e-5, high=1e-3, log=True),
            "lora.rank": ChoicesSection(choices=(8, 16, 32)),
        },
        min_length=1,
        description="key of the section training, such as sft.learning_rate, to a range or choices",
    )
    startup_trials: PositiveInt = Field(
        default=5,
        description="that are drawn at random and never stopped early; after them Optuna's TPE "
        "draws near the good ones, and a trial whose validation loss is worse than the median of "
        "the others at the same step ends",
    )
