"""Retrieval: the passages that a question is answered from.

Understand → search each arm → fuse → rerank → diversify → widen; which of these, the recipe's
section `retrieval:` says. What serves answers and what evaluation measures is this one code.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import zip_longest

from twin.domain.answer import Passage
from twin.domain.chunk import Chunk
from twin.domain.errors import BadDataError
from twin.models.embedder import Embedder, load_embedder
from twin.models.language_model import LanguageModel
from twin.rag.diversity import diverse
from twin.rag.expansion import Expansion, Writer, expand
from twin.rag.fusion import by_reciprocal_rank, by_weighted_scores, held
from twin.rag.neighbours import Shown, widened
from twin.rag.parts import parts_of
from twin.rag.query import Query
from twin.rag.rerank import Reranker, load_reranker, reranked
from twin.rag.self_query import Understood, understand
from twin.recipes import Recipe
from twin.recipes.retrieval import RetrievalSection
from twin.settings import Settings, get_settings
from twin.stores.index import ChunkFilter, Hit, IndexReader, open_index
from twin.stores.rerankers import PINNED, TRAINED, fetch_reranker

_WORD = re.compile(r"[^\W_]")


@dataclass(frozen=True)
class Found:
    """What a search gives.

    Attributes:
        passages: best first.
        similarity: cosine of the likest chunk; None where the dense arm was not asked.
        answerable: whether that reaches the recipe's ``min_score`` (without one, the index's), and
            the question has a word.
        notes: what a reader of the trace should know, e.g. of a filter that was dropped.
    """

    passages: tuple[Passage, ...] = ()
    similarity: float | None = None
    answerable: bool = True
    notes: tuple[str, ...] = ()


class Retriever:
    """Searches an index as a recipe says.

    Args:
        reader: of the index.
        embedder: the one that the index was made with.
        knobs: the recipe's section.
        reranker: None leaves the fused order.
        writer: for expansion; without one nothing is expanded.
        authors: names to ids, for questions that name one.

    Raises:
        BadDataError: the index was made with another embedder; says what to run.
    """

    def __init__(
        self,
        reader: IndexReader,
        embedder: Embedder,
        knobs: RetrievalSection | None = None,
        *,
        reranker: Reranker | None = None,
        writer: Writer | None = None,
        authors: Mapping[str, str] | None = None,
    ) -> None:
        made_with = reader.spec.embedder
        if made_with != embedder.id:
            raise BadDataError(
                f"the index was made with the embedder {made_with}, questions would be encoded "
                f"with {embedder.id}: run `twin features build` with this recipe"
            )
        self._reader = reader
        self._embedder = embedder
        self._knobs = knobs or RetrievalSection()
        self._reranker = reranker
        self._writer = writer
        self._authors = authors or {}

    def varied(self, *, rerank: bool | None, expansion: Expansion | None) -> "Retriever":
        """The same search but for what is not None; the recipe's reranker can only be left out."""
        changed = copy(self)
        if rerank is False:
            changed._reranker = None
        if expansion is not None:
            changed._knobs = self._knobs.model_copy(update={"expansion": expansion})
        return changed

    def find_for(self, query: Query, k: int) -> Found:
        """As `find`, for a query with its own filter and ways to search."""
        changed = self.varied(rerank=query.rerank, expansion=query.expansion)
        return changed.find(query.question, k, query.filter.of_chunks() if query.filter else None)

    def search(self, question: str, k: int, filter: ChunkFilter | None = None) -> list[Passage]:
        """The ``k`` best passages, best first, each one chunk; none for a question without a word.

        Raises:
            BadDataError: the question is empty.
        """
        hits, _, _ = self._search(question, k, filter)
        return [_passage(rank, _alone(hit)) for rank, hit in enumerate(hits, start=1)]

    def hits(self, question: str, k: int) -> list[Hit]:
        """As `search`, with the chunks themselves and the scores that they are ordered by.

        Raises:
            BadDataError: the question is empty.
        """
        return self._search(question, k, None)[0]

    def find(self, question: str, k: int, filter: ChunkFilter | None = None) -> Found:
        """The passages to answer from, in the context that the recipe wants, and how near they are.

        Raises:
            BadDataError: the question is empty.
        """
        hits, similarity, notes = self._search_parts(question, k, filter)
        known = self._is_known(question, similarity)
        if filter is not None and not hits:
            known, notes = False, [*notes, f"nothing is {_told(filter)}"]
        shown = [_passage(rank, one) for rank, one in enumerate(self._widened(hits), start=1)]
        return Found(tuple(shown), similarity, known, tuple(notes))

    def _search_parts(
        self, question: str, k: int, filter: ChunkFilter | None
    ) -> tuple[list[Hit], float | None, list[str]]:
        """As `_search`; of a question in several parts each part's best in turn.

        It is as near as the nearest of its parts, since that can be answered.
        """
        parts = parts_of(_plain(question), self._knobs.parts)
        if not parts:
            return self._search(question, k, filter)
        searched = [self._search(part, k, filter) for part in parts]
        near = [similarity for _, similarity, _ in searched if similarity is not None]
        notes = [f"searched part by part: {' | '.join(parts)}"]
        notes += [note for _, _, said in searched for note in said]
        return _in_turn([hits for hits, _, _ in searched], k), max(near, default=None), notes

    def _is_known(self, question: str, similarity: float | None) -> bool:
        """Whether the texts may answer: never where nothing is asked, as by "???" or an emoji."""
        if not _WORD.search(_plain(question)):
            return False
        least = self._knobs.min_score
        if least is None:
            least = self._reader.min_score
        return not least or similarity is None or similarity >= least

    def _search(
        self, question: str, k: int, filter: ChunkFilter | None
    ) -> tuple[list[Hit], float | None, list[str]]:
        question = _plain(question)
        if not question:
            raise BadDataError("the question is empty")
        if not _WORD.search(question):
            return [], None, []
        if filter is None and self._knobs.self_query:
            understood = understand(question, self._authors)
            if understood.filter is not None:
                return self._filtered(question, understood, k)
        hits, similarity = self._candidates(question, k, filter)
        return self._chosen(question, hits, k), similarity, []

    def _filtered(
        self, question: str, understood: Understood, k: int
    ) -> tuple[list[Hit], float | None, list[str]]:
        """With the question's own filter; without it if it leaves nothing."""
        assert understood.filter is not None  # noqa: S101 - the caller looked
        told = _told(understood.filter)
        hits, similarity = self._candidates(understood.text, k, understood.filter)
        note = f"searched only what is {told}"
        if not hits:
            hits, similarity = self._candidates(question, k, None)
            note = f"nothing is {told}: searched without this filter"
        return self._chosen(understood.text, hits, k), similarity, [note]

    def _candidates(
        self, text: str, k: int, filter: ChunkFilter | None
    ) -> tuple[list[Hit], float | None]:
        """Every arm's hits for every wording, fused; and the likest chunk's cosine to ``text``."""
        knobs = self._knobs
        if knobs.leave_out:
            filter = filter or ChunkFilter()
            without = {**filter.without, "personal_data": knobs.leave_out}
            filter = replace(filter, without=without)
        wordings = [text, *expand(text, knobs.expansion, knobs.expansion_queries, self._writer)]
        count = max(knobs.candidates, 3 * k)
        vectors = knobs.mmr_lambda < 1
        dense: list[list[Hit]] = []
        sparse: list[list[Hit]] = []
        if knobs.arms != "sparse":
            dense = [
                self._reader.search(vector, None, count, filter, vectors=vectors)
                for vector in self._embedder.encode_questions(wordings)
            ]
        if knobs.arms != "dense":
            # A likely answer (HyDE) is full of words that nobody asked for.
            asked = wordings[:1] if knobs.expansion == "hyde" else wordings
            sparse = [
                self._reader.search(None, one, count, filter, vectors=vectors) for one in asked
            ]
        similarity = max((hit.score for hit in dense[0]), default=0.0) if dense else None
        return self._fused(text, dense, sparse, count), similarity

    def _fused(
        self, text: str, dense: list[list[Hit]], sparse: list[list[Hit]], count: int
    ) -> list[Hit]:
        lists = [*dense, *sparse]
        if len(lists) == 1:
            return lists[0]
        if self._knobs.fusion == "rrf":
            return by_reciprocal_rank(lists)
        share = self._dense_share(held(text, sparse[0]))
        weights = [share / len(dense) for _ in dense] + [(1 - share) / len(sparse) for _ in sparse]
        # A list of BM25 hits that is not full was cut by nothing: all other chunks score 0.
        lowest = [None for _ in dense] + [None if len(hits) >= count else 0.0 for hits in sparse]
        return by_weighted_scores(lists, weights, lowest)

    def _dense_share(self, held: float) -> float:
        """The dense arm's weight where one passage holds this share of the question's terms.

        Squared, since half of a question's words stand in many a passage that is about nothing
        of the kind.
        """
        low, high = self._knobs.dense_weight_matched, self._knobs.dense_weight
        return high - (high - low) * held**2

    def _chosen(self, question: str, hits: list[Hit], k: int) -> list[Hit]:
        knobs = self._knobs
        hits = _said_once(hits)
        if self._reranker is not None and hits:
            count = max(k, knobs.rerank_candidates)
            hits = reranked(question, hits, self._reranker, count)
        return diverse(hits, k, knobs.mmr_lambda)

    def _widened(self, hits: list[Hit]) -> list[Shown]:
        knobs = self._knobs
        if knobs.context == "chunk":
            return [_alone(hit) for hit in hits]
        parent = knobs.context == "parent"
        return widened(hits, knobs.neighbours, self._shown, within_section=parent)

    def _shown(self, chunk_ids: Sequence[str]) -> dict[str, Chunk]:
        """Chunks to show beside a hit, but for those that the recipe leaves out."""
        left_out = set(self._knobs.leave_out)
        chunks = self._reader.get(chunk_ids)
        return {
            id_: chunk
            for id_, chunk in chunks.items()
            if left_out.isdisjoint(chunk.personal_data or ())
        }


