"""Texts of callers by the index's own embedder, without delaying the questions beside them."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from twin.domain.errors import BadDataError
from twin.models.embedder import Embedder
from twin.rag.query import EmbeddedTexts, TextsQuery

#: Texts that are embedded at a time; a question that comes meanwhile waits for no more than these.
AT_A_TIME = 8


class TextEmbedding:
    """Embeds batches of texts, one batch after the other, in a thread of its own."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embed")

    async def embed(self, query: TextsQuery) -> EmbeddedTexts:
        """The texts' vectors.

        Raises:
            BadDataError: a text is too long, or vectors of another length are wanted.
        """
        loop = asyncio.get_running_loop()
        tokens = await loop.run_in_executor(self._thread, self._checked_tokens, query)
        vectors: list[list[float]] = []
        encode = self._embedder.encode_questions if query.questions else self._embedder.encode
        for start in range(0, len(query.texts), AT_A_TIME):
            some = list(query.texts[start : start + AT_A_TIME])
            # Each part is asked for by itself: one whose caller has gone is not begun.
            vectors += await loop.run_in_executor(self._thread, encode, some)
        return EmbeddedTexts(embedder=self._embedder.id, vectors=vectors, tokens=tokens)

    def _checked_tokens(self, query: TextsQuery) -> int:
        """The texts' tokens."""
        dimension = self._embedder.dimension
        if query.dimensions not in (None, dimension):
            raise BadDataError(
                f"dimensions is {query.dimensions}: vectors of the embedder "
                f"{self._embedder.id} have {dimension}"
            )
        counts = [self._embedder.count_tokens(text) for text in query.texts]
        most = self._embedder.max_tokens
        for number, count in enumerate(counts):
            if count > most:
                raise BadDataError(
                    f"input {number} has {count:,} tokens: at most {most:,} are read"
                )
        return sum(counts)
