"""The Serve application of one model version: retrieval and prompt, on processors only.

It holds no language model: an engine in an application of its own writes the answers. A replica
reads no registry: its arguments say all, so it starts and answers while MLflow is down.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from ray import serve  # noqa: TID253 - only Serve imports this module

from twin.domain.errors import BadConfigurationError
from twin.domain.rollout import ServedVersion
from twin.job import configure_logging
from twin.rag.query import Query, TextsQuery
from twin.rag.text_embedding import TextEmbedding
from twin.recipes import Recipe
from twin.serving.replica_process import (
    import_transformers_without_torch,
    keep_to_gpus,
    keep_to_loopback,
    keep_to_threads,
)
from twin.settings import Settings, get_settings
from twin.stores.serve_config import recipe_of
from twin.stores.tokenizers import fetch_tokenizer

if TYPE_CHECKING:
    from ray.serve import Application

    from twin.models.embedder import Embedder
    from twin.models.engines.engine import Engine
    from twin.rag.chain import Chain

#: Threads of a replica's embedder: one question at a time is encoded in milliseconds.
THREADS = 1


class VersionArguments(BaseModel):
    """Which version, and the engine that writes (written by `twin.stores.serve_config`).

    ``engine`` is the engine's application; None means that the recipe's remote endpoint writes.
    """

    model: str
    served: ServedVersion
    engine: str | None = None
    adapter: str | None = None


class Version:
    """A replica."""

    async def __init__(self, arguments: VersionArguments) -> None:  # type: ignore[misc]
        from twin.serving.ray_metrics import RayMetrics
        from twin.serving.traces import send_traces

        configure_logging()
        keep_to_gpus(0)
        keep_to_threads(THREADS)
        recipe = recipe_of(arguments.served)
        settings = get_settings().model_copy(update={"threads": THREADS})
        keep_to_loopback(settings)
        send_traces(settings, recipe, RayMetrics())
        engine = await _engine(arguments, recipe)
        embedder = await asyncio.to_thread(_load_embedder, recipe, settings)
        self._embedding = TextEmbedding(embedder)
        self._chain = await asyncio.to_thread(
            _load_chain, arguments, recipe, engine, settings, embedder
        )
        await self._chain.warm_up()

    async def answer(self, query: dict[str, Any]) -> dict[str, Any]:
        """A `Query` to an `Answer`, both as JSON-like data."""
        answer = await self._chain.answer(Query.model_validate(query))
        return answer.model_dump(mode="json")

    async def stream(self, query: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """A `Query` to `AnswerPart`s, as JSON-like data."""
        async with contextlib.aclosing(self._chain.stream(Query.model_validate(query))) as parts:
            async for part in parts:
                yield part.model_dump(mode="json")

    async def search(self, query: dict[str, Any]) -> dict[str, Any]:
        """A `Query` to `FoundPassages`, both as JSON-like data."""
        found = await self._chain.find(Query.model_validate(query))
        return found.model_dump(mode="json")

    async def embed(self, query: dict[str, Any]) -> dict[str, Any]:
        """A `TextsQuery` to `EmbeddedTexts`, both as JSON-like data."""
        embedded = await self._embedding.embed(TextsQuery.model_validate(query))
        return embedded.model_dump()


async def _engine(arguments: VersionArguments, recipe: Recipe) -> "Engine":
    if arguments.engine:
        from twin.serving.served_engine import ServedEngine

        seconds = recipe.serving.start_timeout_seconds
        return await ServedEngine.connect(arguments.engine, arguments.adapter, seconds)
    if recipe.serving.remote is None:
        raise BadConfigurationError(
            "neither an engine application nor serving.remote is given: run `twin rollout start`"
        )
    from twin.models.engines.remote import RemoteEngine

    return RemoteEngine.open(recipe.serving.remote)


def _load_embedder(recipe: Recipe, settings: Settings) -> "Embedder":
    from twin.models.embedder import load_embedder

    embedder = load_embedder(recipe.features.embedder, settings)
    embedder.encode([recipe.author.name])  # converts the model if that was never done, by torch
    return embedder


def _load_chain(
    arguments: VersionArguments,
    recipe: Recipe,
    engine: "Engine",
    settings: Settings,
    embedder: "Embedder",
) -> "Chain":
    from twin.rag.chain import Lineage, load_chain

    served = arguments.served
    tokenizer = fetch_tokenizer(*served.model_source, settings)
    import_transformers_without_torch()
    lineage = Lineage(arguments.model, served.name, arguments.adapter, served.configuration)
    return load_chain(recipe, engine, tokenizer, settings, lineage, embedder=embedder, caches=True)


def build(args: dict[str, Any]) -> "Application":
    """The application of the version that ``args`` describe (see `twin.stores.serve_config`)."""
    # Loading fails for reasons that trying again seldom mends: two more attempts are enough.
    deployment = serve.deployment(name="Version", max_constructor_retry_count=2)(Version)
    return deployment.bind(VersionArguments.model_validate(args))
