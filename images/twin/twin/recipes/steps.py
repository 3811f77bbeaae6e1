"""Section of a recipe that every training has: its steps."""

from typing import Literal

from pydantic import Field, PositiveInt

from twin.recipes.section import Fraction, Section


class StepsSection(Section):
    """What both stages of training say of their steps."""

    epochs: float = Field(default=1.0, gt=0)
    max_steps: int = Field(default=-1, ge=-1, description="-1: by epochs")
    learning_rate: float = Field(gt=0, lt=1)
    batch_size: PositiveInt
    gradient_accumulation: PositiveInt = Field(
        default=1, description="batches whose gradients are added up to one step"
    )
    max_length: PositiveInt = Field(default=768, description="tokens; longer samples are refused")
    schedule: Literal["cosine", "linear", "constant"] = Field(
        default="cosine",
        description="of the learning rate after its warm-up: cosine and linear fall to zero, so "
        "that the last steps settle; constant suits a training whose end nobody knows yet",
    )
    warmup_share: Fraction = Field(
        default=0.0, description="of the steps, in which the learning rate rises to its full value"
    )
    weight_decay: float = Field(
        default=0.0,
        ge=0,
        description="AdamW's; adapters start at nothing and are small, so there is little to decay",
    )
    max_gradient_norm: float = Field(
        default=1.0, ge=0, description="larger gradients are scaled down to it; 0: never"
    )
    adam_beta1: float = Field(default=0.9, ge=0, lt=1)
    adam_beta2: float = Field(default=0.999, ge=0, lt=1)
    adam_epsilon: float = Field(default=1e-8, gt=0)
    gradient_checkpointing: bool | None = Field(
        default=None,
        description="compute activations again in the backward pass: less memory, a third more "
        "time. Unset: on GPUs, whose memory is the limit; not on processors, whose time is",
    )
    logging_steps: PositiveInt = Field(default=1, description="steps between points of the curves")
    save_steps: PositiveInt = Field(default=20, description="steps between checkpoints")
    checkpoints_kept: PositiveInt = Field(
        default=1, description="the newest, in the file store; the best is kept beside them"
    )
