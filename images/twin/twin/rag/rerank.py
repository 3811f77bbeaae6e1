"""Rerankers: a second look at the best hits, by a costlier measure.

None is on by default: see `RetrievalSection` for what MaxSim finds and costs. No cross-encoder
comes as a package (`make bench-retrieval` measures whichever a folder holds).
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from twin.domain.chunk import Chunk
from twin.domain.errors import BadDataError
from twin.models.embedder import Embedder
from twin.models.language_model import LanguageModel, Message
from twin.rag.prompt import format_passage, harmless
from twin.stores.index import Hit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OFF = "off"
MAXSIM = "maxsim"
LANGUAGE_MODEL = "language-model"

KEPT_BYTES = 128_000_000
"""What MaxSim's token vectors of passages may take in memory: of some 2,000 passages."""

SCALE = 127.0
"""By which the components of unit vectors become 8-bit integers."""


class Reranker(Protocol):
    """Says how well passages answer a question."""

    def score(self, question: str, chunks: Sequence[Chunk]) -> list[float]:
        """A score for each chunk, higher is better; comparable within one question only."""


def load_reranker(name: str, embedder: Embedder, model: LanguageModel | None) -> Reranker | None:
    """The reranker of a recipe; None if it is off, or asks for a language model and there is none.

    Raises:
        BadDataError: no such cross-encoder on this disk.
    """
    if name == OFF or (name == LANGUAGE_MODEL and model is None):
        return None
    if name == MAXSIM:
        return MaxSim(embedder)
    if name == LANGUAGE_MODEL and model is not None:
        return QuestionLikelihood(model)
    return CrossEncoderReranker(name)


def reranked(question: str, hits: Sequence[Hit], reranker: Reranker, count: int) -> list[Hit]:
    """The first ``count`` hits in the reranker's order and under its scores; no others."""
    first = list(hits[:count])
    scores = reranker.score(question, [hit.chunk for hit in first])
    scored = [Hit(hit.chunk, score, hit.vector) for hit, score in zip(first, scores, strict=True)]
    return sorted(scored, key=lambda hit: -hit.score)


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
    """Any cross-encoder that `sentence_transformers` loads from this disk."""

    def __init__(self, name: str) -> None:
        from sentence_transformers import CrossEncoder

        try:
            self._model: Any = CrossEncoder(name, local_files_only=True)
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
