"""Two versions that were measured apart, compared on the questions that both have answered.

Only answers to the same prompt are paired, and measured anew by one yardstick: style, the author's
hand (where the recipe names texts by others) and copies are told by the training texts of both. So
the figures of two reports may differ from those here; the gain between them is what a paired
comparison says, over groups of documents.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from pydantic import BaseModel, ConfigDict

from twin.domain.errors import BadDataError
from twin.domain.sample import InstructSample, Split
from twin.evaluation.answer_sheet import SheetRow
from twin.evaluation.contenders import Contender
from twin.evaluation.contestants import CANDIDATE
from twin.evaluation.examination import figures_of, make_yardstick, side_by_side
from twin.evaluation.held_out import HeldOut
from twin.evaluation.measures import author_statistics, measure
from twin.evaluation.report import Figure, SideBySide
from twin.evaluation.resampling import estimate
from twin.evaluation.style_findings import find_authorship
from twin.evaluation.transcripts import Transcript
from twin.models.embedder import load_embedder
from twin.rag.prompt import build_messages
from twin.recipes import Recipe
from twin.settings import Settings
from twin.stores.files import open_files
from twin.stores.kept_answers import KeptAnswers
from twin.stores.sample_sets import SampleSets


class VersionComparison(BaseModel):
    """What the second version gains over the first.

    Attributes:
        first: name of the one.
        second: name of the other; `Figure.gains` are its, keyed by the first's name.
        shared: questions that both have answered.
        only_first: questions of the first alone.
        only_second: questions of the second alone.
        groups: of documents that the shared questions are about.
        figures: values by name of the version.
        answers: every shared question with what the author and both versions wrote.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    first: str
    second: str
    shared: int
    only_first: int
    only_second: int
    groups: int
    figures: tuple[Figure, ...]
    answers: tuple[SideBySide, ...]

    @property
    def basis(self) -> str:
        """Which questions the figures are of, in a sentence."""
        said = f"{self.shared} questions about {self.groups} group(s) of documents"
        left = [
            f"{count} of {name} alone"
            for name, count in ((self.first, self.only_first), (self.second, self.only_second))
            if count
        ]
        return f"{said}, answered by both; left out: {', '.join(left)}" if left else said


def compare(
    one: Contender, other: Contender, recipe: Recipe, settings: Settings, sets: SampleSets
) -> VersionComparison:
    """Measure both on the questions that they share.

    Raises:
        BadDataError: they share none, they are the same, or a data set of theirs is gone.
    """
    names = _names(one, other)
    by_id = {sample.id: sample for sample in _samples(one, Split.TEST, sets)}
    theirs = {row.asked: row for row in other.sheet.rows}
    shared = [row for row in one.sheet.rows if row.asked in theirs and row.sample in by_id]
    if not shared:
        raise BadDataError(
            f"{names[0]} and {names[1]} have no question in common ({len(one.sheet.rows)} and "
            f"{len(other.sheet.rows)} questions, of data sets {one.sheet.dataset_version} and "
            f"{other.sheet.dataset_version}): have both measured on one data set, or make one of "
            "them champion and the other candidate and run twin evaluation run"
        )
    held_out = _held_out(shared, by_id, recipe)
    paired = (shared, [theirs[row.asked] for row in shared])
    answers = KeptAnswers(open_files(settings))
    made = {name: _transcript(rows, answers) for name, rows in zip(names, paired, strict=True)}
    train = {sample.id: sample for each in (one, other) for sample in _train(each, sets)}
    embedder = load_embedder(recipe.features.embedder, settings)
    authorship, _ = find_authorship(list(train.values()), recipe, open_files(settings))
    by = replace(
        make_yardstick(recipe, held_out, list(train.values()), embedder), authorship=authorship
    )
    figures = figures_of(
        {name: measure(transcript, by) for name, transcript in made.items()},
        author_statistics(by),
        partial(estimate, groups=held_out.groups),
        subject=names[1],
        opponents=names[:1],
    )
    return VersionComparison(
        first=names[0],
        second=names[1],
        shared=len(shared),
        only_first=len(one.sheet.rows) - len(shared),
        only_second=len(other.sheet.rows) - len(shared),
        groups=len(set(held_out.groups)),
        figures=figures,
        answers=side_by_side(held_out, made),
    )


def _names(one: Contender, other: Contender) -> tuple[str, str]:
    """The versions' names, told apart by the date where it is one version measured twice."""
    names = [f"version {each.report.version}" for each in (one, other)]
    if one.report.model != other.report.model:
        names = [f"{each.report.model} {each.report.version}" for each in (one, other)]
    if names[0] == names[1]:
        names = [
            f"{name} of {each.report.created:%Y-%m-%d %H:%M:%S}"
            for name, each in zip(names, (one, other), strict=True)
        ]
    if names[0] == names[1]:
        raise BadDataError(f"{names[0]} is compared with itself: name two versions")
    return names[0], names[1]


def _held_out(
    rows: Sequence[SheetRow], by_id: Mapping[str, InstructSample], recipe: Recipe
) -> HeldOut:
    samples = tuple(by_id[row.sample] for row in rows)
    return HeldOut(
        samples=samples,
        conversations=tuple(
            build_messages(
                recipe.author.name, each.instruction, each.context, each.history, recipe.prompt
            )
            for each in samples
        ),
        groups=tuple(row.group for row in rows),
    )


def _transcript(rows: Sequence[SheetRow], answers: KeptAnswers) -> Transcript:
    """With what the model was shown, unless some of that has been forgotten."""
    kept = [answers.find(key) if (key := row.kept.get(CANDIDATE)) else None for row in rows]
    return Transcript(
        answers=tuple(row.answers[CANDIDATE] for row in rows),
        scored=tuple(row.scored[CANDIDATE] for row in rows),
        served=tuple(filter(None, kept)) if all(kept) else (),
    )


def _train(contender: Contender, sets: SampleSets) -> list[InstructSample]:
    return _samples(contender, Split.TRAIN, sets)


def _samples(contender: Contender, split: Split, sets: SampleSets) -> list[InstructSample]:
    version = contender.sheet.dataset_version
    if not sets.is_published(version):
        raise BadDataError(
            f"data set {version} of version {contender.report.version} is gone from "
            f"{sets.uri(version)}: restore it from a backup"
        )
    return sets.instruct(version, split)
