"""`twin datasets push`: to a hub over its own protocol, once a version, without what gates left."""

import io

import pytest
import yaml
from pyarrow import parquet
from typer.testing import CliRunner

from tests.twin.datasets.dataset_hub import dataset_hub
from tests.twin.datasets.sets import (
    FIRST,
    SECOND,
    pair,
    publish,
    publish_pairs,
    recipe_file,
)
from twin.cli import app
from twin.settings import get_settings

COUNTS = {"instruct": {"train": 3, "validation": 0, "test": 1}}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with dataset_hub() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("TWIN_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("TWIN_HUB_TOKEN", hub.token)
        get_settings.cache_clear()
        yield hub
        get_settings.cache_clear()


@pytest.fixture
def recipe(hub, tmp_path):
    return str(recipe_file(tmp_path))


def push(recipe, *options, name="ann/samples"):
    done = CliRunner().invoke(app, ["datasets", "push", name, "--recipe", recipe, *options])
    return done.exit_code, " ".join(done.output.split())


def test_a_version_is_there_once_whole_and_loadable(recipe, hub):
    publish(get_settings(), "v1", FIRST, [pair("a")], counts=COUNTS)
    code, told = push(recipe)
    assert code == 0, told
    assert told == f"{hub.url}/datasets/ann/samples/tree/v1-p-v1"
    assert hub.private == {"ann/samples": True}
    assert hub.commits == ["Samples v1-p-v1"]
    files = hub.tags["v1-p-v1"]
    assert {"README.md", "manifest.json", "pairs/manifest.json"} <= files.keys()
    rows = parquet.read_table(io.BytesIO(files["instruct/train.parquet"])).to_pylist()
    assert [row["id"] for row in rows] == ["a", "b", "c"]
    rows = parquet.read_table(io.BytesIO(files["pairs/preferences/train.parquet"])).to_pylist()
    assert [row["id"] for row in rows] == ["p-a"]
    assert push(recipe)[0] == 0
    assert hub.commits == ["Samples v1-p-v1"], "a version never changes"
    # What the next version has no more goes, and stays under the tag of this one.
    publish(get_settings(), "v2", SECOND, counts=COUNTS)
    code, told = push(recipe, "--version", "v2")
    assert code == 0, told
    assert "pairs/manifest.json" not in hub.files
    assert hub.tags.keys() == {"v1-p-v1", "v2"}
    assert "pairs/manifest.json" in hub.tags["v1-p-v1"]


def test_what_gates_left_out_stays_here(recipe, hub):
    sets = publish(get_settings(), "v1", FIRST, counts=COUNTS)
    rejected = [{"reason": "offensive", "detail": "", **FIRST[0].model_dump(mode="json")}]
    manifest = sets.manifest("v1").model_copy(update={"version": "v3"})
    sets.publish(manifest, FIRST, "card", rejected=rejected)
    assert push(recipe, "--public")[0] == 0
    assert "instruct/train.parquet" in hub.files
    assert not [name for name in hub.files if "rejected" in name]
    assert list(sets.rejected("v3")), "what is published stays as it is"
    assert hub.private == {"ann/samples": False}


def test_the_card_offers_samples_and_pairs(recipe, hub):
    sets = publish(get_settings(), "v1", FIRST, counts=COUNTS)
    front = (
        "---\nconfigs:\n- config_name: instruct\n  data_files:\n  - {split: train, path: x}\n---"
    )
    manifest = sets.manifest("v1").model_copy(update={"version": "v3"})
    sets.publish(manifest, FIRST, f"{front}\n# Samples\n")
    publish_pairs(get_settings(), "v3", "p", [pair("a")])
    assert push(recipe)[0] == 0
    offered = yaml.safe_load(hub.files["README.md"].decode().split("---")[1])["configs"]
    assert [each["config_name"] for each in offered] == ["preferences", "instruct"]
    path = offered[0]["data_files"][0]["path"]
    assert path in hub.files


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (503, 75, "answers 503 for ann/samples"),
        (403, 78, "does not let the account of TWIN_HUB_TOKEN write ann/samples"),
        (400, 65, "refuses ann/samples"),
    ],
)
def test_a_hub_that_refuses_or_fails(recipe, hub, status, code, words):
    publish(get_settings(), "v1", FIRST, counts=COUNTS)
    hub.status = status
    found, told = push(recipe)
    assert (found, words in told) == (code, True), told
    assert hub.tags == {}


def test_what_is_wrong_here_is_said_before_anything_is_sent(recipe, hub, monkeypatch):
    assert push(recipe)[0] == 65
    publish(get_settings(), "v1", FIRST, counts=COUNTS)
    code, told = push(recipe, name="a/b/c")
    assert (code, "no name of a hub's data set" in told) == (65, True), told
    monkeypatch.setenv("TWIN_HUB_TOKEN", "hf_reads")
    get_settings.cache_clear()
    code, told = push(recipe)
    assert (code, "may write there" in told) == (78, True), told
    assert "hf_reads" not in told
    monkeypatch.delenv("TWIN_HUB_TOKEN")
    get_settings.cache_clear()
    code, told = push(recipe)
    assert (code, "set TWIN_HUB_TOKEN" in told) == (78, True), told
    assert hub.commits == []
