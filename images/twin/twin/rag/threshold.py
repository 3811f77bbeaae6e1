"""From which score on a passage may answer, found for an author without anyone writing questions.

Two kinds of questions are asked of the index that is about to be published: of general knowledge,
which ship with the project and hardly any author's texts answer, and the author's own headings,
which their passages do. A heading is weighed against its passage without the heading, since who
asks does not use the author's words.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from twin.domain.chunk import Chunk
from twin.models.embedder import Embedder
from twin.stores.index import IndexState, Unpublished
from twin.stores.index_release import batches_of_ids
from twin.text.words import count_words

QUESTIONS = Path(__file__).with_name("foreign_questions.yaml")

#: Of the foreign questions this share is to be turned away: authors write about some of it.
FOREIGN_REFUSED = 0.95
#: Of the author's own headings at most this share.
OWN_REFUSED = 0.02
#: Headings that are asked, spread over the index; of fewer, one odd one would decide.
MOST_HEADINGS = 100
FEWEST_HEADINGS = 50
#: A heading of fewer words is a label and no question.
FEWEST_WORDS = 2
#: For each heading that is asked so many passages are looked at.
LOOKED_AT = 4
NEAREST = 20
DIGITS = 10_000
BATCH = 500


@dataclass(frozen=True)
class Threshold:
    """A score, and what it would do to the questions that it was found by.

    Attributes:
        score: cosine of the best passage.
        foreign_refused: share of the foreign questions that it turns away.
        own_refused: the same of the author's headings; None: there are too few.
        headings: how many were asked.
    """

    score: float
    foreign_refused: float
    own_refused: float | None
    headings: int


def find_threshold(
    state: IndexState, work: Unpublished, embedder: Embedder, questions: Sequence[str] = ()
) -> Threshold | None:
    """The threshold of an index; None without a chunk.

    Args:
        state: what the index holds.
        work: how it is asked.
        embedder: the one that it was made with.
        questions: that hardly any author answers; none: those that ship with the project.
    """
    if not state.chunks:
        return None
    vectors = embedder.encode_questions(questions) if questions else _foreign_vectors(embedder)
    foreign = [_best(work, vector) for vector in vectors]
    own = _own(_headed(state, work), work, embedder)
    score = _quantile(foreign, FOREIGN_REFUSED)
    if len(own) >= FEWEST_HEADINGS:
        score = min(score, _quantile(own, OWN_REFUSED))
    score = math.floor(min(1.0, max(0.0, score)) * DIGITS) / DIGITS
    refused = _below(score, own) if len(own) >= FEWEST_HEADINGS else None
    return Threshold(score, _below(score, foreign), refused, len(own))


def foreign_questions() -> list[str]:
    """The questions of general knowledge, of all languages."""
    by_language = yaml.safe_load(QUESTIONS.read_text(encoding="utf-8"))
    return [question for questions in by_language.values() for question in questions]


#: By the embedder that was last asked for: a process builds many indexes with one.
_known: dict[str, list[list[float]]] = {}


def _foreign_vectors(embedder: Embedder) -> list[list[float]]:
    if embedder.id not in _known:
        _known.clear()
        _known[embedder.id] = embedder.encode_questions(foreign_questions())
    return _known[embedder.id]


def _best(work: Unpublished, vector: Sequence[float]) -> float:
    """Cosine of the nearest passage."""
    return max((score for _, score in work.nearest(vector, 1)), default=0.0)


def _headed(state: IndexState, work: Unpublished) -> list[tuple[str, Chunk]]:
    """Headings with the first passage under each, spread evenly over the index."""
    step = max(1, state.chunks // (LOOKED_AT * MOST_HEADINGS))
    ids = [id_ for batch in batches_of_ids(state, BATCH) for id_ in batch][::step]
    found: dict[str, Chunk] = {}
    for start in range(0, len(ids), BATCH):
        chunks = work.get(ids[start : start + BATCH])
        for id_ in ids[start : start + BATCH]:
            if id_ in chunks:
                heading = _heading(chunks[id_])
                found.setdefault(heading, chunks[id_])
    asked = [(heading, chunk) for heading, chunk in found.items() if _asks(heading)]
    return asked[:: -(-len(asked) // MOST_HEADINGS) or 1]


def _heading(chunk: Chunk) -> str:
    return chunk.headings[-1] if chunk.headings else chunk.title


def _asks(heading: str) -> bool:
    return count_words(heading) >= FEWEST_WORDS


def _own(headed: Sequence[tuple[str, Chunk]], work: Unpublished, embedder: Embedder) -> list[float]:
    """For each heading the cosine of its passage without it, or of the best one elsewhere."""
    if len(headed) < FEWEST_HEADINGS:
        return []
    questions = embedder.encode_questions([heading for heading, _ in headed])
    passages = embedder.encode([chunk.text for _, chunk in headed])
    return [
        max(
            sum(a * b for a, b in zip(question, passage, strict=True)),
            _best_elsewhere(heading, question, work),
        )
        for (heading, _), question, passage in zip(headed, questions, passages, strict=True)
    ]


def _best_elsewhere(heading: str, question: Sequence[float], work: Unpublished) -> float:
    """Cosine of the nearest passage that does not stand under the heading."""
    near = work.nearest(question, NEAREST)
    chunks = work.get([id_ for id_, _ in near])
    return max(
        (
            score
            for id_, score in near
            if id_ in chunks and heading not in (chunks[id_].title, *chunks[id_].headings)
        ),
        default=0.0,
    )


def _quantile(values: Sequence[float], share: float) -> float:
    """The least of the values above which there is no more than the rest."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _below(score: float, values: Sequence[float]) -> float:
    return sum(value < score for value in values) / len(values)
