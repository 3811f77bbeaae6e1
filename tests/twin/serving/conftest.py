"""The endpoint over a real chain in this process; Ray has tests of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import uvicorn
from pydantic import SecretStr

from tests import servers
from tests.twin import twins
from twin.models.embedder import load_embedder
from twin.rag.chain import Chain
from twin.rag.text_embedding import TextEmbedding
from twin.recipes import FeaturesSection
from twin.serving.access import Keys
from twin.serving.api import create_app
from twin.serving.backend import Backend
from twin.serving.routing import RoutingTable
from twin.settings import Settings

KEY = "test-key"
MAX_BODY_BYTES = 300_000


@dataclass
class ChainBackend:
    """`twin.serving.backend.Backend` over one chain in this process."""

    chain: Chain
    table: RoutingTable
    embedding: TextEmbedding | None = None
    streams_left: list[int] = field(default_factory=list)

    async def answer(self, target, query):
        return await self.chain.answer(query)

    async def search(self, target, query):
        return await self.chain.find(query)

    async def embed(self, target, query):
        return await self.embedding.embed(query)

    async def stream(self, target, query):
        sent = 0
        try:
            async for part in self.chain.stream(query):
                sent += 1
                yield part
        finally:
            self.streams_left.append(sent)


@pytest.fixture(scope="session")
def chain(tmp_path_factory) -> Chain:
    home = tmp_path_factory.mktemp("chain")
    settings = Settings(home=home / "home", recipes=home / "recipes")
    recipe = twins.write_recipe(settings.recipes, max_new_tokens=400)
    twins.index_texts(recipe, settings)
    twins.publish_weights(settings, home / "weights")
    return twins.open_chain(recipe, home / "weights", settings, at_once=2)


@pytest.fixture(scope="session")
def backend(chain) -> ChainBackend:
    embedding = TextEmbedding(load_embedder(FeaturesSection().embedder, Settings()))
    table = {"models": {"twin-tiny": {"versions": {"1": 100}, "max_question_characters": 4_000}}}
    return ChainBackend(chain, RoutingTable.model_validate(table), embedding)


@contextmanager
def served(backend: Backend, **options: Any) -> Iterator[str]:
    """URL of the endpoint over a backend, served by uvicorn on a real socket.

    Streams that are under way when the block ends are broken off.
    """
    port = options.pop("port", None) or servers.free_port()
    keys = options.pop("keys", None) or Keys([SecretStr(KEY)])
    app = create_app(backend, keys, MAX_BODY_BYTES, **options)
    config = uvicorn.Config(app, port=port, log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    servers.wait_until(lambda: server.started, "uvicorn")
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def endpoint(backend) -> Iterator[str]:
    """URL of the endpoint over the chain."""
    with served(backend) as url:
        yield url


@pytest.fixture
def client(endpoint) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=endpoint, headers=headers, timeout=60) as client:
        yield client
