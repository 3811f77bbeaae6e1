"""`twin monitoring gc` over a real registry, warehouse and file store."""

import json
import os
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.twin import twins
from twin.domain.errors import NothingToDo, TryAgainError
from twin.domain.result import JobResult
from twin.job import Job
from twin.monitoring.collect import Collection, collect_garbage
from twin.monitoring.commands import app
from twin.monitoring.garbage import Kind, find_garbage
from twin.recipes.monitoring import GarbageSection
from twin.stores.audit import Audit
from twin.stores.files import open_files
from twin.stores.generation_tables import COLUMNS, TABLE
from twin.stores.registry import WEIGHTS_DELETED, Registry
from twin.stores.tracking import tracking_run
from twin.stores.trained_models import Gain
from twin.stores.tuned_embedders import EmbedderReport, TunedEmbedders
from twin.stores.warehouse import open_warehouse

LATER = datetime.now(UTC) + timedelta(days=31)
SAMPLES = ("aaaaaaaaaaa1", "aaaaaaaaaaa2", "aaaaaaaaaaa3")


class World:
    """Three versions of a twin, each of samples and a training of its own; the first has a table of
    generations."""

    def __init__(self, settings, recipe, scratch: Path) -> None:
        self.settings, self.recipe, self.files = settings, recipe, open_files(settings)
        self.result = JobResult(job="monitoring gc", recipe=recipe.name, run_id="r")
        self.job = Job(recipe, settings, "r", self.result)
        self._folder = scratch / "folder"
        self._folder.mkdir()
        for number, samples in enumerate(SAMPLES, 1):
            self._publish(f"datasets/{recipe.name}/{samples}")
            self.version(str(number), samples)
        self._latest(SAMPLES[-1])

    def _publish(self, place):
        (self._folder / "a").write_text(place)
        return self.files.publish_folder(self._folder, place)

    def _latest(self, samples):
        # A manifest as `find_latest` reads it.
        manifest = {
            "version": samples, "recipe": self.recipe.name, "author_id": "a", "author_name": "A",
            "index_fingerprint": "f", "recipe_digest": "r", "prompt_version": "p", "documents": {},
            "counts": {},
        }  # fmt: skip
        name = self.recipe.name
        self.files.write_json(f"datasets/{name}/{samples}/manifest.json", manifest)
        self.files.write_json(f"datasets/{name}/latest.json", {"version": samples})

    def version(self, name, samples):
        step = f"training/{self.recipe.name}/bbbbbbbbbbb{name}/sft"
        self._publish(f"{step}/adapter")
        place = f"models/{self.recipe.model_name}/ccccccccccc{name}"
        uri = self._publish(place)
        tags = {"dataset_version": samples}
        with tracking_run(
            self.settings, experiment=self.recipe.name, name="sft", tags=tags, key=step
        ) as run:
            if name == "1":
                rows = [[1, "Why?", "A secret.", "x"]]
                run.log_table(json.dumps({"columns": COLUMNS, "data": rows}), TABLE)
        with Registry(self.settings) as registry:
            registry.register(
                self.recipe.model_name, weights_uri=uri,
                weights_digest=self.files.published_digest(place), run_id=run.id,
                tags=tags | {"adapter": f"{step}/adapter"},
            )  # fmt: skip

    def collect(self, now=LATER, before=lambda: None):
        with Collection(self.job, now) as collection:
            known = collection.known()
            found = find_garbage(known)
            before()
            collection.delete(found, known)
        return [each.place for each in found]


@pytest.fixture
def world(stores_settings, mlflow_url, tmp_path):
    name = f"tiny{uuid.uuid4().hex[:6]}"
    settings = stores_settings.model_copy(update={"mlflow_tracking_uri": mlflow_url})
    recipe = twins.write_recipe(tmp_path / "recipes").model_copy(update={"name": name})
    section = recipe.monitoring.model_copy(update={"garbage": GarbageSection(newest=1)})
    return World(settings, recipe.model_copy(update={"monitoring": section}), tmp_path)


def places_of(recipe, number):
    return [
        f"models/twin-{recipe}/ccccccccccc{number}",
        f"training/{recipe}/bbbbbbbbbbb{number}",
        f"datasets/{recipe}/aaaaaaaaaaa{number}",
    ]


def test_samples_that_a_tuned_embedder_has_learnt_from_stay(world, tmp_path):
    gain = Gain(questions=9, documents=9, before=0.5, after=0.6)
    report = EmbedderReport(
        version="ddddddddddd1", embedder="e", dataset_version=SAMPLES[0], index_fingerprint="f",
        trained_on=40, validation=gain, wins=False,
    )  # fmt: skip
    (tmp_path / "tuned").mkdir()
    TunedEmbedders(world.files, world.recipe.name).publish(tmp_path / "tuned", report)
    gone = world.collect()
    samples = {place for place in places_of(world.recipe.name, 1) if place.startswith("datasets/")}
    assert gone and samples.isdisjoint(gone)
    assert all(world.files.exists(place) for place in samples)


