"""Instruct samples: an instruction, passages or none, and the author's own words in answer."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from twin.datasets.copies import sample_id, within_copy_share
from twin.datasets.duplicates import alike_documents, without_duplicates
from twin.datasets.gates import Gate, Rejected, by_rule, held_out_gate, pass_gates
from twin.datasets.held_out import HeldOut
from twin.datasets.instructions import gives_away, has_templates, instructions
from twin.datasets.keyphrases import key_phrases
from twin.datasets.passages import Passage, passage_of
from twin.datasets.reviews import Reviews
from twin.datasets.splits import split_documents, strata_of
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
from twin.domain.sample import InstructSample, Split, draw_key
from twin.rag.prompt import format_passage
from twin.recipes import DatasetsSection


@dataclass
class InstructSet:
    """Samples with the split of every document, and what was left out.

    ``skipped`` counts chunks by reason; ``set_aside`` has written questions with their reason,
    ``not_retrieved`` of how many that are used the retriever did not find the right passage.
    ``rejected`` has the samples that a gate left out; ``taught`` what became of each task of a
    teacher.
    """

    samples: list[InstructSample]
    documents: dict[str, Split]
    skipped: Counter[str] = field(default_factory=Counter)
    set_aside: list[tuple[str, str]] = field(default_factory=list)
    not_retrieved: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    taught: Counter[str] = field(default_factory=Counter)


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
    chunks: Iterable[Chunk],
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
        chunks: of the whole index.
        knobs: the recipe's section.
        asked: the questions that a person wrote, if the recipe names any.
        kept: document id to split, of earlier versions.
        reviews: what people say of samples; holds afterwards what has become of it.
        teach: makes further samples with the help of a model.
        gates: beside those that need no model, the cheap ones first.
        measured: questions that models are measured by, beside the written ones held out here.
    """
    reviews = reviews or Reviews({})
    ordered = sorted(chunks, key=lambda chunk: (chunk.document_id, chunk.ordinal))
    skipped: Counter[str] = Counter()
    passages = []
    for chunk in ordered:
        found = passage_of(chunk, knobs)
        if isinstance(found, Passage):
            passages.append(found)
        else:
            skipped[found] += 1
    located, set_aside = locate(asked.questions, Shelf.of(ordered)) if asked else ([], [])
    splits = _split(ordered, passages, located, knobs, kept)
    passages, copies = without_duplicates(passages, splits)
    skipped.update({"said before": copies} if copies else {})
    shelves = _shelves(passages, splits)
    samples = _samples(_askable(passages, skipped), splits, shelves, knobs, skipped)
    taught = teach(_lesson(passages, splits, shelves, knobs)) if teach else Taught()
    samples = reviews.apply(_distinct([*samples, *taught.samples]))
    held_out = _held_out(located, splits, measured)
    # Before they are made, since a search for each is what they cost.
    located = drawn(located, knobs.max_samples, knobs.seed)
    written = written_samples(located, splits, asked, knobs.seed) if asked else WrittenSet()
    asked_samples = reviews.apply([*written.samples, *written.withheld])[: knobs.max_samples]
    room = knobs.max_samples - len(asked_samples)
    passed, rejected = _at_most(
        samples, room, knobs.seed, reviews.kept, [by_rule, held_out_gate(held_out), *gates]
    )
    kept_samples = [*passed, *asked_samples]
    fair = within_copy_share(kept_samples, knobs.copy_share, knobs.seed, reviews.kept)
    return InstructSet(
        reviews.apply(fair),  # once more: those asked from memory are others than before
        splits,
        skipped,
        [*set_aside, *written.set_aside],
        written.not_retrieved,
        [*taught.rejected, *rejected],
        taught.outcomes,
    )


def _split(
    chunks: Iterable[Chunk],
    passages: Sequence[Passage],
    located: Iterable[Located],
    knobs: DatasetsSection,
    kept: Mapping[str, Split] | None,
) -> dict[str, Split]:
    """The split of every document that a sample may be made of."""
    return split_documents(
        {
            *(passage.chunk.document_id for passage in passages),
            *(document_id for question in located for document_id in question.document_ids),
        },
        validation=knobs.validation_share,
        test=knobs.test_share,
        seed=knobs.split_seed,
        together=alike_documents(passages),
        kept=kept,
        strata=strata_of(chunks),
    )


class _Shelf:
    """The passages that samples of one split may show."""

    def __init__(self) -> None:
        self._chunks: list[Chunk] = []
        self._places: dict[str, int] = {}

    def add(self, chunk: Chunk) -> None:
        self._places[chunk.id] = len(self._chunks)
        self._chunks.append(chunk)

    def others(self, chunk: Chunk, most: int, draw: random.Random) -> list[Chunk]:
        """At most so many but this one, drawn."""
        place, others = self._places[chunk.id], len(self._chunks) - 1
        drawn = draw.sample(range(others), min(most, others))
        return [self._chunks[number + (number >= place)] for number in drawn]


