"""Section `training.classifiers` of a recipe: classifiers that learn from labelled texts."""

from pydantic import Field, PositiveInt, model_validator

from twin.recipes.places import RELATIVE, LocalPath, ModelName
from twin.recipes.section import Fraction, Slug
from twin.recipes.steps import StepsSection


class TextClassifierSection(StepsSection):
    """A classifier that is trained on labelled texts: `twin training classifier fit`."""

    name: Slug = Field(description="of the classifier, in names of folders and in MLflow")
    corpus: LocalPath = Field(
        description="labelled texts, JSON Lines or CSV with text and label, and if known group "
        "(texts of one document, thread or family, which never part) and split (train, "
        f"validation, test); {RELATIVE}"
    )
    encoders: tuple[ModelName, ...] = Field(
        default=("all-minilm-l6-v2",),
        min_length=1,
        description="a packaged embedder, a folder or a hub id; each is fine-tuned, and the best "
        "by validation is taken",
    )
    validation_share: float = Field(
        default=0.2, gt=0, le=0.5, description="where the corpus has no split of that name"
    )
    test_share: float = Field(
        default=0.2, gt=0, le=0.5, description="where the corpus has no split of that name"
    )
    class_weights: bool = Field(
        default=True,
        description="rare labels count as much as frequent ones; where all are as frequent it "
        "changes nothing",
    )
    alarms: tuple[str, ...] = Field(
        default=(),
        description="labels that are to be met, such as INJECTION or poor: a threshold of their "
        "probability is chosen by validation",
    )
    wrongly: Fraction = Field(
        default=0.005,
        description="share of the validation texts with other labels that the threshold may meet",
    )
    epochs: float = Field(default=8.0, gt=0, description="at most: training stops early")
    learning_rate: float = Field(
        default=5e-5, gt=0, description="of a whole small encoder; an adapter's would break it"
    )
    batch_size: PositiveInt = 16
    max_length: PositiveInt = Field(
        default=256, description="tokens of a text that are trained on; the rest is cut"
    )
    warmup_share: Fraction = 0.1
    weight_decay: float = Field(default=0.01, ge=0)
    early_stopping: PositiveInt = Field(
        default=3,
        description="checkpoints in a row without a lower validation loss after which training "
        "stops; it ends with the best",
    )

    @model_validator(mode="after")
    def _encoders_differ(self) -> "TextClassifierSection":
        if len(set(self.encoders)) < len(self.encoders):
            raise ValueError(f"encoders: {self.name} names one twice")
        return self
