"""What stands behind the HTTP interface: something that answers a query as a model version."""

from collections.abc import AsyncIterator
from typing import Protocol

from twin.domain.answer import Answer
from twin.rag.query import AnswerPart, EmbeddedTexts, FoundPassages, Query, TextsQuery
from twin.serving.routing import RoutingTable, Target


class Backend(Protocol):
    """Model versions that answer. All methods raise `ApiError` for what callers should know."""

    @property
    def table(self) -> RoutingTable:
        """Which models and versions there are, and who gets the traffic."""

    async def answer(self, target: Target, query: Query) -> Answer:
        """Answer in one piece."""

    def stream(self, target: Target, query: Query) -> AsyncIterator[AnswerPart]:
        """Answer piece by piece; the last part holds the whole answer.

        Closing the iterator stops the generation.
        """

    async def search(self, target: Target, query: Query) -> FoundPassages:
        """The passages that an answer would be written from."""

    async def embed(self, target: Target, query: TextsQuery) -> EmbeddedTexts:
        """Embed texts by the embedder of the target's index."""
