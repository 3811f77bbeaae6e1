"""Trained rerankers in the file store, versioned beside the index that they were trained on."""

from pathlib import Path

from pydantic import Field

from twin.domain.errors import BadDataError
from twin.recipes import Recipe
from twin.settings import Settings
from twin.stores.files import open_files
from twin.stores.trained_models import TrainedModels, TrainedReport
from twin.stores.weights import fetch_checked, weights_cache

#: `retrieval.rerank` of a recipe, and with the version after it of what a rollout serves.
TRAINED = "trained"
PINNED = "trained@"


class RerankerReport(TrainedReport):
    """What was trained, on what, and what it gains: chosen by validation, told of test."""

    weight: float = Field(ge=0, le=1, description="of its scores beside the search's")
    max_length: int


class Rerankers(TrainedModels[RerankerReport]):
    """The trained rerankers of one recipe; `retrieval.rerank: trained` is the offered one."""

    FOLDER = "rerankers"
    REPORT_TYPE = RerankerReport


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