def _shelves(passages: Sequence[Passage], splits: Mapping[str, Split]) -> dict[Split, _Shelf]:
    shelves: dict[Split, _Shelf] = defaultdict(_Shelf)
    for passage in passages:
        shelves[splits[passage.chunk.document_id]].add(passage.chunk)
    return shelves


def _lesson(
    passages: Sequence[Passage],
    splits: Mapping[str, Split],
    shelves: Mapping[Split, _Shelf],
    knobs: DatasetsSection,
) -> Lesson:
    return Lesson(
        [each for each in passages if splits[each.chunk.document_id] is Split.TRAIN],
        lambda passage, number: _context(passage.chunk, shelves[Split.TRAIN], knobs, number),
        {document_id for document_id, place in splits.items() if place is not Split.TRAIN},
    )


def _distinct(samples: Iterable[InstructSample]) -> list[InstructSample]:
    """Each sample once: a teacher may write what a template says."""
    return list({sample.id: sample for sample in samples}.values())


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


def _askable(passages: Sequence[Passage], skipped: Counter[str]) -> list[Passage]:
    """Passages of a language that there are templates for; the others are counted."""
    skipped.update(
        f"no instructions in its language ({passage.chunk.language})"
        for passage in passages
        if not has_templates(passage.chunk.language)
    )
    return [passage for passage in passages if has_templates(passage.chunk.language)]


def _samples(
    passages: Sequence[Passage],
    splits: Mapping[str, Split],
    shelves: Mapping[Split, _Shelf],
    knobs: DatasetsSection,
    skipped: Counter[str],
) -> list[InstructSample]:
    phrases = key_phrases([passage.answer for passage in passages]) if passages else []
    taken: set[str] = set()
    samples: list[InstructSample] = []
    for passage, found in zip(passages, phrases, strict=True):
        split = splits[passage.chunk.document_id]
        asked = _choose(passage, found, taken, knobs)
        if not asked:
            skipped["no instruction of its own"] += 1
        for number, instruction in enumerate(asked):
            context = _context(passage.chunk, shelves[split], knobs, number)
            samples.append(_sample(passage, split, instruction, context))
    return samples


def _choose(
    passage: Passage, phrases: list[str], taken: set[str], knobs: DatasetsSection
) -> list[str]:
    """Instructions for a passage that nobody else was asked with, and that tell nothing of it."""
    chunk = passage.chunk
    chosen: list[str] = []
    for instruction in instructions(
        chunk.title, chunk.headings, phrases, f"{knobs.seed}:{chunk.id}", chunk.language
    ):
        if len(chosen) == knobs.samples_per_passage:
            break
        if instruction.lower() in taken or gives_away(instruction, passage.answer):
            continue
        taken.add(instruction.lower())
        chosen.append(instruction)
    return chosen


def _context(chunk: Chunk, shelf: _Shelf, knobs: DatasetsSection, number: int) -> tuple[str, ...]:
    """Passages as serving shows them, the right one anywhere among them; empty for from-memory.

    The others come from the same split, so that no test passage is ever read in training.
    """
    # Dealt evenly: a passage's samples take turns between the two kinds, as the share says.
    start = random.Random(f"{knobs.seed}:{chunk.id}").random()  # noqa: S311 - no secret
    if (start + number * knobs.grounded_share) % 1.0 >= knobs.grounded_share:
        return ()
    draw = random.Random(f"{knobs.seed}:{chunk.id}:{number}")  # noqa: S311 - no secret
    shown = shelf.others(chunk, knobs.context_passages - 1, draw)
    shown.insert(draw.randint(0, len(shown)), chunk)
    return tuple(format_passage(passage) for passage in shown)


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


def _at_most(
    samples: Sequence[InstructSample],
    most: int,
    seed: int,
    first: Collection[str],
    gates: Sequence[Gate],
) -> tuple[list[InstructSample], list[Rejected]]:
    """At most so many that pass the gates, drawn by id but for those that go ``first``.

    Whom people want passes. Others are looked at until there are enough, so that what a gate costs
    grows with the samples that are wanted, and not with those that there are.
    """
    order = sorted(samples, key=lambda s: (s.id not in first, draw_key(s.id, seed)))
    kept: set[str] = set()
    rejected: list[Rejected] = []
    while order and len(kept) < most:
        batch, order = order[: most - len(kept)], order[most - len(kept) :]
        passed = pass_gates([each for each in batch if each.id not in first], gates)
        kept |= {each.id for each in batch if each.id in first}
        kept |= {each.id for each in passed.kept}
        rejected += passed.rejected
    return [sample for sample in samples if sample.id in kept], rejected
