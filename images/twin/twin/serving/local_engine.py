"""The Serve application of an engine that runs in this environment: llama.cpp or transformers.

It has no route: versions reach it by its handle, with plain data (`twin.serving.engine_messages`).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from ray import serve  # noqa: TID253 - only Serve imports this module

from twin.domain.errors import TwinError
from twin.job import configure_logging, log
from twin.models.adapters import check_engines_base
from twin.models.engines.open_engine import EngineSite, open_engine
from twin.recipes import ServingSection
from twin.serving.engine_messages import answer_items
from twin.serving.replica_process import keep_to_gpus, keep_to_loopback, keep_to_threads
from twin.settings import get_settings
from twin.stores.weights import fetch_weights

if TYPE_CHECKING:
    from pathlib import Path

    from ray.serve import Application

    from twin.models.engines.engine import Engine as RunningEngine


class EngineArguments(BaseModel):
    """Which model, and how to run it (written by `twin.stores.serve_config`)."""

    weights_uri: str
    weights_digest: str
    serving: ServingSection

    @property
    def threads(self) -> int:
        """As many as cores are reserved: more only get in each other's way."""
        return self.serving.cpus_per_replica or 1


class AdapterSource(BaseModel):
    """Where a LoRA adapter lies."""

    uri: str
    digest: str


class Engine:
    """A replica: one engine with its model. Its ``user_config`` names the adapters beside it."""

    def __init__(self, arguments: EngineArguments) -> None:
        configure_logging()
        self._arguments = arguments
        self._serving = arguments.serving
        self._settings = get_settings()
        self._engine: RunningEngine | None = None
        self._sources: dict[str, AdapterSource] = {}
        self._folders: dict[str, Path] = {}
        self._held: dict[str, Path] = {}
        self._refused: dict[str, str] = {}
        keep_to_loopback(self._settings)
        keep_to_threads(arguments.threads)
        keep_to_gpus(self._serving.gpus_per_replica)

    async def reconfigure(self, config: dict[str, Any]) -> None:
        """Take over adapters; Serve calls this after the start and at each change.

        The model is loaded here the first time, since llama.cpp starts with its adapters. A bad
        adapter is refused and ends nothing: other versions are answered by this engine too.
        """
        wanted = {
            name: AdapterSource.model_validate(item)
            for name, item in config.get("adapters", {}).items()
        }
        if self._engine is None:
            self._engine = await asyncio.to_thread(self._load)
        new = {name: wanted[name] for name in wanted if self._sources.get(name) != wanted[name]}
        kept = {name: path for name, path in self._folders.items() if name in wanted}
        self._refused = {}
        fetched = await self._fetched(new)
        try:
            # All at once: llama.cpp loads the model anew for each set of adapters.
            await self._hold({**kept, **fetched})
            kept |= fetched
        except TwinError:
            kept = await self._held_singly(kept, fetched)
        await self._hold(kept)
        self._folders = kept
        self._sources = {name: wanted[name] for name in kept}

    async def stream(self, request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """An `EngineRequest` to the items of an answer, both as plain data."""
        async with contextlib.aclosing(answer_items(self._running, request)) as items:
            async for item in items:
                yield item

    async def describe(self) -> dict[str, Any]:
        """What a version asks before its first request."""
        return {
            "engine": self._serving.engine_kind,
            "context_tokens": self._running.context_tokens,
            "adapters": sorted(self._folders),
            "refused": self._refused,
        }

    async def check_health(self) -> None:
        """Serve asks now and then, and replaces a replica that raises."""
        if self._engine is not None:
            await self._engine.check_health()

    async def __del__(self) -> None:
        """Free the model when Serve ends the replica."""
        if self._engine is not None:
            await self._engine.close()

    async def _fetched(self, sources: dict[str, AdapterSource]) -> "dict[str, Path]":
        """Folders of the adapters that can be had; the others are refused."""
        folders = {}
        for name, source in sources.items():
            try:
                folder = await asyncio.to_thread(self._fetch, source.uri, source.digest)
                check_engines_base(folder, self._arguments.weights_digest)
                folders[name] = folder
            except TwinError as error:
                self._refuse(name, error)
        return folders

    async def _held_singly(
        self, kept: "dict[str, Path]", new: "dict[str, Path]"
    ) -> "dict[str, Path]":
        """The adapters that the engine takes, found by adding each in turn."""
        for name, folder in new.items():
            try:
                await self._hold({**kept, name: folder})
                kept = {**kept, name: folder}
            except TwinError as error:
                self._refuse(name, error)
        return kept

    def _refuse(self, name: str, error: TwinError) -> None:
        self._refused[name] = str(error)
        log.warning("adapter refused", adapter=name, reason=str(error))

    @property
    def _running(self) -> "RunningEngine":
        if self._engine is None:
            raise RuntimeError("the engine has not been configured")
        return self._engine

    def _load(self) -> "RunningEngine":
        folder = self._fetch(self._arguments.weights_uri, self._arguments.weights_digest)
        cache = self._settings.home.resolve() / "engines"
        return open_engine(folder, self._serving, EngineSite(self._arguments.threads, cache))

    async def _hold(self, folders: "dict[str, Path]") -> None:
        if folders != self._held:
            await self._running.set_adapters(folders)
            self._held = dict(folders)

    def _fetch(self, uri: str, digest: str) -> "Path":
        return fetch_weights(uri, digest, self._settings)


def build(args: dict[str, Any]) -> "Application":
    """The application of the engine that ``args`` describe."""
    deployment = serve.deployment(name="Engine", max_constructor_retry_count=2)(Engine)
    return deployment.bind(EngineArguments.model_validate(args))
