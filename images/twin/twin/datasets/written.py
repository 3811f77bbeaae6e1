"""Samples of the questions that a person wrote, with the passages that serving would show."""

import random
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from twin.domain.answer import Passage
from twin.domain.chunk import Chunk
from twin.domain.conversation import Turn
from twin.domain.document import NAMESPACE
from twin.domain.sample import WITHHELD, InstructSample, Maker, Split, draw_key
from twin.domain.written import (
    Exchange,
    QuestionKind,
    Support,
    WrittenQuestion,
    missing_facts,
    plain,
)
from twin.rag.prompt import format_passage

Retrieve = Callable[[str, Collection[str]], Sequence[Passage]]
"""Finds passages for a question, best first, in any document but those given."""

#: Of which splits a sample shows no passage: nothing held out is read in training, and what is
#: measured on sees what serving would show.
_HIDDEN = {
    Split.TRAIN: (Split.VALIDATION, Split.TEST),
    Split.VALIDATION: (Split.TEST,),
    Split.TEST: (),
}


@dataclass(frozen=True)
class Asked:
    """The questions of a recipe, and what it takes to make samples of them.

    Attributes:
        questions: as the file has them.
        retrieve: serving's own retriever.
        refusal: the answer to what the texts say nothing of.
        passages: how many serving shows.
        withheld_share: of the questions that are trained on, how many are asked once more with
            the passages that answer them left out.
    """

    questions: Sequence[WrittenQuestion]
    retrieve: Retrieve
    refusal: str
    passages: int
    withheld_share: float = 0.0


@dataclass(frozen=True)
class Located:
    """A question with the chunks that its answer follows from; unanswerable ones have none.

    ``home`` is the first of them, or any of the document that an unanswerable question is near.
    """

    asked: WrittenQuestion
    home: Chunk
    chunks: tuple[Chunk, ...] = ()

    @property
    def sample_id(self) -> str:
        """Id of the sample that is made of it."""
        return self._id("written")

    @property
    def withheld_id(self) -> str:
        """Id of the sample that leaves out what answers it."""
        return self._id(WITHHELD)

    def _id(self, made: str) -> str:
        asked = self.asked
        said = "\n".join(f"{each.question}\n{each.answer}" for each in asked.history)
        parts = (self.home.document_id, made, asked.question, said, asked.answer)
        return str(uuid.uuid5(NAMESPACE, "\n".join(parts)))

    @property
    def document_ids(self) -> set[str]:
        """Documents that have to be in one split for it."""
        return {self.home.document_id, *(chunk.document_id for chunk in self.chunks)}


@dataclass
class Shelf:
    """Chunks of the index by document, and the names that a document goes by."""

    chunks: dict[str, list[Chunk]] = field(default_factory=lambda: defaultdict(list))
    names: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    @classmethod
    def of(cls, chunks: Iterable[Chunk], asked: Iterable[WrittenQuestion]) -> "Shelf":
        """The shelf with the chunks of the documents that questions name, each one's in order."""
        shelf = cls()
        wanted = {name.casefold() for question in asked for name in _named_by(question)}
        held = [
            chunk for chunk in chunks if not wanted.isdisjoint(map(str.casefold, _names(chunk)))
        ]
        for chunk in sorted(held, key=lambda chunk: (chunk.document_id, chunk.ordinal)):
            shelf.chunks[chunk.document_id].append(chunk)
            for name in _names(chunk):
                shelf.names[name.casefold()].add(chunk.document_id)
        return shelf

    def document(self, name: str) -> str | None:
        """The id of the document of this name; None if there is none, or several."""
        ids = self.names.get(name.casefold(), set())
        return next(iter(ids)) if len(ids) == 1 else None

    def holding(self, document_id: str, quote: str) -> Chunk | None:
        """The document's first chunk with these words, whatever the blanks between them."""
        words = plain(quote)
        return next((c for c in self.chunks[document_id] if words in plain(c.text)), None)


def locate(
    asked: Sequence[WrittenQuestion], shelf: Shelf
) -> tuple[list[Located], list[tuple[str, str]]]:
    """The questions that the index can answer, and the others with what is wrong."""
    located: list[Located] = []
    set_aside: list[tuple[str, str]] = []
    for question in asked:
        place = _locate(question, shelf)
        if isinstance(place, str):
            set_aside.append((question.question, place))
        else:
            located.append(place)
    return located, set_aside


def _locate(asked: WrittenQuestion, shelf: Shelf) -> Located | str:
    if asked.kind is QuestionKind.UNANSWERABLE:
        document_id = shelf.document(asked.document)
        if document_id is None:
            return _missing(asked.document, shelf)
        return Located(asked, shelf.chunks[document_id][0])
    chunks: list[Chunk] = []
    for support in asked.support:
        found = _supporting(support, shelf)
        if isinstance(found, str):
            return found
        chunks.append(found)
    distinct = tuple({chunk.id: chunk for chunk in chunks}.values())
    return Located(asked, distinct[0], distinct)


def _supporting(support: Support, shelf: Shelf) -> Chunk | str:
    document_id = shelf.document(support.document)
    if document_id is None:
        return _missing(support.document, shelf)
    chunk = shelf.holding(document_id, support.quote)
    return chunk or "quote not in the current revision"


def _missing(name: str, shelf: Shelf) -> str:
    several = len(shelf.names.get(name.casefold(), ())) > 1
    return "several documents of this name" if several else "document not in the index"


