"""The pipeline spread over processes, or over a cluster's nodes, by Ray Data.

Tasks read and cut slices of the documents, actors with a loaded model embed them, and this process
writes what they stream back. Ray holds a few slices at a time, however many there are.
"""

import os
import pickle
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from twin.domain.errors import BadConfigurationError
from twin.features.chunker import Chunker, chunker_of_recipe
from twin.features.pipeline import Embedded, Prepared, current, embed, prepare
from twin.features.plan import Wanted
from twin.models.embedder import load_embedder
from twin.recipes import FeaturesSection, Recipe
from twin.settings import Settings
from twin.stores.warehouse import open_warehouse

DOCUMENTS_PER_TASK = 32
DOCUMENTS_PER_BATCH = 16
"""Documents that an actor embeds together."""

Row = dict[str, Any]


def embed_spread(
    settings: Settings,
    recipe: Recipe,
    wanted: Mapping[str, Wanted],
    ids: Sequence[str],
) -> Iterator[Embedded]:
    """Cut and embed documents by ``features.workers`` processes.

    Raises:
        BadConfigurationError: Ray is not installed here.
    """
    features = recipe.features
    if find_spec("ray") is None:
        raise BadConfigurationError(
            f"features.workers = {features.workers}: Ray is not installed here: "
            'pip install "ray[data]", or set features.workers to 1'
        )
    import ray
    from ray.data import ActorPoolStrategy, DataContext

    started = not ray.is_initialized()
    if started:
        # Within this process: no token, which Ray would leave in ~/.ray for every later use of it.
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        # Ray's workers give way to every other process: beside others they took ten times as long.
        os.environ.setdefault("RAY_worker_niceness", "0")
        ray.init(num_cpus=features.workers + 1, include_dashboard=False, log_to_driver=False)
    DataContext.get_current().enable_progress_bars = False
    try:
        ordered = sorted(ids)
        slices = [
            {"wanted": pickle.dumps({id_: wanted[id_] for id_ in some})}
            for some in (
                ordered[start : start + DOCUMENTS_PER_TASK]
                for start in range(0, len(ordered), DOCUMENTS_PER_TASK)
            )
        ]
        rows = (
            ray.data.from_items(slices, override_num_blocks=len(slices))
            .flat_map(_Cut(settings, recipe), num_cpus=0.5)
            .map_batches(
                _Embed,
                fn_constructor_args=(settings, features),
                batch_size=DOCUMENTS_PER_BATCH,
                compute=ActorPoolStrategy(size=features.workers),
                num_gpus=1 if ray.cluster_resources().get("GPU") else 0,
            )
        )
        for row in rows.iter_rows():
            yield pickle.loads(row["embedded"])  # noqa: S301 - made by our own workers
    finally:
        if started:
            ray.shutdown()


class _Cut:
    """Reads and cuts a slice of documents."""

    def __init__(self, settings: Settings, recipe: Recipe) -> None:
        self._settings = settings
        self._recipe = recipe

    def __call__(self, row: Row) -> list[Row]:
        wanted: dict[str, Wanted] = pickle.loads(row["wanted"])  # noqa: S301 - made by ourselves
        chunker = _chunker(self._settings, self._recipe)
        with open_warehouse(self._settings) as warehouse:
            documents = warehouse.live_documents(self._recipe.author.id, wanted)
            return [
                {"prepared": pickle.dumps(prepare(chunker, document, wanted[document.id]))}
                for document in current(documents, wanted)
            ]


class _Embed:
    """Embeds a batch of documents; an actor's model is loaded once."""

    def __init__(self, settings: Settings, features: FeaturesSection) -> None:
        self._embedder = load_embedder(features.embedder, settings, batch_size=features.batch_size)

    def __call__(self, batch: Row) -> Row:
        prepared: list[Prepared] = [pickle.loads(item) for item in batch["prepared"]]  # noqa: S301
        return {"embedded": [pickle.dumps(embed(self._embedder, prepared))]}


_chunkers: dict[str, Chunker] = {}


def _chunker(settings: Settings, recipe: Recipe) -> Chunker:
    """A worker process's own, made once: its tokenizer takes a while to load."""
    key = recipe.digest()
    if key not in _chunkers:
        features = recipe.features
        embedder = load_embedder(features.embedder, settings, batch_size=features.batch_size)
        _chunkers[key] = chunker_of_recipe(recipe, embedder)
    return _chunkers[key]
