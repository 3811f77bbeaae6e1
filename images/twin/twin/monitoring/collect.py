"""`twin monitoring gc`: name what nothing needs any more, and delete it where that is wanted."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from twin.domain.errors import BadDataError, NothingToDo, TryAgainError
from twin.domain.rollout import RolloutState
from twin.job import Job, log
from twin.monitoring.garbage import Garbage, Kind, Known, find_garbage
from twin.monitoring.needed import in_service, needed_versions, running
from twin.recipes.monitoring import GarbageSection
from twin.stores.audit import note_action
from twin.stores.files import FileStore, open_files
from twin.stores.generation_tables import GenerationTables
from twin.stores.job_runs import JobRun, JobRuns
from twin.stores.kept_reports import Asked, KeptReports
from twin.stores.pair_sets import FOLDER as PAIRS
from twin.stores.pair_sets import PairSets
from twin.stores.registry import ModelVersion, Registry
from twin.stores.rerankers import Rerankers
from twin.stores.rollout_states import RolloutStates
from twin.stores.sample_sets import SampleSets
from twin.stores.stored_tree import StoredTree
from twin.stores.tuned_embedders import TunedEmbedders

#: That a result names; the others are counted.
NAMED = 200


def collect_garbage(job: Job, *, delete: bool = False) -> None:
    """Find a recipe's garbage; delete it with ``delete``, or where the recipe says so.

    What is deleted loses its marker first, and what was made of a thing goes before it: a job that
    was killed leaves nothing that looks whole and is not, and the next one goes on.

    Raises:
        NothingToDo: there is no garbage.
        BadDataError: a manifest or report is damaged: what it asks for is not known.
        TryAgainError: a store is away, or samples were made meanwhile.
    """
    now = datetime.now(UTC)
    deletes = delete or job.recipe.monitoring.garbage.delete
    with Collection(job, now) as collection:
        known = collection.known()
        found = find_garbage(known)
        _report(job, found, deletes=deletes)
        if not found:
            raise NothingToDo(f"nothing of recipe {job.recipe.name} is garbage")
        if deletes:
            collection.delete(found, known)


class Collection:
    """The stores that garbage of one recipe is looked for and deleted in.

    Args:
        job: whose recipe and stores.
        now: the moment.
    """

    def __init__(self, job: Job, now: datetime) -> None:
        self._job = job
        self._now = now
        self._section: GarbageSection = job.recipe.monitoring.garbage
        self._since = now - timedelta(days=self._section.least_days)
        self._files = open_files(job.settings)
        self._registry = Registry(job.settings)

    def __enter__(self) -> "Collection":
        return self

    def __exit__(self, *_: object) -> None:
        self._registry.close()

    def known(self) -> Known:
        """All that decides what is garbage."""
        recipe, files = self._job.recipe, self._files
        sets, kept = SampleSets(files, recipe.name), Rerankers(files, recipe.name)
        state, versions, aliases = self._model(recipe.model_name)
        with JobRuns(self._job.settings) as job_runs:
            runs = list(job_runs.of(recipe.name))
        needed = self._needed(versions, aliases, state, runs)
        tree = StoredTree(files.listing())
        places = {each.version: _place(files, each.weights_uri) for each in versions}
        latest = sets.find_latest()
        pairs, tuned = PairSets(files, recipe.name), TunedEmbedders(files, recipe.name)
        asked = self._asked(recipe.model_name, needed)
        return Known(
            recipe=recipe.name,
            model=recipe.model_name,
            tree=tree,
            places=places,
            versions=versions,
            needed=needed | dict.fromkeys(asked.versions, "a report compares with it"),
            state=state,
            served=frozenset(
                place
                for each in in_service(state)
                if (place := _place(files, each.weights_uri)) is not None
            ),
            latest=latest.version if latest else None,
            reports=dict(kept.reports()),
            offered=kept.offered(),
            newest_pairs={
                samples: version
                for samples in tree.names(f"{PAIRS}/{recipe.name}")
                if (version := pairs.newest(samples)) is not None
            },
            runs=runs,
            asked_samples=asked.samples | {report.dataset_version for _, report in tuned.reports()},
            asked_answers=asked.answers | self._asked_of_others(),
            newest=self._section.newest,
            least_age=timedelta(days=self._section.least_days),
            now=self._now,
        )

    def delete(self, found: Iterable[Garbage], known: Known) -> None:
        """Delete garbage, but what has become needed since.

        Raises:
            TryAgainError: samples were made meanwhile, or a store is away.
        """
        job, found = self._job, list(found)
        kept: set[str] = set()
        tables, left = 0, list[str]()
        with job.progress("garbage deleted", len(found)) as advance:
            for each in found:
                kept |= self._needed_by_now(each, known)
                if kept.isdisjoint(each.of):
                    emptied = self._delete(each)
                    tables, left = tables + emptied[0], [*left, *emptied[1]]
                    job.counts.written += 1
                else:
                    job.skip_item(each.place, "needed by now")
                advance(1)
        job.result.detail["tables of generations emptied"] = tables
        job.result.detail["artifacts to be erased by hand"] = left
        sums = {kind: figures["count"] for kind, figures in _sums(found).items()}
        note_action(job.settings, "garbage collected", job.recipe.name, job.run_id, sums)

    def _delete(self, garbage: Garbage) -> tuple[int, list[str]]:
        """Delete one; returns what `GenerationTables.forget` does."""
        emptied: tuple[int, list[str]] = (0, [])
        if garbage.kind is Kind.WEIGHTS:
            for version in garbage.of:
                self._registry.note_deleted(self._job.recipe.model_name, version, self._now)
        if garbage.kind is Kind.SAMPLES:
            # They quote the samples, which alone lead to them.
            with GenerationTables(self._job.settings) as tables:
                emptied = tables.forget(self._job.recipe.name, garbage.place.rpartition("/")[2])
        self._files.remove(garbage.place)
        log.info("deleted", kind=garbage.kind.value, place=garbage.place, bytes=garbage.bytes)
        return emptied

    def _needed_by_now(self, garbage: Garbage, known: Known) -> set[str]:
        """Versions that are needed at this moment; asked where it decides."""
        if not garbage.of and garbage.kind not in (Kind.PAIRS, Kind.SAMPLES, Kind.TRAINING):
            return set()
        latest = SampleSets(self._files, known.recipe).find_latest()
        state, versions, aliases = self._model(known.model)
        numbers = [each.version for each in known.versions]
        is_same = numbers == [each.version for each in versions]
        if not is_same or (latest.version if latest else None) != known.latest:
            raise TryAgainError(f"something was made for recipe {known.recipe} meanwhile")
        return set(self._needed(versions, aliases, state, known.runs))

    def _model(self, model: str) -> tuple[RolloutState, list[ModelVersion], dict[str, str]]:
        state = RolloutStates(self._job.settings).load(model)
        return state, self._registry.versions(model), self._registry.aliases(model)

    def _needed(
        self,
        versions: list[ModelVersion],
        aliases: dict[str, str],
        state: RolloutState,
        runs: Iterable[JobRun],
    ) -> dict[str, str]:
        needed = needed_versions(
            versions, aliases, state, self._section.newest, self._since, self._now
        )
        measured = {each.version for each in running(runs, self._now) if each.version}
        return needed | dict.fromkeys(measured, "an evaluation is at it")

    def _asked(self, model: str, needed: Iterable[str]) -> Asked:
        reports, asked = KeptReports(self._files), Asked()
        for version in needed:
            asked |= reports.asked_by(model, version)
        return asked

    def _asked_of_others(self) -> frozenset[str]:
        """Answers that reports of other models ask for: of their needed versions, or of all where
        the registry does not know the model."""
        reports, found = KeptReports(self._files), frozenset[str]()
        for model in {model for model, _ in reports.of()} - {self._job.recipe.model_name}:
            state, versions, aliases = self._model(model)
            needed: set[str] = set(self._needed(versions, aliases, state, ()))
            needed |= {version for other, version in reports.of() if other == model} - {
                each.version for each in versions
            }
            found |= self._asked(model, needed).answers
        return found


def _place(files: FileStore, uri: str) -> str | None:
    """Relative name of an address; None if it is in another store."""
    try:
        return files.relative(uri)
    except BadDataError:
        return None


def _report(job: Job, found: list[Garbage], *, deletes: bool) -> None:
    sums = _sums(found)
    job.counts.read = len(found)
    job.result.detail |= {
        "deleted": deletes,
        "garbage": sums,
        "bytes": sum(each.bytes for each in found),
        "places": [each.place for each in found[:NAMED]],
    }
    for each in found[:NAMED]:
        log.info("garbage", kind=each.kind.value, place=each.place, of=", ".join(each.of))
    for kind, figures in sums.items():
        log.info("garbage of a kind", kind=kind, **figures)
    if not deletes and found:
        log.info("nothing is deleted: --delete, or monitoring.garbage.delete, does it")


def _sums(found: Iterable[Garbage]) -> dict[str, dict[str, int]]:
    """Kind to count and bytes, in the order of deletion."""
    found = list(found)
    counts = Counter(each.kind for each in found)
    return {
        kind.value: {
            "count": counts[kind],
            "bytes": sum(each.bytes for each in found if each.kind is kind),
        }
        for kind in Kind
        if counts[kind]
    }
