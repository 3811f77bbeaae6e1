"""What nothing needs any more, found by what the stores know at one moment. Deletes nothing.

What was made of something goes before it: weights before the training that they came from, both
before the pairs and samples that they learnt from. So whatever remains has its samples still, from
which lineage and forgetting tell what it has learnt.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from twin.domain.rollout import RolloutState
from twin.monitoring.needed import needed_rerankers, running
from twin.stores import kept_answers, pair_sets, sample_sets
from twin.stores.job_runs import JobRun
from twin.stores.registry import ModelVersion
from twin.stores.rerankers import RerankerReport, Rerankers
from twin.stores.stored_tree import StoredTree

SCORES = "evaluation/scores"
_DIGEST = re.compile(r"[0-9a-f]{8,64}")


class Kind(StrEnum):
    """What is garbage, in the order in which it is deleted."""

    TRANSCRIPT = "transcript"
    SCORES = "scores"
    WEIGHTS = "weights"
    RERANKER = "reranker"
    CHECKPOINTS = "checkpoints"
    TRAINING = "training"
    SNAPSHOT = "index snapshot"
    PAIRS = "pair set"
    SAMPLES = "sample set"


@dataclass(frozen=True)
class Garbage:
    """A file or folder that nothing needs.

    Attributes:
        kind: what it is.
        place: relative name in the file store.
        bytes: its size.
        of: versions that it belongs to, or that learnt from it.
    """

    kind: Kind
    place: str
    bytes: int = 0
    of: tuple[str, ...] = ()


@dataclass(frozen=True)
class Known:
    """All that decides what is garbage of one recipe.

    Attributes:
        recipe: name.
        model: name of the registered model.
        tree: what the file store holds.
        places: version to where its weights are in the file store; None: elsewhere.
        versions: all of the model, oldest first.
        needed: of these.
        state: what should serve.
        served: places of weights that should serve, also of versions that the registry has lost.
        latest: the newest samples.
        reports: of rerankers, by version.
        offered: the reranker that is offered.
        newest_pairs: samples to their newest pair set.
        runs: of jobs, of the recipe.
        asked_samples: that reports of needed versions are about, or that tuned embedders, which
            all stay, have learnt from.
        asked_answers: keys of answers that reports ask for, of all models.
        newest: index snapshots that are kept.
        least_age: what has changed since is kept.
        now: the moment.
    """

    recipe: str
    model: str
    tree: StoredTree
    places: Mapping[str, str | None]
    versions: Sequence[ModelVersion]
    needed: Mapping[str, str]
    state: RolloutState
    served: frozenset[str]
    latest: str | None
    reports: Mapping[str, RerankerReport]
    offered: str | None
    newest_pairs: Mapping[str, str]
    runs: Sequence[JobRun]
    asked_samples: frozenset[str]
    asked_answers: frozenset[str]
    newest: int
    least_age: timedelta
    now: datetime

    def is_old(self, place: str) -> bool:
        """Whether nothing in it has changed for long enough."""
        return self.now - self.least_age >= self.tree.changed(place)

    def old(self, folder: str) -> list[str]:
        """What lies in a folder and is old."""
        places = (f"{folder}/{name}" for name in self.tree.names(folder))
        return [place for place in places if self.is_old(place)]

    def garbage(self, kind: Kind, place: str, of: Iterable[str] = ()) -> Garbage:
        """A place as garbage."""
        return Garbage(kind, place, self.tree.size(place), tuple(of))


def find_garbage(known: Known) -> list[Garbage]:
    """All garbage of a recipe, in the order in which it may be deleted."""
    first = [*_transcripts(known), *_scores(known), *_weights(known), *_rerankers(known)]
    first += [*_trainings(known)]
    gone = {each.place for each in first}
    samples = list(_samples(known, gone))
    gone |= {each.place for each in samples}
    found = [*first, *_checkpoints(known, gone), *_snapshots(known), *_pairs(known, gone), *samples]
    order = list(Kind)
    return sorted(found, key=lambda each: order.index(each.kind))


def _transcripts(known: Known) -> Iterator[Garbage]:
    for place in known.old(kept_answers.FOLDER):
        if _name(place).removesuffix(".json") not in known.asked_answers:
            yield known.garbage(Kind.TRANSCRIPT, place)


def _scores(known: Known) -> Iterator[Garbage]:
    needed = {each.weights_digest[:32] for each in known.versions if each.version in known.needed}
    for place, of in _by_place(
        (f"{SCORES}/{each.weights_digest[:32]}", each.version) for each in known.versions
    ).items():
        if place in known.tree and _name(place) not in needed and known.is_old(place):
            yield known.garbage(Kind.SCORES, place, of)


def _weights(known: Known) -> Iterator[Garbage]:
    """Weights of versions that are not needed, and those that no version was made of."""
    of = _by_place((place, version) for version, place in known.places.items() if place)
    for place in known.old(f"models/{known.model}"):
        own = of.get(place, [])
        if not known.needed.keys() & own and place not in known.served:
            yield known.garbage(Kind.WEIGHTS, place, own)


def _rerankers(known: Known) -> Iterator[Garbage]:
    needed = needed_rerankers(known.reports, known.offered, known.state, known.latest)
    for place in known.old(f"{Rerankers.FOLDER}/{known.recipe}"):
        if _DIGEST.fullmatch(_name(place)) and _name(place) not in needed:
            yield known.garbage(Kind.RERANKER, place)


def _trainings(known: Known) -> Iterator[Garbage]:
    """Trainings of which no needed version came, but for those on the newest samples."""
    used = {_training(run.key) for run in running(known.runs, known.now)}
    used |= {_training(run.key) for run in known.runs if run.dataset_version == known.latest}
    of = _by_place((_training(each.tags.get("adapter", "")), each.version)
                   for each in known.versions)  # fmt: skip
    for place in known.old(f"training/{known.recipe}"):
        own = of.get(place, [])
        if place not in used and not known.needed.keys() & own:
            yield known.garbage(Kind.TRAINING, place, own)


def _checkpoints(known: Known, gone: set[str]) -> Iterator[Garbage]:
    """What is left of steps that have ended, in trainings that stay."""
    at_work = {run.key for run in running(known.runs, known.now)}
    root = f"training/{known.recipe}"
    trainings = (f"{root}/{name}" for name in known.tree.names(root))
    for training in (each for each in trainings if each not in gone):
        for step in (f"{training}/{name}" for name in known.tree.names(training)):
            is_done = known.tree.is_published(f"{step}/adapter") and step not in at_work
            for place in (f"{step}/checkpoints", f"{step}/pretrained"):
                if is_done and place in known.tree and known.is_old(place):
                    yield known.garbage(Kind.CHECKPOINTS, place)


def _samples(known: Known, gone: set[str]) -> Iterator[Garbage]:
    """Sample sets that only learnt from them what is not needed and goes, too."""
    kept = {known.latest, *known.asked_samples, *_learnt_by_what_remains(known, gone)}
    kept |= {run.dataset_version for run in running(known.runs, known.now)}
    learnt = _by_place((each.tags.get("dataset_version", ""), each.version)
                       for each in known.versions)  # fmt: skip
    for place in known.old(f"{sample_sets.FOLDER}/{known.recipe}"):
        version = _name(place)
        pairs = f"{pair_sets.FOLDER}/{known.recipe}/{version}"
        is_idle = pairs not in known.tree or known.is_old(pairs)
        if _DIGEST.fullmatch(version) and version not in kept and is_idle:
            yield known.garbage(Kind.SAMPLES, place, learnt.get(version, []))


def _learnt_by_what_remains(known: Known, gone: set[str]) -> Iterator[str]:
    """Samples of needed versions, and of weights, trainings and rerankers that stay."""
    for each in known.versions:
        place = known.places.get(each.version)
        is_there = place is None or (place in known.tree and place not in gone)
        if each.version in known.needed or is_there:
            yield each.tags.get("dataset_version", "")
    for run in known.runs:
        training = _training(run.key)
        if training in known.tree and training not in gone:
            yield run.dataset_version
    for version, report in known.reports.items():
        if f"{Rerankers.FOLDER}/{known.recipe}/{version}" not in gone:
            yield report.dataset_version


def _pairs(known: Known, gone: set[str]) -> Iterator[Garbage]:
    """Pairs of samples that go or are gone, and earlier ones that nothing was trained on."""
    root = f"{pair_sets.FOLDER}/{known.recipe}"
    kept = {
        run.pairs_version
        for run in known.runs
        if _training(run.key) in known.tree and _training(run.key) not in gone
    }
    for samples in known.tree.names(root):
        place = f"{sample_sets.FOLDER}/{known.recipe}/{samples}"
        of = [each.version for each in known.versions
              if each.tags.get("dataset_version") == samples]  # fmt: skip
        if place in gone or (place not in known.tree and known.is_old(f"{root}/{samples}")):
            yield known.garbage(Kind.PAIRS, f"{root}/{samples}", of)
            continue
        for pairs in known.old(f"{root}/{samples}"):
            is_newest = _name(pairs) == known.newest_pairs.get(samples)
            if _DIGEST.fullmatch(_name(pairs)) and not is_newest and _name(pairs) not in kept:
                yield known.garbage(Kind.PAIRS, pairs)


def _snapshots(known: Known) -> Iterator[Garbage]:
    """Copies of the index but the newest, and what killed jobs have left of such."""
    root = f"snapshots/{known.recipe}"
    whole = [name for name in known.tree.names(root) if known.tree.is_published(f"{root}/{name}")]
    for place in known.old(root):
        if _name(place) not in whole[-known.newest :]:
            yield known.garbage(Kind.SNAPSHOT, place)


def _training(key: str) -> str:
    """The folder of the training that an adapter, or the key of a run, belongs to."""
    return "/".join(key.split("/")[:3])


def _name(place: str) -> str:
    return place.rpartition("/")[2]


def _by_place(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for place, version in pairs:
        found.setdefault(place, []).append(version)
    return found
