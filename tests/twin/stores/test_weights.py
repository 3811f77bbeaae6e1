import uuid

import pytest

from twin.domain.errors import BadDataError
from twin.stores import files
from twin.stores.files import open_files
from twin.stores.weights import fetch_weights


@pytest.fixture(params=["folder", "objects"])
def published(request, settings, tmp_path):
    """Settings, address and digest of published weights, in a folder or on an object store."""
    if request.param == "objects":
        settings = settings.model_copy(update={"files_uri": f"memory://{uuid.uuid4().hex}"})
    made = tmp_path / "made"
    made.mkdir()
    (made / "model.safetensors").write_bytes(b"w" * 10_000)
    (made / "config.json").write_text("{}")
    store = open_files(settings)
    uri = store.publish_folder(made, "models/twin-a/1")
    return settings, uri, store.published_digest("models/twin-a/1")


@pytest.fixture
def hashed(monkeypatch):
    """Names of the files that are hashed, in the order in which they are."""
    names = []
    digest = files.file_digest
    monkeypatch.setattr(files, "file_digest", lambda path: names.append(path.name) or digest(path))
    return names


def test_every_file_is_hashed_once(published, hashed):
    settings, uri, digest = published
    for _ in range(2):
        folder = fetch_weights(uri, digest, settings)
        assert (folder / "model.safetensors").read_bytes() == b"w" * 10_000
        assert sorted(hashed) == ["config.json", "model.safetensors"]
        hashed.clear()


def test_other_bytes_than_the_registered_ones_are_refused(published):
    settings, uri, digest = published
    with pytest.raises(BadDataError, match="not the weights that were registered"):
        fetch_weights(uri, "0" * 64, settings)
    folder = fetch_weights(uri, digest, settings)
    (folder / "model.safetensors").write_bytes(b"v" * 10_000)
    with pytest.raises(BadDataError, match="not the weights that were registered"):
        fetch_weights(uri, digest, settings)
