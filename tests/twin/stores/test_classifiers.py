"""Classifiers in a file store: which folder of this machine one is written to."""

import json

import pytest

from twin.domain.errors import BadConfigurationError
from twin.stores.classifiers import REPORT, Classifiers
from twin.stores.files import open_files


@pytest.fixture
def kept(settings, tmp_path):
    """A store with a classifier of two versions."""
    files = open_files(settings)
    classifiers = Classifiers(files, "ann")
    for version in ("v1", "v2"):
        folder = tmp_path / version
        folder.mkdir()
        report = {"version": version, "encoder_digest": "e", "weights_sha256": "w"}
        (folder / REPORT).write_text(json.dumps(report))
        (folder / "config.json").write_text("{}")
        files.publish_folder(folder, classifiers.folder("topic", version))
    return classifiers


def test_a_classifier_is_written_over_an_older_one(kept, tmp_path):
    target = tmp_path / "out" / "topic"
    for version in ("v1", "v2"):
        kept.write_to("topic", version, target)
        assert json.loads((target / REPORT).read_text())["version"] == version
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize(
    "files",
    [{"notes": "x"}, {"config.json": "{}", "model.safetensors": "x"},
     {"config.json": "{}", REPORT: "{}"}, {"config.json": "{}", REPORT: "[1]"}, {REPORT: "x"}],
)  # fmt: skip
def test_a_folder_of_somebody_elses_is_left_alone(kept, tmp_path, files):
    target = tmp_path / "mine"
    target.mkdir()
    for name, text in files.items():
        (target / name).write_text(text)
    with pytest.raises(BadConfigurationError, match="holds no classifier that this command"):
        kept.write_to("topic", "v1", target)
    assert {path.name: path.read_text() for path in target.iterdir()} == files