def open_retriever(recipe: Recipe, settings: Settings) -> Retriever:
    """The retriever of a recipe: its index, and the embedder that it names.

    Raises:
        BadDataError: no index yet, no such embedder, or the two don't fit.
        TryAgainError: the index server does not answer.
    """
    # Its model is loaded at the first question: an error about the index does not wait for it.
    embedder = load_embedder(recipe.features.embedder, settings)
    reader = open_index(settings, recipe).read(embedder.id)
    return make_retriever(recipe, reader, embedder, settings=settings)


def make_retriever(
    recipe: Recipe,
    reader: IndexReader,
    embedder: Embedder,
    language_model: LanguageModel | None = None,
    writer: Writer | None = None,
    *,
    settings: Settings | None = None,
) -> Retriever:
    """The retriever of a recipe over an index and an embedder that are open already.

    Expansion is written by ``writer``, else by ``language_model``, which also reranks. Where the
    reranker is a trained one, ``settings`` say where the file store is.

    Raises:
        BadDataError: the two don't fit, or there is no such reranker.
    """
    name = recipe.retrieval.rerank
    trained = None
    if name == TRAINED or name.startswith(PINNED):
        trained = fetch_reranker(name, recipe.name, settings or get_settings())
    return Retriever(
        reader,
        embedder,
        recipe.retrieval,
        reranker=load_reranker(name, embedder, language_model, trained),
        writer=writer or language_model,
        authors=dict.fromkeys((recipe.author.name, *recipe.author.aliases), recipe.author.id),
    )


