"""Rerankers: a second look at the best hits, by a costlier measure.

None is on by default: see `RetrievalSection` for what MaxSim finds and costs. No cross-encoder
comes as a package (`make bench-retrieval` measures whichever a folder holds).
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from twin.domain.chunk import Chunk
from twin.domain.errors import BadDataError
from twin.models.embedder import Embedder
from twin.models.language_model import LanguageModel, Message
from twin.rag.prompt import format_passage, harmless
from twin.stores.index import Hit
from twin.stores.rerankers import RerankerReport

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TrainedReranker = tuple[Path, RerankerReport]
"""Where a trained one lies, and what its training says of it."""

OFF = "off"
MAXSIM = "maxsim"
LANGUAGE_MODEL = "language-model"

KEPT_BYTES = 128_000_000
"""What MaxSim's token vectors of passages may take in memory: of some 2,000 passages."""

SCALE = 127.0
"""By which the components of unit vectors become 8-bit integers."""


class Reranker(Protocol):
    """Says how well passages answer a question.

    ``weight`` is what its scores count for beside the search's own, from 0 to 1.
    """

    weight: float

    def score(self, question: str, chunks: Sequence[Chunk]) -> list[float]:
        """A score for each chunk, higher is better; comparable within one question only."""


def load_reranker(
    name: str,
    embedder: Embedder,
    model: LanguageModel | None,
    trained: TrainedReranker | None = None,
) -> Reranker | None:
    """The reranker of a recipe; None if it is off, or asks for a language model and there is none.

    Args:
        name: ``retrieval.rerank`` of the recipe.
        embedder: of the index.
        model: scores questions, where that is asked for.
        trained: folder and report of the recipe's trained one, where that is asked for.

    Raises:
        BadDataError: no such cross-encoder on this disk, or it was trained from another embedder.
    """
    if trained is not None:
        return _open_trained(*trained, embedder)
    if name == OFF or (name == LANGUAGE_MODEL and model is None):
        return None
    if name == MAXSIM:
        return MaxSim(embedder)
    if name == LANGUAGE_MODEL and model is not None:
        return QuestionLikelihood(model)
    return CrossEncoderReranker(name)


def _open_trained(folder: Path, report: RerankerReport, embedder: Embedder) -> Reranker:
    if report.embedder != embedder.id:
        raise BadDataError(
            f"the trained reranker {report.version} began as {report.embedder}, and the index is "
            f"of {embedder.id}: run `twin features train-reranker` with this recipe"
        )
    return CrossEncoderReranker(str(folder), weight=report.weight, max_length=report.max_length)


def reranked(question: str, hits: Sequence[Hit], reranker: Reranker, count: int) -> list[Hit]:
    """The first ``count`` hits in the reranker's order and under its scores; no others."""
    first = list(hits[:count])
    own = reranker.score(question, [hit.chunk for hit in first])
    scores = mixed([hit.score for hit in first], own, reranker.weight)
    scored = [Hit(hit.chunk, score, hit.vector) for hit, score in zip(first, scores, strict=True)]
    return sorted(scored, key=lambda hit: -hit.score)


def mixed(before: Sequence[float], scores: Sequence[float], weight: float) -> list[float]:
    """Scores of a search and of a reranker as one, each scaled to 0..1; all weight: the latter's.

    Args:
        before: the search's.
        scores: the reranker's, of the same passages.
        weight: of the reranker's.
    """
    if weight == 1:
        return list(scores)
    pairs = zip(_scaled(before), _scaled(scores), strict=True)
    return [(1 - weight) * first + weight * second for first, second in pairs]


def _scaled(scores: Sequence[float]) -> list[float]:
    low, high = min(scores, default=0.0), max(scores, default=0.0)
    return [(score - low) / (high - low) if high > low else 1.0 for score in scores]


