"""Models that a recipe's own data has trained, in the file store: versioned, offered if they win.

``<folder>/<recipe>/<version>/`` holds the weights (safetensors) and ``report.json``;
``<folder>/<recipe>/latest.json`` names the version that is offered, if one has won.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from twin.domain.errors import BadDataError
from twin.stores.files import FileStore

REPORT = "report.json"


class Gain(BaseModel):
    """How much better than before, over groups of questions about one document.

    ``low`` is None where there are too few groups for an interval.
    """

    model_config = ConfigDict(frozen=True)

    questions: int
    documents: int
    before: float = Field(description="nDCG@10 without the model")
    after: float = Field(description="nDCG@10 with it")
    low: float | None = Field(default=None, description="of the gain, 95 % interval")
    high: float | None = None

    @property
    def is_proved(self) -> bool:
        """Whether it is above zero beyond chance."""
        return self.low is not None and self.low > 0


class TrainedReport(BaseModel):
    """What was trained, on what, and what it gains: decided by validation, told of test."""

    model_config = ConfigDict(frozen=True)

    version: str
    embedder: str
    dataset_version: str
    index_fingerprint: str
    trained_on: int = Field(description="questions")
    validation: Gain
    test: Gain | None = None
    wins: bool = Field(description="whether the gain on validation questions is proved")


Report = TypeVar("Report", bound=TrainedReport)


class TrainedModels(Generic[Report]):
    """The models of one kind that one recipe has trained."""

    FOLDER: ClassVar[str]
    REPORT_TYPE: ClassVar[type[TrainedReport]]

    def __init__(self, files: FileStore, recipe: str) -> None:
        self._files = files
        self._recipe = recipe
        self._root = f"{self.FOLDER}/{recipe}"

    def folder(self, version: str) -> str:
        """Relative name of a version's folder."""
        return f"{self._root}/{version}"

    def report(self, version: str) -> Report | None:
        """The report of a version; None if it is not there.

        Raises:
            BadDataError: it is damaged.
        """
        if not self._files.is_published(self.folder(version)):
            return None
        name = f"{self.folder(version)}/{REPORT}"
        try:
            found: Report = self.REPORT_TYPE.model_validate_json(  # type: ignore[assignment]
                self._files.read_bytes(name)
            )
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise BadDataError(f"{self._files.uri(name)} is no report: {reason}") from None
        return found

    def reports(self) -> Iterator[tuple[str, Report]]:
        """Every version with its report, by name.

        Raises:
            BadDataError: one is damaged.
        """
        for version in self._files.names(self._root):
            report = self.report(version)
            if report is not None:
                yield version, report

    def publish(self, folder: Path, report: Report) -> str:
        """Publish a version with its report, and offer it if it wins; returns its URI."""
        (folder / REPORT).write_text(report.model_dump_json(indent=2), encoding="utf-8")
        uri = self._files.publish_folder(folder, self.folder(report.version))
        self.offer(report)
        return uri

    def offer(self, report: Report) -> None:
        """Make a version that wins the one that is offered."""
        if report.wins and self.offered() != report.version:
            self._files.write_json(f"{self._root}/latest.json", {"version": report.version})

    def offered(self) -> str | None:
        """The version that is offered, if one has won."""
        name = f"{self._root}/latest.json"
        if not self._files.exists(name):
            return None
        return str(self._files.read_json(name)["version"])
