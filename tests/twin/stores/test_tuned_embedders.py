"""Tuned embedders in the file store: only one that has won can be taken."""

import pytest

from twin.domain.errors import BadDataError
from twin.models.embedder import load_embedder
from twin.stores.files import open_files
from twin.stores.trained_models import Gain
from twin.stores.tuned_embedders import (
    EmbedderReport,
    TunedEmbedders,
    fetch_tuned_embedder,
    is_tuned,
)

VERSION = "0123456789ab"


def report(version=VERSION, *, wins=True):
    gain = Gain(questions=9, documents=9, before=0.5, after=0.625, low=0.05, high=0.15)
    return EmbedderReport(
        version=version, embedder="e@1", dataset_version="d", index_fingerprint="f",
        trained_on=40, validation=gain, wins=wins,
    )  # fmt: skip


def publish(settings, folder, **more):
    folder.mkdir()
    (folder / "model.safetensors").write_text("weights")
    tuned = TunedEmbedders(open_files(settings), "tiny")
    tuned.publish(folder, report(**more))
    return tuned


def test_one_that_wins_is_named_offered_and_found_whole(settings, tmp_path):
    tuned = publish(settings, tmp_path / "made")
    assert tuned.offered() == VERSION
    name = tuned.name(VERSION)
    assert name == f"tuned/tiny/{VERSION}" and is_tuned(name)
    folder = fetch_tuned_embedder(name, settings)
    assert (folder / "model.safetensors").read_text() == "weights"
    assert dict(tuned.reports()) == {VERSION: report()}


def test_one_that_does_not_win_is_kept_and_never_loaded(settings, tmp_path):
    tuned = publish(settings, tmp_path / "made", wins=False)
    assert tuned.offered() is None and tuned.report(VERSION) == report(wins=False)
    told = r"does not find more than e@1 \(nDCG@10 0.500 before, 0.625 after\)"
    for name in (tuned.name(VERSION), f"{tuned.name(VERSION)}:int8"):
        with pytest.raises(BadDataError, match=told):
            load_embedder(name, settings)


def test_what_is_not_there_says_what_to_run(settings):
    with pytest.raises(BadDataError, match="twin features finetune-embedder --recipe tiny"):
        load_embedder(f"tuned/tiny/{VERSION}", settings)
    with pytest.raises(BadDataError, match="tuned/RECIPE/VERSION"):
        fetch_tuned_embedder("tuned/tiny", settings)


@pytest.mark.parametrize(
    "name",
    ["all-minilm-l6-v2", "tuned/tiny", "tuned/a/b/0123456789ab", "tuned/tiny/0123456789abc",
     "tuned/../0123456789", "x/tuned/tiny/0123456789ab"],
)  # fmt: skip
def test_other_names_are_no_tuned_ones(name):
    assert not is_tuned(name)


def test_weights_that_were_changed_are_refused(settings, tmp_path):
    tuned = publish(settings, tmp_path / "made")
    folder = fetch_tuned_embedder(tuned.name(VERSION), settings)
    (folder / "model.safetensors").write_text("others!")
    with pytest.raises(BadDataError, match="digest differs"):
        fetch_tuned_embedder(tuned.name(VERSION), settings)
