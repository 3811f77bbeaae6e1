"""Instruct samples: an instruction, passages or none, and the author's own words in answer.

Texts lie in files (`twin.stores.spool`); of each passage and sample a few numbers are held.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from twin.datasets.copies import sample_id
from twin.datasets.duplicates import alike_documents, without_duplicates
from twin.datasets.gates import Gate, Rejected, by_rule, held_out_gate
from twin.datasets.held_out import HeldOut
from twin.datasets.instructions import has_templates, instructions, runs_of
from twin.datasets.keyphrases import KeyPhrases
from twin.datasets.passages import Passage
from twin.datasets.prepared import Documents, Passages, Prepared, prepare
from twin.datasets.reviews import Reviews
from twin.datasets.selection import Tally, at_most, fair
from twin.datasets.shelves import Shelves, context_of, shelves_of
from twin.datasets.splits import split_documents, stratum_of
from twin.datasets.teacher import Taught
from twin.datasets.written import (
    Asked,
    Located,
    Shelf,
    WrittenSet,
    drawn,
    locate,
    written_samples,
)
from twin.domain.chunk import Chunk
from twin.domain.sample import InstructSample, Split
from twin.recipes import DatasetsSection
from twin.stores.spool import spool_of
from twin.text.shingles import number_of


@dataclass
class InstructSet:
    """Samples with the split of every document, and what was left out.

    ``skipped`` counts chunks by reason; ``set_aside`` has written questions with their reason,
    ``not_retrieved`` of how many that are used the retriever did not find the right passage.
    ``rejected`` has the samples that a gate left out; ``taught`` what became of each task of a
    teacher; ``tally`` counts the samples.
    """

    samples: Sequence[InstructSample]
    documents: dict[str, Split]
    skipped: Counter[str] = field(default_factory=Counter)
    set_aside: list[tuple[str, str]] = field(default_factory=list)
    not_retrieved: int = 0
    rejected: Sequence[Rejected] = ()
    taught: Counter[str] = field(default_factory=Counter)
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True)
class Lesson:
    """What a teacher is given to make samples of.

    Attributes:
        passages: that are trained on, of any language.
        context: the passages that a sample of a passage shows, by the sample's number.
        hidden: documents that no sample may show.
    """

    passages: Sequence[Passage]
    context: Callable[[Passage, int], tuple[str, ...]]
    hidden: Collection[str]


Teach = Callable[[Lesson], Taught]


def make_instruct_set(
    chunks: Iterable[Chunk] | Prepared,
    knobs: DatasetsSection,
    *,
    asked: Asked | None = None,
    kept: Mapping[str, Split] | None = None,
    reviews: Reviews | None = None,
    teach: Teach | None = None,
    gates: Sequence[Gate] = (),
    measured: Iterable[str] = (),
) -> InstructSet:
    """Make the samples of a recipe's chunks: the same every time from the same chunks.

    What people want kept is drawn before any other sample, and keeps its passages.

    Args:
        chunks: of the whole index in any order, or what was made of them.
        knobs: the recipe's section.
        asked: the questions that a person wrote, if the recipe names any.
        kept: document id to split, of earlier versions.
        reviews: what people say of samples; holds afterwards what has become of it.
        teach: makes further samples with the help of a model.
        gates: beside those that need no model, the cheap ones first.
        measured: questions that models are measured by, beside the written ones held out here.
    """
    prepared = chunks if isinstance(chunks, Prepared) else prepare(chunks, knobs)
    reviews = reviews or Reviews({})
    skipped: Counter[str] = Counter()
    documents = prepared.documents(skipped)
    located, set_aside = _locate(prepared, asked)
    splits = _split(prepared, documents, located, knobs, kept)
    of_document = [splits.get(document_id) for document_id in documents.ids]
    places = without_duplicates(prepared, documents, of_document)
    copies = len(documents.usable) - len(places)
    skipped.update({"said before": copies} if copies else {})
    shelves = shelves_of(prepared, documents, places, of_document)
    taught = teach(_lesson(shelves, splits, knobs)) if teach else Taught()
    made = _samples(prepared, places, shelves, knobs, skipped)
    samples, ids = spool_of(InstructSample), list[str]()
    for sample in _with_taught(made, taught.samples):
        for reviewed in reviews.apply([sample]):
            samples.append(reviewed)
            ids.append(reviewed.id)
    held_out = _held_out(located, splits, measured)
    # Before they are made, since a search for each is what they cost.
    located = drawn(located, knobs.max_samples, knobs.seed)
    written = written_samples(located, splits, asked, knobs.seed) if asked else WrittenSet()
    asked_samples = reviews.apply([*written.samples, *written.withheld])[: knobs.max_samples]
    room = knobs.max_samples - len(asked_samples)
    rejected = spool_of(Rejected)
    for each in taught.rejected:
        rejected.append(each)
    chosen = at_most(
        samples,
        ids,
        room,
        knobs.seed,
        reviews.kept,
        [by_rule, held_out_gate(held_out), *gates],
        rejected,
    )
    final, tally = fair(samples, chosen, asked_samples, knobs, reviews)
    return InstructSet(
        final,
        splits,
        skipped,
        [*set_aside, *written.set_aside],
        written.not_retrieved,
        rejected,
        taught.outcomes,
        tally,
    )


def _locate(prepared: Prepared, asked: Asked | None) -> tuple[list[Located], list[tuple[str, str]]]:
    if asked is None:
        return [], []
    return locate(asked.questions, Shelf.of(prepared.chunks(), asked.questions))


def _split(
    prepared: Prepared,
    documents: Documents,
    located: Iterable[Located],
    knobs: DatasetsSection,
    kept: Mapping[str, Split] | None,
) -> dict[str, Split]:
    """The split of every document that a sample may be made of."""
    strata = map(stratum_of, documents.platforms, documents.tokens)
    return split_documents(
        {
            *(documents.ids[documents.of_row[place]] for place in documents.usable),
            *(document_id for question in located for document_id in question.document_ids),
        },
        validation=knobs.validation_share,
        test=knobs.test_share,
        seed=knobs.split_seed,
        together=alike_documents(prepared, documents),
        kept=kept,
        strata=dict(zip(documents.ids, strata, strict=True)),
    )


def _lesson(shelves: Shelves, splits: Mapping[str, Split], knobs: DatasetsSection) -> Lesson:
    train = shelves.shelves[Split.TRAIN]
    return Lesson(
        Passages(train.prepared, train.places),
        lambda passage, number: context_of(passage, train, knobs, number),
        {document_id for document_id, place in splits.items() if place is not Split.TRAIN},
    )


def _with_taught(
    made: Iterable[InstructSample], taught: Iterable[InstructSample]
) -> Iterator[InstructSample]:
    """Each sample once, the teacher's in place of its like: it may write what a template says."""
    others = {sample.id: sample for sample in taught}
    for sample in made:
        yield others.pop(sample.id, sample)
    yield from others.values()


