"""A lineage made by lot in a real file store: versions, trainings, samples, pairs and the rest."""

import os
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from twin.domain.rollout import RolloutState, ServedVersion
from twin.monitoring.garbage import Known
from twin.stores.files import FileStore
from twin.stores.job_runs import JobRun
from twin.stores.registry import ModelVersion
from twin.stores.rerankers import RerankerReport
from twin.stores.stored_tree import StoredTree
from twin.stores.trained_models import Gain

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LEAST_AGE = timedelta(days=30)
OLD, YOUNG = NOW - 2 * LEAST_AGE, NOW - LEAST_AGE / 2


def digest(kind: int, number: int) -> str:
    """A name as digests are."""
    return f"{kind:04x}{number:08x}"


@dataclass
class Lineage:
    """What was made of what.

    ``edges`` lead from a place to those that it is nothing without; ``roots`` are needed, come what
    may.
    """

    files: FileStore
    scratch: Path
    versions: list[ModelVersion] = field(default_factory=list)
    needed: set[str] = field(default_factory=set)
    runs: list[JobRun] = field(default_factory=list)
    reports: dict[str, RerankerReport] = field(default_factory=dict)
    newest_pairs: dict[str, str] = field(default_factory=dict)
    edges: dict[str, set[str]] = field(default_factory=dict)
    roots: set[str] = field(default_factory=set)
    latest: str | None = None
    offered: str | None = None
    served: set[str] = field(default_factory=set)
    asked_samples: set[str] = field(default_factory=set)
    asked_answers: set[str] = field(default_factory=set)
    young: set[str] = field(default_factory=set)
    state: RolloutState = field(default_factory=lambda: RolloutState(model="twin-tiny"))

    def publish(self, place: str, *, young: bool = False, needs: tuple[str, ...] = ()) -> str:
        """A published folder of this age, with a folder in it."""
        made = self.scratch / "made"
        (made / "deep").mkdir(parents=True, exist_ok=True)
        (made / "a.bin").write_bytes(place.encode())
        (made / "deep" / "b.bin").write_bytes(b"b" * len(place))
        self.files.publish_folder(made, place)
        self._date(place, young=young)
        self.edges.setdefault(place, set()).update(needs)
        return place

    def write(self, place: str, *, young: bool = False) -> str:
        """A file of this age."""
        self.files.write_text(place, place)
        self._date(place, young=young)
        self.edges.setdefault(place, set())
        return place

    def _date(self, place: str, *, young: bool) -> None:
        if not young and place in self.young:  # published before, and left as it is
            return
        when = (YOUNG if young else OLD).timestamp()
        path = Path(self.files.root.removeprefix("file://")) / place
        for each in [path, *path.rglob("*")]:
            os.utime(each, (when, when))
        if young:
            self.young.add(place)
            self.roots.add(place)

    def reachable(self) -> set[str]:
        """All places that something needed leads to."""
        found, waiting = set(), list(self.roots)
        while waiting:
            place = waiting.pop()
            if place not in found:
                found.add(place)
                waiting += self.edges.get(place, ())
        return found

    def known(self) -> Known:
        """As a collection would know it from the stores."""
        return Known(
            recipe="tiny",
            model="twin-tiny",
            tree=StoredTree(self.files.listing()),
            places={each.version: self.files.relative(each.weights_uri) for each in self.versions},
            versions=self.versions,
            needed=dict.fromkeys(self.needed, "by lot"),
            state=self.state,
            served=frozenset(self.served),
            latest=self.latest,
            reports={
                name: report
                for name, report in self.reports.items()
                if self.files.is_published(f"rerankers/tiny/{name}")
            },
            offered=self.offered,
            newest_pairs=self.newest_pairs,
            runs=self.runs,
            asked_samples=frozenset(self.asked_samples),
            asked_answers=frozenset(self.asked_answers),
            newest=2,
            least_age=LEAST_AGE,
            now=NOW,
        )


def generated(files: FileStore, scratch: Path, lot: random.Random) -> Lineage:
    """A lineage by lot."""
    made = Lineage(files, scratch)
    sets = [digest(1, number) for number in range(lot.randint(1, 4))]
    for each in sets:
        _samples(made, each, lot)
    made.latest = lot.choice([*sets, None])
    if made.latest:
        made.roots.add(f"datasets/tiny/{made.latest}")
    trainings = [
        _training(made, number, lot.choice(sets), lot) for number in range(lot.randint(1, 4))
    ]
    for number in range(1, lot.randint(2, 6)):
        _version(made, number, *lot.choice(trainings), lot)
    for number in range(lot.randint(0, 3)):
        _reranker(made, number, lot.choice(sets), lot)
    _answers_and_snapshots(made, lot)
    if lot.random() < 0.4:
        asked = lot.choice(sets)
        made.asked_samples.add(asked)
        made.roots.add(f"datasets/tiny/{asked}")
    return made


