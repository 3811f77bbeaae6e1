"""Questions of a data set with the passages that answer them, as a reranker is trained on."""

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from twin.domain.chunk import Chunk
from twin.domain.sample import InstructSample, Maker, Split, TeacherKind

#: The passages that the search finds first are the hardest: so many of them are always shown.
FIRST = 2
#: And so many places down the others are drawn from.
DRAWN_FROM = 20


@dataclass(frozen=True)
class AskedQuestion:
    """A question, the chunks that answer it, and the document that they are of."""

    text: str
    relevant: frozenset[str]
    document: str


@dataclass(frozen=True)
class Candidates:
    """What a question is trained with: one passage that answers it, then some that do not."""

    question: str
    passages: tuple[str, ...]


def asked_questions(
    samples: Sequence[InstructSample], indexed: Mapping[str, Chunk]
) -> tuple[list[AskedQuestion], int]:
    """The questions among samples, and how many ask of chunks that the index has no more.

    An instruction that was made from a passage's headings is no question: it shares their words.
    One that is asked twice is one, answered by what answers either.

    Args:
        samples: of one split.
        indexed: chunks of the index by id.
    """
    found: dict[str, tuple[set[str], str]] = {}
    gone = 0
    for sample in samples:
        if not _asks(sample) or not sample.chunk_ids or sample.history:
            continue
        relevant = [id_ for id_ in sample.chunk_ids if id_ in indexed]
        if not relevant:
            gone += 1
            continue
        ids, _ = found.setdefault(sample.instruction, (set(), sample.document_id))
        ids.update(relevant)
    questions = [
        AskedQuestion(text, frozenset(ids), document)
        for text, (ids, document) in sorted(found.items())
    ]
    return questions, gone


def _asks(sample: InstructSample) -> bool:
    teachers = sample.maker is Maker.TEACHER and sample.kind == TeacherKind.QUESTION
    return sample.maker is Maker.WRITTEN or teachers


def candidates_of(
    question: AskedQuestion,
    found: Sequence[Chunk],
    indexed: Mapping[str, Chunk],
    held_out: Collection[str],
    negatives: int,
    draw: random.Random,
) -> Candidates | None:
    """A question with its passages; None where the search finds nothing else.

    Args:
        question: to be trained on.
        found: what the search finds for it, best first.
        indexed: chunks by id.
        held_out: documents that nothing is learned of.
        negatives: passages that do not answer it.
        draw: of the run.
    """
    others = [
        chunk
        for chunk in found
        if chunk.id not in question.relevant and chunk.document_id not in held_out
    ][:DRAWN_FROM]
    first, rest = others[: min(FIRST, negatives)], others[min(FIRST, negatives) :]
    drawn = draw.sample(rest, min(len(rest), negatives - len(first)))
    if not first:
        return None
    right = indexed[draw.choice(sorted(question.relevant))]
    passages = [right, *first, *drawn]
    return Candidates(question.text, tuple(chunk.embedded_text for chunk in passages))


def documents_of(splits: Mapping[str, Split], split: Split) -> set[str]:
    """Ids of the documents that belong to a split."""
    return {document for document, own in splits.items() if own is split}


Search = Callable[[str, int], Sequence[Chunk]]
"""From a question and a number to the chunks that are found, best first."""
