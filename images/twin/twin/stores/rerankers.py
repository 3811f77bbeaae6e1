"""Trained rerankers in the file store, versioned beside the index that they were trained on.

``rerankers/<recipe>/<version>/`` holds the cross-encoder (safetensors) and ``report.json``;
``rerankers/<recipe>/latest.json`` names the version that is offered, if one has won.
"""

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from twin.domain.errors import BadDataError
from twin.recipes import Recipe
from twin.settings import Settings
from twin.stores.files import FileStore, open_files
from twin.stores.weights import fetch_checked, weights_cache

FOLDER = "rerankers"
REPORT = "report.json"
#: `retrieval.rerank` of a recipe, and with the version after it of what a rollout serves.
TRAINED = "trained"
PINNED = "trained@"


class Gain(BaseModel):
    """How much better than the search alone, over groups of questions about one document.

    ``low`` is None where there are too few groups for an interval.
    """

    model_config = ConfigDict(frozen=True)

    questions: int
    documents: int
    before: float = Field(description="nDCG@10 of the search alone")
    after: float = Field(description="nDCG@10 after reranking")
    low: float | None = Field(default=None, description="of the gain, 95 % interval")
    high: float | None = None

    @property
    def is_proved(self) -> bool:
        """Whether it is above zero beyond chance."""
        return self.low is not None and self.low > 0


class RerankerReport(BaseModel):
    """What was trained, on what, and what it gains: chosen by validation, told of test."""

    model_config = ConfigDict(frozen=True)

    version: str
    embedder: str
    dataset_version: str
    index_fingerprint: str
    weight: float = Field(ge=0, le=1, description="of its scores beside the search's")
    max_length: int
    trained_on: int = Field(description="questions")
    validation: Gain
    test: Gain | None = None
    wins: bool = Field(description="whether the gain on validation questions is proved")


class Rerankers:
    """The trained rerankers of one recipe."""

    def __init__(self, files: FileStore, recipe: str) -> None:
        self._files = files
        self._recipe = recipe
        self._root = f"{FOLDER}/{recipe}"

    def folder(self, version: str) -> str:
        """Relative name of a version's folder."""
        return f"{self._root}/{version}"

    def report(self, version: str) -> RerankerReport | None:
        """The report of a version; None if it is not there.

        Raises:
            BadDataError: it is damaged.
        """
        if not self._files.is_published(self.folder(version)):
            return None
        name = f"{self.folder(version)}/{REPORT}"
        try:
            return RerankerReport.model_validate_json(self._files.read_bytes(name))
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise BadDataError(f"{self._files.uri(name)} is no report: {reason}") from None

    def reports(self) -> Iterator[tuple[str, RerankerReport]]:
        """Every version with its report, by name.

        Raises:
            BadDataError: one is damaged.
        """
        for version in self._files.names(self._root):
            report = self.report(version)
            if report is not None:
                yield version, report

    def publish(self, folder: Path, report: RerankerReport) -> str:
        """Publish a version with its report, and offer it if it wins; returns its URI."""
        (folder / REPORT).write_text(report.model_dump_json(indent=2), encoding="utf-8")
        uri = self._files.publish_folder(folder, self.folder(report.version))
        self.offer(report)
        return uri

    def offer(self, report: RerankerReport) -> None:
        """Make a version that wins the one that `retrieval.rerank: trained` means."""
        if report.wins and self.offered() != report.version:
            self._files.write_json(f"{self._root}/latest.json", {"version": report.version})

    def offered(self) -> str | None:
        """The version that is offered, if one has won."""
        name = f"{self._root}/latest.json"
        if not self._files.exists(name):
            return None
        return str(self._files.read_json(name)["version"])


def pinned_reranker(name: str, recipe: str, settings: Settings) -> str:
    """`retrieval.rerank` with the version that is offered now, where it is ``trained``.

    Raises:
        BadDataError: none is offered; says what to run.
    """
    if name != TRAINED:
        return name
    version = Rerankers(open_files(settings), recipe).offered()
    if version is None:
        raise BadDataError(
            f"retrieval.rerank: {TRAINED}, but no reranker of recipe {recipe} has won yet: run "
            f"`twin features train-reranker --recipe {recipe}`, or set it to off or maxsim"
        )
    return f"{PINNED}{version}"


def with_pinned_reranker(recipe: Recipe, settings: Settings) -> Recipe:
    """The recipe whose ``retrieval.rerank`` names the version that is offered now.

    So a rollout serves one, and another is rolled out as any other change is.

    Raises:
        BadDataError: it asks for a trained one, and none is offered.
    """
    name = pinned_reranker(recipe.retrieval.rerank, recipe.name, settings)
    if name == recipe.retrieval.rerank:
        return recipe
    retrieval = recipe.retrieval.model_copy(update={"rerank": name})
    return recipe.model_copy(update={"retrieval": retrieval})


def fetch_reranker(name: str, recipe: str, settings: Settings) -> tuple[Path, RerankerReport]:
    """A local folder with a trained reranker, and its report.

    Args:
        name: ``trained``, or ``trained@`` and a version.
        recipe: whose it is.
        settings: where the file store is.

    Raises:
        BadDataError: there is no such one; says what to run.
    """
    version = pinned_reranker(name, recipe, settings).removeprefix(PINNED)
    files = open_files(settings)
    rerankers = Rerankers(files, recipe)
    report = rerankers.report(version)
    if report is None:
        raise BadDataError(
            f"no reranker {version} of recipe {recipe} in the file store: run "
            f"`twin features train-reranker --recipe {recipe}`"
        )
    relative = rerankers.folder(version)
    advice = "run `twin features train-reranker` again"
    digest = files.published_digest(relative)
    return fetch_checked(files, relative, digest, weights_cache(settings), advice), report
