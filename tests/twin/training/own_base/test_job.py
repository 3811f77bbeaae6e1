"""A base model from nothing: it learns, is resumed, and is a base model like any other."""

import json
import math
import os
import signal
import subprocess
import time
from pathlib import Path

import mlflow
import pytest

from tests import tiny_encoder
from tests.forked_twin import TwinProcess, run_twin
from tests.twin import corpora
from twin.domain.errors import BadDataError, NothingToDo, TryAgainError
from twin.models.bases.base_models import pin_base_model, prepare_base_model
from twin.models.formats.chat_format import ChatFormat
from twin.models.formats.trained_end import is_trained
from twin.training import steadfast
from twin.training.engine import load_for_training
from twin.training.own_base.job import run_pretrain
from twin.training.sft import run_sft

SMALL = {
    "name": "ann-base", "vocabulary": 400, "layers": 2, "width": 32, "heads": 2, "max_length": 64,
    "max_steps": 60, "save_steps": 20, "batch_size": 8, "learning_rate": 1e-2, "sample_tokens": 12,
}  # fmt: skip


@pytest.fixture
def own(world, tmp_path):
    """A folder of texts beside the world's recipe, and runs of the job on it."""
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(20):
        text = corpora.passage(f"own-{number}", 120)
        (folder / f"{number}.md").write_text(text)

    def run(body=run_pretrain, **values):
        return world.run(body, own_base={"corpus": folder, **SMALL, **values})

    return run


def test_perplexity_falls_and_the_model_is_a_base_for_the_loop(own, world):
    result = own()
    detail = result.detail
    assert detail["steps"] == 60
    client = mlflow.MlflowClient(world.settings.mlflow_tracking_uri)
    run = result.ids["mlflow_run"]
    curve = client.get_metric_history(run, "validation_loss")
    assert [point.step for point in curve][:3] == [20, 40, 60]
    assert curve[0].value < math.log(400), "better than any token as likely"
    assert detail["perplexity"] < 0.5 * math.exp(curve[0].value)
    assert detail["perplexity"] == pytest.approx(math.exp(min(p.value for p in curve)), rel=1e-3)
    assert 0 < detail["bits_per_byte"] < 4
    samples = {each.path for each in client.list_artifacts(run, "samples")}
    assert samples == {"samples/20.txt", "samples/40.txt", "samples/60.txt"}
    assert result.ids["base_model"].startswith("ann-base@")
    pin = pin_base_model("ann-base", world.settings)
    assert pin.digest == detail["base_digest"]
    folder = prepare_base_model("ann-base", world.settings)
    assert "Ann" in (folder / "LICENCE").read_text()
    model, chat = load_for_training(folder, world.settings, world.recipe.training)
    assert chat.end_of_answer == "<|endoftext|>"
    assert is_trained(model.get_output_embeddings().weight, chat.end_id)
    with pytest.raises(NothingToDo, match=r"ann-base@.* is of these texts and values already"):
        own()
    with pytest.raises(NothingToDo):
        own(sample_tokens=3)


def test_the_loop_trains_on_it(own, world):
    own(max_length=1024, max_steps=4, save_steps=2)
    training = world.recipe.training.model_copy(update={"base_model": "ann-base"})
    world.recipe = world.recipe.model_copy(update={"training": training})
    result = world.run(run_sft)
    assert result.detail["steps"] == 6
    folder = prepare_base_model("ann-base", world.settings)
    assert ChatFormat.load(folder).count_tokens("pods") > 0


def test_told_to_end_it_goes_on_where_it_was_to_the_same_weights(own, world, monkeypatch):
    original, seen = steadfast.Steadfast.training_step, []

    def training_step(self, *args, **kwargs):
        seen.append(None)
        if len(seen) == 27:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(steadfast.Steadfast, "training_step", training_step)
    with pytest.raises(TryAgainError, match="after step 26, which is saved") as told:
        own()
    assert told.value.exit_code == 75
    result = own()
    assert result.detail["resumed_from"] == "checkpoint-26"
    assert len(seen) == 27 + 60 - 26
    names = world.files.names("training/ann")
    (record,) = (name for name in names if name.endswith(".json"))
    assert not [name for name in names if "checkpoints" in name]
    world.files.remove(f"training/ann/{record}")
    seen.extend([None] * 99)
    again = own()
    assert again.detail["base_digest"] == result.detail["base_digest"], "as if uninterrupted"


def test_the_passages_of_the_samples_are_the_corpus_where_no_folder_is_named(own):
    result = own(corpus=None, max_steps=2, save_steps=1)
    assert result.counts.read > 2
    assert result.detail["steps"] == 2


def test_the_bare_name_means_the_newest(own, world):
    older, newest = (
        own(max_steps=2, save_steps=1, learning_rate=rate).ids["base_model"]
        for rate in (1e-2, 2e-2)
    )
    assert older != newest
    assert pin_base_model("ann-base", world.settings).name == newest
    assert pin_base_model(older, world.settings).name == older


def test_too_little_text_is_said(own, tmp_path):
    few = tmp_path / "few"
    few.mkdir()
    (few / "a.txt").write_text("Short.")
    with pytest.raises(BadDataError, match="shorter than one row of 64"):
        own(corpus=few)


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("what", ["pretrain", "classifier"])
def test_after_kill_9_it_goes_on_from_the_checkpoint(world, tmp_path, what):
    """Four processes. Buys: what SIGTERM shows in this one holds where nothing could be saved."""
    texts = [corpora.passage(f"own-{number}", 120) for number in range(20)]
    (tmp_path / "texts").mkdir()
    for number, text in enumerate(texts):
        (tmp_path / "texts" / f"{number}.md").write_text(text)
    rows = [{"text": text, "label": str(number % 2)} for number, text in enumerate(texts)]
    (tmp_path / "labelled.jsonl").write_text("\n".join(map(json.dumps, rows)))
    encoder = tiny_encoder.build(tmp_path / "encoder", ["the", "pod", "model"])
    steps = {"max_steps": 80, "save_steps": 4, "early_stopping": 99, "batch_size": 2}
    training = {
        "own_base": {**SMALL, "corpus": str(tmp_path / "texts"), **steps},
        "classifiers": [{"name": "odd", "corpus": str(tmp_path / "labelled.jsonl"),
                         "encoders": [str(encoder)], **steps}],
    }  # fmt: skip
    base = Path(world.recipe.training.base_model)
    world.recipe = corpora.write_recipe(world.settings.recipes, base, training=training)
    environment = {**os.environ, **corpora.environment(world.settings)}
    command = ["training", *{"pretrain": ["pretrain"], "classifier": ["classifier", "fit"]}[what]]
    command += ["--recipe", "ann"]
    root = Path(world.settings.files_root)
    with TwinProcess(command, env=environment, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 200
        while not list(root.rglob("*-checkpoints/checkpoint-*/.published.json")):
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline, "no checkpoint"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    result = tmp_path / "result.json"
    done = run_twin(*command, "--result", result, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(result.read_text())
    assert int(told["detail"]["resumed_from"].split("-")[1]) >= 4
    assert not list(root.rglob("*-checkpoints"))
    assert run_twin(*command, env=environment).returncode == 99
