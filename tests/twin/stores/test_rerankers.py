"""Trained rerankers in the file store: which one is offered, and what is said where none is."""

import json

import pytest

from tests.twin import twins
from twin.domain.errors import BadDataError
from twin.stores.files import open_files
from twin.stores.rerankers import (
    RerankerReport,
    Rerankers,
    fetch_reranker,
    pinned_reranker,
    with_pinned_reranker,
)
from twin.stores.trained_models import Gain


def report(version="v1", *, wins=True):
    gain = Gain(questions=9, documents=9, before=0.5, after=0.6, low=0.05, high=0.15)
    return RerankerReport(
        version=version, embedder="e@1", dataset_version="d", index_fingerprint="f", weight=0.5,
        max_length=64, trained_on=40, validation=gain, test=gain, wins=wins,
    )  # fmt: skip


@pytest.fixture
def rerankers(settings):
    return Rerankers(open_files(settings), "tiny")


@pytest.fixture
def publish(rerankers, tmp_path):
    def made(version="v1", **more):
        folder = tmp_path / version
        folder.mkdir()
        (folder / "model.safetensors").write_text(version)
        return rerankers.publish(folder, report(version, **more))

    return made


def test_one_that_wins_is_offered_and_found_whole(rerankers, publish, settings):
    publish()
    assert rerankers.offered() == "v1"
    folder, found = fetch_reranker("trained", "tiny", settings)
    assert found == report()
    assert (folder / "model.safetensors").read_text() == "v1"
    assert json.loads((folder / "report.json").read_text())["weight"] == 0.5


def test_one_that_does_not_win_is_kept_and_not_offered(rerankers, publish):
    publish("v1", wins=False)
    assert rerankers.offered() is None
    assert rerankers.report("v1").wins is False
    publish("v2")
    publish("v3", wins=False)
    assert rerankers.offered() == "v2"


def test_what_is_served_names_its_version(publish, settings, tmp_path):
    recipe = twins.write_recipe(tmp_path / "recipes")
    assert with_pinned_reranker(recipe, settings) == recipe
    asked = recipe.model_copy(
        update={"retrieval": recipe.retrieval.model_copy(update={"rerank": "trained"})}
    )
    with pytest.raises(BadDataError, match="no reranker of recipe tiny has won yet"):
        with_pinned_reranker(asked, settings)
    publish()
    pinned = with_pinned_reranker(asked, settings)
    assert pinned.retrieval.rerank == "trained@v1"
    publish("v2")
    assert with_pinned_reranker(pinned, settings) == pinned, "a pin stays"
    assert with_pinned_reranker(asked, settings).retrieval.rerank == "trained@v2"
    assert fetch_reranker("trained@v1", "tiny", settings)[1].version == "v1"
    assert pinned_reranker("maxsim", "tiny", settings) == "maxsim"


def test_a_version_that_is_gone_or_damaged_is_said(rerankers, publish, settings):
    publish()
    with pytest.raises(BadDataError, match="no reranker v9 of recipe tiny"):
        fetch_reranker("trained@v9", "tiny", settings)
    open_files(settings).write_text("rerankers/tiny/v1/report.json", "{}")
    with pytest.raises(BadDataError, match="is no report"):
        rerankers.report("v1")


def test_other_bytes_than_were_published_are_refused(publish, settings):
    publish()
    open_files(settings).write_text("rerankers/tiny/v1/model.safetensors", "v9")
    with pytest.raises(BadDataError, match="train-reranker"):
        fetch_reranker("trained", "tiny", settings)
