"""Everything that the stores hold of an author: found, told, and erased.

What leads to other things goes after them: documents after their chunks and raw pages, sample sets,
which name the models that learnt from them, last of all. So a removal that was killed is finished
by the next one.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from twin.backup.copies import Backups
from twin.settings import Settings
from twin.stores.answer_traces import AnswerTraces
from twin.stores.author_records import AuthorRecords
from twin.stores.evaluation_forgetting import forget_in_evaluations, remove_evaluations
from twin.stores.feedback_pairs import FeedbackPairs
from twin.stores.files import FileStore, open_files
from twin.stores.generation_tables import forget_in_generations
from twin.stores.index import open_index_of
from twin.stores.lineage import SampleSet, models_trained_on, sample_sets
from twin.stores.monitoring_states import MonitoringStates
from twin.stores.pair_sets import PairSets
from twin.stores.question_reports import remove_report
from twin.stores.registry import MODEL_PREFIX
from twin.stores.rollout_states import RolloutStates
from twin.stores.sample_sets import WRITERS, SampleSets, parts_of, replies_of
from twin.stores.streamed_files import open_streams
from twin.stores.verdicts import Verdicts
from twin.stores.warehouse import open_warehouse

Say = Callable[[str], object]


@dataclass(frozen=True)
class Holdings:
    """What there is of an author.

    Attributes:
        documents: ids, guests' included that no other author's sources gave.
        records: of the warehouse, by collection.
        chunks: published ones by recipe; with none if only other releases hold any.
        sample_sets: recipe and version of each.
        backups: recipe and name of each.
        raw_pages: sources whose raw pages are kept.
        unfinished: the folder of crawls that were ended in their middle, if there is one.
        models: versions that were trained on the sample sets; they are named, and stay.
    """

    documents: frozenset[str]
    records: dict[str, int]
    chunks: dict[str, int]
    sample_sets: tuple[SampleSet, ...]
    backups: tuple[tuple[str, str], ...]
    raw_pages: tuple[str, ...]
    unfinished: Path | None
    models: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left that could be removed."""
        return not any(
            (self.documents, self.records, self.chunks, self.sample_sets, self.backups,
             self.raw_pages, self.unfinished)
        )  # fmt: skip

    def lines(self) -> Iterator[str]:
        """For people: what goes, and what does not."""
        for name, count in self.records.items():
            yield f"warehouse: {count:,} {name}"
        for recipe, count in self.chunks.items():
            yield f"index of recipe {recipe}: {count:,} chunks"
        if self.raw_pages:
            yield f"raw pages of {', '.join(self.raw_pages)}"
        if self.unfinished:
            yield f"what crawls have left in {self.unfinished}"
        for kind, names in (("sample set", self.sample_sets), ("backup", self.backups)):
            yield from (f"{kind} {recipe}/{name}" for recipe, name in names)
        for model in self.models:
            yield f"stays: {model}, which was trained on this author's texts"


def holdings(settings: Settings, author: str) -> Holdings:
    """Find what there is of an author.

    Raises:
        BadDataError: a manifest of a backup or sample set is damaged.
        TryAgainError: a store is away.
    """
    with open_warehouse(settings) as warehouse:
        records = AuthorRecords(warehouse, author)
        documents = records.document_ids()
        counts = records.counts(documents)
    sets = sample_sets(settings, lambda manifest: manifest.author_id == author)
    unfinished = _unfinished(settings, author)
    return Holdings(
        documents=frozenset(documents),
        records=counts,
        chunks=dict(_chunks(settings, documents)),
        sample_sets=tuple(sets),
        backups=tuple(_backups(settings, author)),
        raw_pages=tuple(FileStore(settings.snapshots_root).names(author)),
        unfinished=unfinished if unfinished.exists() else None,
        models=tuple(
            f"{item.name} version {item.version}" for item in models_trained_on(settings, sets)
        ),
    )


def remove(settings: Settings, author: str, found: Holdings, say: Say) -> None:
    """Erase what was found.

    Args:
        settings: of the stores.
        author: id.
        found: by `holdings`.
        say: told after each store that nothing of the author is left there.

    Raises:
        TryAgainError: a store is away; run again.
    """
    if found.documents:
        for recipe in open_index_of(settings, "any").recipes():
            open_index_of(settings, recipe).forget(found.documents)
    say("indexes: removed")
    FileStore(settings.snapshots_root).remove(author)
    shutil.rmtree(_unfinished(settings, author), ignore_errors=True)
    say("raw pages: removed")
    files = open_files(settings)
    for recipe, name in found.backups:
        files.remove(Backups(open_streams(settings), recipe).folder(name))
    say("backups: removed")
    forget_in_evaluations(settings, found.documents)
    for recipe in {recipe for recipe, _ in found.sample_sets}:
        remove_evaluations(settings, f"{MODEL_PREFIX}{recipe}")
    say("evaluations: removed")
    _, left = forget_in_generations(settings, found.sample_sets)
    for name in left:
        say(f"stays, for MLflow does not keep it itself: erase {name} by hand")
    say("tables of generations: removed")
    _remove_service(settings, files, {*found.chunks, *(recipe for recipe, _ in found.sample_sets)})
    say("traces and monitoring: removed")
    with open_warehouse(settings) as warehouse:
        AuthorRecords(warehouse, author).erase(found.documents)
    say("warehouse: removed")
    _remove_samples(files, found)
    say("sample sets and pairs: removed")


def _remove_service(settings: Settings, files: FileStore, recipes: set[str]) -> None:
    """Erase what service has left of these twins: traces of answers, and what monitoring keeps.

    Where a twin was never in service, MLflow is not asked.
    """
    served = set(RolloutStates(settings).models())
    with AnswerTraces(settings) as traces:
        for recipe in sorted(recipes):
            remove_report(files, recipe)
            MonitoringStates(settings).remove(recipe)
            if f"{MODEL_PREFIX}{recipe}" in served:
                for _ in traces.prune(recipe, datetime.now(UTC)):
                    pass


def _remove_samples(files: FileStore, found: Holdings) -> None:
    """Erase sample sets, their pairs, what people said of them, and what is left of making them."""
    for recipe in {recipe for recipe, _ in found.sample_sets}:
        Verdicts(files, recipe).remove()
        Verdicts(files, recipe, on_pairs=True).remove()
        FeedbackPairs(files, recipe).remove()
        for writer in WRITERS:
            files.remove(replies_of(recipe, writer))
    for recipe in {*found.chunks, *(recipe for recipe, _ in found.sample_sets)}:
        files.remove(parts_of(recipe))
    for recipe, version in found.sample_sets:
        files.remove(PairSets(files, recipe).root(version))
        files.remove(SampleSets(files, recipe).folder(version))


def _chunks(settings: Settings, documents: set[str]) -> Iterator[tuple[str, int]]:
    """Recipe to published chunks of these documents, of every index that holds some of them."""
    for recipe in open_index_of(settings, "any").recipes():
        index = open_index_of(settings, recipe)
        state = index.state()
        published = {} if state is None else state.documents
        kept = set().union(*(one.documents for one in index.kept().values()))
        if documents & (published.keys() | kept):
            yield recipe, sum(one.chunks for id_, one in published.items() if id_ in documents)


def _backups(settings: Settings, author: str) -> Iterator[tuple[str, str]]:
    files = open_files(settings)
    for recipe in files.names("backups"):
        backups = Backups(open_streams(settings), recipe)
        yield from (
            (recipe, name) for name in backups.names() if backups.manifest(name).author_id == author
        )


def _unfinished(settings: Settings, author: str) -> Path:
    return settings.home.resolve() / "crawls" / author
