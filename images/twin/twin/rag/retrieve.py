"""Retrieval: the passages that a question is answered from."""

import re
import unicodedata

from twin.domain.answer import Passage
from twin.domain.errors import BadDataError
from twin.models.embedder import Embedder, load_embedder
from twin.recipes import Recipe
from twin.settings import Settings
from twin.stores.index import ChunkFilter, Hit, IndexReader, open_index

_WORD = re.compile(r"[^\W_]")


class Retriever:
    """Searches by meaning (dense vectors) and by words (BM25), fused by reciprocal rank.

    Raises:
        BadDataError: the index was made with another embedder; says what to run.
    """

    def __init__(self, reader: IndexReader, embedder: Embedder) -> None:
        made_with = reader.spec.embedder
        if made_with != embedder.id:
            raise BadDataError(
                f"the index was made with the embedder {made_with}, questions would be encoded "
                f"with {embedder.id}: run `twin features build` with this recipe"
            )
        self._reader = reader
        self._embedder = embedder

    def search(self, question: str, k: int, filter: ChunkFilter | None = None) -> list[Passage]:
        """The ``k`` best passages, best first; none for a question without a word in it.

        Raises:
            BadDataError: the question is empty.
        """
        question = _plain(question)
        if not question:
            raise BadDataError("the question is empty")
        if not _WORD.search(question):
            return []
        [dense] = self._embedder.encode([question])
        hits = self._reader.search(dense, question, k, filter)
        return [_passage(rank, hit) for rank, hit in enumerate(hits, start=1)]


def open_retriever(recipe: Recipe, settings: Settings) -> Retriever:
    """The retriever of a recipe: its index, and the embedder that it names.

    Raises:
        BadDataError: no index yet, no such embedder, or the two don't fit.
        TryAgainError: the index server does not answer.
    """
    # The index first: an error about it should not wait for a model.
    reader = open_index(settings, recipe).read()
    return Retriever(reader, load_embedder(recipe.features.embedder, settings))


def _plain(question: str) -> str:
    """Styled letters as plain ones, as in passages; no half characters, which JSON allows."""
    return unicodedata.normalize("NFKC", question.encode("utf-8", "ignore").decode()).strip()


def _passage(rank: int, hit: Hit) -> Passage:
    chunk = hit.chunk
    return Passage(
        rank=rank,
        score=hit.score,
        chunk_id=chunk.id,
        document_id=chunk.document_id,
        revision=chunk.revision,
        url=chunk.url,
        title=chunk.title,
        headings=chunk.headings,
        text=chunk.text,
    )