def drawn(located: Sequence[Located], most: int, seed: int) -> list[Located]:
    """At most so many of the questions, drawn, in their order."""
    order = sorted(located, key=lambda question: draw_key(question.sample_id, seed))
    kept = {question.sample_id for question in order[:most]}
    return [question for question in located if question.sample_id in kept]


@dataclass
class WrittenSet:
    """Samples of questions that a person wrote.

    ``withheld`` has those that are asked once more without what answers them, ``set_aside`` the
    questions that are not used, each with the reason; ``not_retrieved`` counts samples whose right
    passage the retriever did not find.
    """

    samples: list[InstructSample] = field(default_factory=list)
    withheld: list[InstructSample] = field(default_factory=list)
    set_aside: list[tuple[str, str]] = field(default_factory=list)
    not_retrieved: int = 0


def written_samples(
    located: Sequence[Located], splits: Mapping[str, Split], asked: Asked, seed: int
) -> WrittenSet:
    """A sample of each question, and of some that are trained on a second one, of a refusal.

    Args:
        located: as `locate` gives them.
        splits: of every document.
        asked: retriever, refusal, number of passages and share of second samples.
        seed: of the draws below.

    What is trained on shows from one passage to as many as serving, drawn: in service the budget
    of the prompt leaves fewer, too. What is measured on shows as many as serving. The passage that
    the answer follows from takes the last place where the retriever has not found it.
    """
    hidden = {
        split: {each for each, place in splits.items() if place in _HIDDEN[split]}
        for split in Split
    }
    made = WrittenSet()
    for question in located:
        places = {splits[document_id] for document_id in question.document_ids}
        if len(places) > 1:
            made.set_aside.append((question.asked.question, "support in several splits"))
            continue
        split = places.pop()
        found = asked.retrieve(question.asked.question, hidden[split])
        draw = random.Random(f"{seed}:{question.sample_id}")  # noqa: S311 - no secret
        most = draw.randint(1, asked.passages) if split is Split.TRAIN else asked.passages
        context, complete = _context(question, found, most)
        made.not_retrieved += not complete
        made.samples.append(_sample(question, split, context, asked.refusal))
        if split is Split.TRAIN and draw.random() < asked.withheld_share:
            made.withheld += _withheld(question, found, most, asked.refusal)
    return made


def _withheld(
    question: Located, found: Sequence[Passage], most: int, refusal: str
) -> list[InstructSample]:
    """The question over what else was found, which does not answer it; none if that might."""
    right = {chunk.id for chunk in question.chunks}
    others = [hit for hit in found if right.isdisjoint({hit.chunk_id, *hit.joined})]
    context = tuple(map(format_passage, others[:most]))
    said = [turn.content for each in question.asked.history for turn in _turns(each)]
    if not context or not missing_facts("\n".join([*context, *said]), question.asked.facts):
        return []
    refused = {"answer": refusal, "chunk_id": "", "chunk_ids": (), "facts": ()}
    made_of = {"id": question.withheld_id, "kind": WITHHELD}
    return [_sample(question, Split.TRAIN, context, refusal).model_copy(update=refused | made_of)]


def _sample(
    question: Located, split: Split, context: tuple[str, ...], refusal: str
) -> InstructSample:
    asked, home = question.asked, question.home
    chunk_ids = tuple(chunk.id for chunk in question.chunks)
    return InstructSample(
        id=question.sample_id,
        split=split,
        instruction=asked.question,
        context=context,
        answer=asked.answer.strip() or refusal,
        document_id=home.document_id,
        revision=home.revision,
        chunk_id=chunk_ids[0] if chunk_ids else "",
        title=home.title,
        url=home.url,
        maker=Maker.WRITTEN,
        chunk_ids=chunk_ids,
        history=tuple(turn for each in asked.history for turn in _turns(each)),
        kind=asked.kind.value,
        facts=asked.facts,
    )


def _context(
    question: Located, found: Sequence[Passage], most: int
) -> tuple[tuple[str, ...], bool]:
    """The passages to show, and whether the retriever has found all the right ones."""
    right = {chunk.id: chunk for chunk in question.chunks}
    covered = {place: right.keys() & {hit.chunk_id, *hit.joined} for place, hit in enumerate(found)}
    held = {place for place, chunk_ids in covered.items() if chunk_ids}
    missing = [right[each] for each in right if not any(each in ids for ids in covered.values())]
    others = [place for place in covered if place not in held]
    kept = held | set(others[: max(0, most - len(held) - len(missing))])
    shown = [format_passage(hit) for place, hit in enumerate(found) if place in kept]
    return (*shown, *map(format_passage, missing)), not missing


def _turns(exchange: Exchange) -> tuple[Turn, Turn]:
    return (
        Turn(role="user", content=exchange.question),
        Turn(role="assistant", content=exchange.answer),
    )


def _named_by(asked: WrittenQuestion) -> set[str]:
    return {asked.document, *(support.document for support in asked.support)}


def _names(chunk: Chunk) -> set[str]:
    """What people call its document: id, address, title, and the last part of the address."""
    last = unquote(urlsplit(chunk.url).path).rstrip("/").rpartition("/")[2]
    stem = last.rpartition(".")[0] or last
    return {chunk.document_id, chunk.url, chunk.title, last, stem} - {""}
