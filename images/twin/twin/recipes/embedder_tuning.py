"""Section `features.tuning` of a recipe: how `twin features finetune-embedder` trains."""

from pydantic import Field, PositiveFloat, PositiveInt

from twin.recipes.section import Section


class EmbedderTuningSection(Section):
    """The embedder, trained on by questions and the passages that answer them.

    The defaults fit some hundred questions on two cores: minutes, not hours.
    """

    epochs: PositiveFloat = Field(default=2.0, le=50)
    learning_rate: PositiveFloat = 2e-5
    batch_size: int = Field(
        default=32,
        ge=2,
        description="questions of a step: each question's passage is among so many passages of "
        "others, so larger is harder",
    )
    mini_batch_size: PositiveInt = Field(
        default=16,
        description="of these in memory at once; it changes time and memory alone",
    )
    negatives: int = Field(
        default=1,
        ge=0,
        le=8,
        description="passages of each question that the search finds and that do not answer it",
    )
    max_questions: PositiveInt = Field(default=4_000, description="drawn of more")
    save_steps: PositiveInt = Field(
        default=50, description="steps between checkpoints, from which a killed training goes on"
    )
    seed: int = 13