class MaxSim:
    """Late interaction over the embedder's own token vectors.

    Khattab and Zaharia, "ColBERT", SIGIR 2020: the mean, over the question's tokens, of the
    cosine to the likest token of the passage.

    Encoding the passages is nearly all of its cost, so their vectors are kept, in 8-bit integers
    (the same order of passages, a quarter of the memory), those used last before the others.

    Args:
        embedder: whose vectors these are.
        kept_bytes: that the vectors kept may take.
    """

    weight = 1.0

    def __init__(self, embedder: Embedder, kept_bytes: int = KEPT_BYTES) -> None:
        self._embedder = embedder
        self._limit = kept_bytes
        self._bytes = 0
        self._kept: OrderedDict[str, NDArray[np.int8]] = OrderedDict()
        self._lock = threading.Lock()

    def score(self, question: str, chunks: Sequence[Chunk]) -> list[float]:
        """A score for each chunk, at most about 1."""
        [asked] = self._embedder.token_vectors([question])
        return [
            float((asked @ vectors.T.astype("float32")).max(axis=1).mean()) / SCALE
            for vectors in self._vectors(chunks)
        ]

    def _vectors(self, chunks: Sequence[Chunk]) -> "list[NDArray[np.int8]]":
        """Those of each chunk: kept ones, and the others made together."""
        with self._lock:
            found = {chunk.id: self._kept.get(chunk.id) for chunk in chunks}
        missing = [chunk for chunk in chunks if found[chunk.id] is None]
        made = self._embedder.token_vectors([chunk.embedded_text for chunk in missing])
        found |= {chunk.id: _small(own) for chunk, own in zip(missing, made, strict=True)}
        vectors = {id_: own for id_, own in found.items() if own is not None}
        self._keep(vectors)
        return [vectors[chunk.id] for chunk in chunks]

    def _keep(self, vectors: "dict[str, NDArray[np.int8]]") -> None:
        with self._lock:
            for id_, own in vectors.items():
                if id_ not in self._kept:
                    self._bytes += own.nbytes
                self._kept[id_] = own
                self._kept.move_to_end(id_)
            while self._bytes > self._limit:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes


def _small(vectors: "NDArray[np.float32]") -> "NDArray[np.int8]":
    import numpy as np

    return np.round(vectors * SCALE).astype(np.int8)


class CrossEncoderReranker:
    """Any cross-encoder that `sentence_transformers` loads from this disk.

    Args:
        name: folder or hub id.
        weight: what its scores count for beside the search's.
        max_length: tokens of question and passage that it reads; None: what its folder says.
    """

    def __init__(self, name: str, weight: float = 1.0, max_length: int | None = None) -> None:
        from sentence_transformers import CrossEncoder

        self.weight = weight
        try:
            self._model: Any = CrossEncoder(name, local_files_only=True, max_length=max_length)
        except (OSError, ValueError) as error:
            raise BadDataError(
                f"retrieval.rerank {name!r}: neither {OFF}, {MAXSIM}, {LANGUAGE_MODEL} nor a "
                f"cross-encoder on this disk ({type(error).__name__})"
            ) from None

    def score(self, question: str, chunks: Sequence[Chunk]) -> list[float]:
        """The model's score of each pair."""
        pairs = [(question, chunk.embedded_text) for chunk in chunks]
        scores = self._model.predict(pairs, show_progress_bar=False, convert_to_numpy=True)
        return [float(score) for score in scores]


class QuestionLikelihood:
    """How likely a language model finds the question after reading the passage.

    Sachan et al., "Improving Passage Retrieval with Zero-Shot Question Generation", EMNLP 2022.
    Nothing is written, so there is no reply that might not parse.
    """

    weight = 1.0

    def __init__(self, model: LanguageModel) -> None:
        self._model = model

    def score(self, question: str, chunks: Sequence[Chunk]) -> list[float]:
        """Mean log-probability of the question's tokens."""
        conversations: list[list[Message]] = [
            [
                {
                    "role": "user",
                    "content": f"{harmless(format_passage(chunk))}\n\n"
                    "Write a question that this passage answers.",
                }
            ]
            for chunk in chunks
        ]
        questions = [harmless(question)] * len(chunks)
        likelihoods = self._model.answer_log_likelihood(conversations, questions)
        return [total / max(1, tokens) for total, tokens in likelihoods]
