"""The report of a trained classifier, as it lies beside its weights."""

from pydantic import BaseModel, ConfigDict, Field

from twin.stores.classifiers import REPORT
from twin.training.classifiers.measures import Scores
from twin.training.classifiers.shares import Difference

__all__ = ["CONFUSION", "REPORT", "ClassifierReport"]

CONFUSION = "confusion.png"


class ClassifierReport(BaseModel):
    """What was trained, on what, and what it is worth: chosen by validation, told of test."""

    model_config = ConfigDict(frozen=True)

    name: str
    version: str
    encoder: str
    encoder_digest: str
    corpus: str = Field(description="name of its file")
    corpus_digest: str
    code_version: str
    labels: tuple[str, ...]
    alarms: tuple[str, ...]
    texts: dict[str, int] = Field(description="by split")
    steps: int
    weights_sha256: str
    validation: Scores
    test: Scores
    baselines: dict[str, Scores] = Field(description="on the test split")
    gain: Difference | None = Field(
        description="in accuracy on the test split over the linear model of words"
    )

    def metrics(self) -> dict[str, float]:
        """For MLflow."""
        found = {
            "test.accuracy": self.test.accuracy.value,
            "test.macro_f1": self.test.macro_f1,
            "validation.accuracy": self.validation.accuracy.value,
            "validation.macro_f1": self.validation.macro_f1,
        }
        for place, scores in enumerate(self.baselines.values()):
            kind = ("majority", "words")[place]
            found[f"baseline.{kind}.accuracy"] = scores.accuracy.value
            found[f"baseline.{kind}.macro_f1"] = scores.macro_f1
        if self.test.alarm is not None:
            found["alarm.threshold"] = self.test.alarm.threshold
            for key in ("caught", "wrongly"):
                share = getattr(self.test.alarm, key)
                if share is not None:
                    found[f"test.{key}"] = share.value
        return found
