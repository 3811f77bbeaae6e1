"""Embedders that a recipe's own questions have tuned, in the file store.

A recipe names one by version, ``features.embedder: tuned/RECIPE/VERSION``, so that the vectors of
an index and those of questions never come from two of them.
"""

import re
from pathlib import Path

from twin.domain.errors import BadDataError
from twin.settings import Settings
from twin.stores.files import open_files
from twin.stores.trained_models import TrainedModels, TrainedReport
from twin.stores.weights import fetch_checked, weights_cache

_NAME = re.compile(r"tuned/(?P<recipe>[^/\s]+)/(?P<version>[0-9a-f]{12})")


class EmbedderReport(TrainedReport):
    """What was tuned, on what, and what the search gains by it; ``embedder`` is the one before."""


class TunedEmbedders(TrainedModels[EmbedderReport]):
    """The tuned embedders of one recipe."""

    FOLDER = "embedders"
    REPORT_TYPE = EmbedderReport

    def name(self, version: str) -> str:
        """What `features.embedder` calls a version."""
        return f"tuned/{self._recipe}/{version}"


def is_tuned(name: str) -> bool:
    """Whether an embedder's name is that of a tuned one."""
    return _NAME.fullmatch(name) is not None


def fetch_tuned_embedder(name: str, settings: Settings) -> Path:
    """A local folder with a tuned embedder, of which every byte is checked.

    Args:
        name: as `TunedEmbedders.name` has it.
        settings: where the file store is.

    Raises:
        BadDataError: there is no such one, or it does not find more than the one before it.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise BadDataError(f"features.embedder {name!r}: a tuned one is tuned/RECIPE/VERSION")
    recipe, version = match["recipe"], match["version"]
    files = open_files(settings)
    tuned = TunedEmbedders(files, recipe)
    report = tuned.report(version)
    advice = f"run `twin features finetune-embedder --recipe {recipe}`"
    if report is None:
        raise BadDataError(f"features.embedder {name!r}: not in the file store: {advice}")
    if not report.wins:
        gain = report.validation
        raise BadDataError(
            f"features.embedder {name!r}: does not find more than {report.embedder} (nDCG@10 "
            f"{gain.before:.3f} before, {gain.after:.3f} after): keep that one"
        )
    relative = tuned.folder(version)
    digest = files.published_digest(relative)
    return fetch_checked(files, relative, digest, weights_cache(settings), advice)