def _plain(question: str) -> str:
    """Styled letters as plain ones, as in passages; no half characters, which JSON allows."""
    return unicodedata.normalize("NFKC", question.encode("utf-8", "ignore").decode()).strip()


def _said_once(hits: list[Hit]) -> list[Hit]:
    """Of chunks of one document with the same words (a refrain, a licence) only the best."""
    first: dict[tuple[str, str], Hit] = {}
    for hit in hits:
        first.setdefault((hit.chunk.document_id, hit.chunk.text), hit)
    return list(first.values())


def _in_turn(lists: Sequence[list[Hit]], k: int) -> list[Hit]:
    """The best of each list, then the second best of each, each chunk once; ``k`` in all."""
    dealt = (hit for row in zip_longest(*lists) for hit in row if hit is not None)
    return _said_once(list(dealt))[:k]


def _told(filter: ChunkFilter) -> str:
    """A filter in words, for a note."""
    parts = [f"{field} = {' or '.join(values)}" for field, values in filter.equal.items()]
    if filter.published_from:
        parts.append(f"published from {filter.published_from:%Y-%m-%d}")
    if filter.published_before:
        parts.append(f"published before {filter.published_before:%Y-%m-%d}")
    return ", ".join(parts)


def _alone(hit: Hit) -> Shown:
    return Shown(hit.chunk, hit.score)


def _passage(rank: int, shown: Shown) -> Passage:
    chunk = shown.chunk
    return Passage(
        rank=rank,
        score=shown.score,
        chunk_id=chunk.id,
        document_id=chunk.document_id,
        revision=chunk.revision,
        url=chunk.url,
        title=chunk.title,
        headings=chunk.headings,
        text=chunk.text,
        joined=shown.joined,
        published=chunk.published,
    )