def _held_out(
    located: Iterable[Located], splits: Mapping[str, Split], measured: Iterable[str]
) -> HeldOut:
    """What nothing may be trained on: questions of evaluation sets, and those held out here."""
    held = [
        question.asked
        for question in located
        if any(splits[document_id] is not Split.TRAIN for document_id in question.document_ids)
    ]
    return HeldOut([*measured, *(each.question for each in held)], (each.answer for each in held))


def _samples(
    prepared: Prepared,
    places: Sequence[int],
    shelves: Shelves,
    knobs: DatasetsSection,
    skipped: Counter[str],
) -> Iterator[InstructSample]:
    """The samples of passages in a language that there are templates for; others are counted."""
    askable = array("i")
    for place in places:
        language = prepared.rows[place].chunk.language
        if has_templates(language):
            askable.append(place)
        else:
            skipped[f"no instructions in its language ({language})"] += 1
    known = KeyPhrases(prepared.rows[place].phrases for place in askable)
    taken: set[int] = set()
    for place in askable:
        row = prepared.rows[place]
        passage, shelf = Passage(row.chunk, row.answer, place), shelves.of(place)
        asked = _choose(passage, known.of(row.phrases), taken, knobs)
        if not asked:
            skipped["no instruction of its own"] += 1
        for number, instruction in enumerate(asked):
            context = context_of(passage, shelf, knobs, number)
            yield _sample(passage, shelf.split, instruction, context)


def _choose(
    passage: Passage, phrases: list[str], taken: set[int], knobs: DatasetsSection
) -> list[str]:
    """Instructions for a passage that nobody else was asked with, and that tell nothing of it.

    ``taken`` has the numbers of those that others were asked with.
    """
    chunk = passage.chunk
    chosen: list[str] = []
    said = runs_of(passage.answer)
    for instruction in instructions(
        chunk.title, chunk.headings, phrases, f"{knobs.seed}:{chunk.id}", chunk.language
    ):
        if len(chosen) == knobs.samples_per_passage:
            break
        number = number_of(instruction.lower())
        if number in taken or not said.isdisjoint(runs_of(instruction)):
            continue
        taken.add(number)
        chosen.append(instruction)
    return chosen


def _sample(
    passage: Passage, split: Split, instruction: str, context: tuple[str, ...]
) -> InstructSample:
    chunk = passage.chunk
    return InstructSample(
        id=sample_id(chunk.id, instruction, grounded=bool(context)),
        split=split,
        instruction=instruction,
        context=context,
        answer=passage.answer,
        document_id=chunk.document_id,
        revision=chunk.revision,
        chunk_id=chunk.id,
        title=chunk.title,
        url=chunk.url,
        chunk_ids=(chunk.id,),
    )