def _answers_and_snapshots(made: Lineage, lot: random.Random) -> None:
    for number in range(4):
        key = digest(7, number)
        place = made.write(f"evaluation/answers/{key}.json", young=lot.random() < 0.2)
        if lot.random() < 0.4:
            made.asked_answers.add(key)
            made.roots.add(place)
    names = [f"2026010{number}T000000Z-x" for number in range(lot.randint(0, 4))]
    for name in names:
        made.publish(f"snapshots/tiny/{name}", young=lot.random() < 0.2)
    made.roots |= {f"snapshots/tiny/{name}" for name in names[-2:]}


def _samples(made: Lineage, version: str, lot: random.Random) -> None:
    place = made.publish(f"datasets/tiny/{version}", young=lot.random() < 0.2)
    for number in range(lot.randint(0, 3)):
        name = f"{version[-1]}{digest(2, number)}"
        pairs = f"pairs/tiny/{version}/{name}"
        made.publish(pairs, young=lot.random() < 0.2, needs=(place,))
        made.write(f"pairs/tiny/{version}/latest.json")
        made.newest_pairs[version] = name
        made.edges[place] = {pairs, f"pairs/tiny/{version}/latest.json"}


def _training(made: Lineage, number: int, samples: str, lot: random.Random) -> tuple[str, str]:
    """A training's folder with its samples; its steps go together."""
    place = f"training/tiny/{digest(3, number)}"
    others = [each.rpartition("/")[2] for each in made.edges if f"pairs/tiny/{samples}/" in each]
    others = [each for each in others if each != "latest.json"]
    pairs = lot.choice(others) if others else ""
    needs = {f"datasets/tiny/{samples}"} | ({f"pairs/tiny/{samples}/{pairs}"} if pairs else set())
    steps = [f"{place}/sft", f"{place}/dpo-1"]
    made.edges[place] = {*(f"{step}/adapter" for step in steps), *needs}
    for step in steps:
        made.publish(f"{step}/adapter", young=lot.random() < 0.1, needs=(place,))
        is_running, days = lot.random() < 0.15, lot.choice([1, 20])
        if lot.random() < 0.4:
            made.publish(f"{step}/checkpoints", young=lot.random() < 0.2, needs=(place,))
        if is_running and days < 7:
            made.roots |= {place} | ({f"{step}/checkpoints"} & made.edges.keys())
        made.runs.append(
            JobRun(
                key=step,
                dataset_version=samples,
                pairs_version=pairs if step.endswith("dpo-1") else "",
                began=NOW - timedelta(days=days),
                is_running=is_running,
            )
        )
    if samples == made.latest:
        made.roots.add(place)
    return place, samples


def _version(made: Lineage, number: int, training: str, samples: str, lot: random.Random) -> None:
    if lot.random() < 0.15:  # it serves, though a person has deleted it in MLflow
        made.served.add(made.publish(f"models/twin-tiny/{digest(8, number)}"))
        made.roots |= made.served
        return
    name = digest(4, lot.randint(1, number))  # two versions may share weights
    weights = made.publish(f"models/twin-tiny/{name}", young=lot.random() < 0.15)
    made.edges[weights].add(f"datasets/tiny/{samples}")
    scores = f"evaluation/scores/{name}"
    made.write(f"{scores}/1.json")
    made.edges[scores] = set()
    tags = {"dataset_version": samples, "adapter": f"{training}/dpo-1/adapter"}
    made.versions.append(
        ModelVersion("twin-tiny", str(number), made.files.uri(weights), name, "r", tags)
    )
    if lot.random() < 0.3:
        made.needed.add(str(number))
        made.roots |= {weights, training, scores, f"{scores}/1.json"}


def _reranker(made: Lineage, number: int, samples: str, lot: random.Random) -> None:
    name = digest(5, number)
    place = f"rerankers/tiny/{name}"
    made.publish(place, young=lot.random() < 0.2, needs=(f"datasets/tiny/{samples}",))
    gain = Gain(questions=9, documents=9, before=0.5, after=0.6)
    made.reports[name] = RerankerReport(
        version=name, embedder="e", dataset_version=samples, index_fingerprint="f", weight=0.5,
        max_length=64, trained_on=40, validation=gain, wins=True,
    )  # fmt: skip
    if samples == made.latest:
        made.roots.add(place)
    use = lot.random()
    if use < 0.2 and made.offered is None:
        made.offered = name
        made.roots.add(place)
    elif use < 0.4 and made.state.previous is None:
        recipe = {"retrieval": {"rerank": f"trained@{name}"}}
        served = ServedVersion(version="99", weights_uri="u", weights_digest="d", recipe=recipe)
        made.state = made.state.model_copy(update={"previous": served})
        made.roots.add(place)
