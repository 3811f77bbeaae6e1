"""Section `features.reranker` of a recipe: how `twin features train-reranker` trains."""

from pydantic import Field, PositiveFloat, PositiveInt

from twin.recipes.section import Section


class RerankerSection(Section):
    """A cross-encoder that begins with the embedder's weights.

    The defaults fit some hundred questions on two cores: minutes, not hours.
    """

    negatives: PositiveInt = Field(
        default=4,
        le=30,
        description="passages that do not answer, beside each question's one that does: two that "
        "the search finds first, the others drawn from the twenty that it finds next",
    )
    epochs: PositiveFloat = Field(default=2.0, le=50)
    learning_rate: PositiveFloat = 3e-5
    batch_size: PositiveInt = Field(default=8, description="questions of a step")
    max_length: int = Field(
        default=256, ge=32, description="tokens of question and passage together; more is cut off"
    )
    max_questions: PositiveInt = Field(default=4_000, description="drawn of more")
    save_steps: PositiveInt = Field(
        default=50, description="steps between checkpoints, from which a killed training goes on"
    )
    seed: int = 13