def test_what_is_garbage_goes_and_is_noted_and_nothing_else(world):
    name, files = world.recipe.name, world.files
    with Registry(world.settings) as registry:
        registry.promote(world.recipe.model_name, "2")
        places = places_of(name, 1)
        assert world.collect() == places
        assert not any(files.exists(place) for place in places)
        kept = [*places_of(name, 2), *places_of(name, 3)]
        assert all(files.exists(place) for place in kept)
        tags = [each.tags for each in registry.versions(world.recipe.model_name)]
    assert [WEIGHTS_DELETED in each for each in tags] == [True, False, False]
    assert tags[0][WEIGHTS_DELETED] == LATER.isoformat(timespec="seconds")
    assert world.result.counts.written == 3
    assert world.result.detail["tables of generations emptied"] == 1
    with open_warehouse(world.settings) as warehouse:
        [entry] = Audit(warehouse).entries(5)
    assert (entry.action, entry.subject) == ("garbage collected", name)
    assert entry.detail == {"weights": 1, "training": 1, "sample set": 1}
    assert world.collect() == []


def test_what_becomes_needed_meanwhile_stays_with_all_that_it_is_made_of(world):
    def restore():
        with Registry(world.settings) as registry:
            registry.promote(world.recipe.model_name, "1")

    found = world.collect(before=restore)
    assert len(found) == 6
    assert all(world.files.exists(place) for place in places_of(world.recipe.name, 1))
    assert not any(world.files.exists(place) for place in places_of(world.recipe.name, 2))
    assert (world.result.counts.written, world.result.counts.skipped) == (3, 3)


@pytest.mark.parametrize("change", ["version", "samples"])
def test_what_is_made_meanwhile_ends_it_before_anything_goes(world, change):
    def make():
        if change == "version":
            world.version("4", SAMPLES[0])
        else:
            world._latest(SAMPLES[0])

    with pytest.raises(TryAgainError, match="something was made"):
        world.collect(before=make)
    assert all(world.files.exists(place) for place in places_of(world.recipe.name, 1))


def test_a_report_keeps_whom_it_compares_with_and_the_answers(world):
    files, model = world.files, world.recipe.model_name
    answer = "evaluation/answers/{}.json"
    for key in ("asked", "not", "others", "lost"):
        files.write_text(answer.format(key), "{}")
    files.write_json(f"reports/{model}/3/report.json", {"lineage": {"champion": "1"}})
    files.write_json(f"reports/{model}/3/answers.json", {"rows": [{"kept": {"base": "asked"}}]})
    # Of a model that this registry does not know.
    files.write_json("reports/twin-gone/1/answers.json", {"rows": [{"kept": {"base": "lost"}}]})
    with (
        Registry(world.settings) as registry,
        tracking_run(world.settings, experiment="other", name="package") as run,
    ):
        other = f"{model}-other"
        registry.register(other, weights_uri="s3://x/y", weights_digest="e", run_id=run.id, tags={})
    files.write_json(f"reports/{other}/1/answers.json", {"rows": [{"kept": {"base": "others"}}]})
    found = world.collect()
    assert found == [answer.format("not"), *places_of(world.recipe.name, 2)]
    assert all(files.exists(answer.format(key)) for key in ("asked", "others", "lost"))


def test_a_run_at_work_keeps_what_it_measures(world):
    tags = {"version": "1", "model": world.recipe.model_name}

    def needed(now):
        with Collection(world.job, now) as collection:
            return collection.known().needed

    with tracking_run(world.settings, experiment=world.recipe.name, name="evaluation", tags=tags):
        assert needed(datetime.now(UTC) + timedelta(days=6))["1"] == "an evaluation is at it"
        assert set(needed(LATER)) == {"3"}  # it began a month ago, and was killed


def test_nothing_is_deleted_unless_it_is_wanted(world):
    old = world.recipe.monitoring.garbage.model_copy(update={"least_days": 1})
    past = (datetime.now(UTC) - timedelta(days=40)).timestamp()
    answer = world.files.write_text("evaluation/answers/k.json", "{}")
    os.utime(answer.removeprefix("file://"), (past, past))
    collect_garbage(world.job)
    assert world.result.detail["deleted"] is False
    assert world.result.detail["garbage"] == {Kind.TRANSCRIPT: {"count": 1, "bytes": 2}}
    assert (world.result.counts.read, world.result.counts.written) == (1, 0)
    assert world.files.exists("evaluation/answers/k.json")
    section = world.recipe.monitoring.model_copy(
        update={"garbage": old.model_copy(update={"delete": True})}
    )
    world.job.recipe = world.recipe.model_copy(update={"monitoring": section})
    collect_garbage(world.job)
    assert world.result.detail["deleted"] is True
    assert not world.files.exists("evaluation/answers/k.json")
    with pytest.raises(NothingToDo):
        collect_garbage(world.job, delete=True)


def test_its_help_says_what_stays():
    said = CliRunner().invoke(app, ["gc", "--help"]).output
    assert "--delete" in said and "least_days" in said
