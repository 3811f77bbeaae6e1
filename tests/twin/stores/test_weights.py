import uuid

import pytest

from twin.domain.errors import BadConfigurationError, BadDataError
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
    settings, uri, _ = published
    with pytest.raises(BadDataError, match=r"not the weights that were registered.*package"):
        fetch_weights(uri, "0" * 64, settings)


def test_bytes_that_changed_are_not_loaded(published):
    """In the store they are lost; on this machine's disk they are fetched again."""
    settings, uri, digest = published
    weights = fetch_weights(uri, digest, settings) / "model.safetensors"
    weights.write_bytes(b"v" * 10_000)
    if open_files(settings).is_local:
        with pytest.raises(BadDataError, match="not the weights that were registered"):
            fetch_weights(uri, digest, settings)
    else:
        assert fetch_weights(uri, digest, settings) == weights.parent
        assert weights.read_bytes() == b"w" * 10_000


def test_what_a_killed_download_left_is_not_fetched_again(settings, tmp_path, monkeypatch):
    settings = settings.model_copy(update={"files_uri": f"memory://{uuid.uuid4().hex}"})
    made = tmp_path / "made"
    made.mkdir()
    for name in ("a.safetensors", "b.safetensors"):
        (made / name).write_bytes(name.encode() * 1_000)
    store = open_files(settings)
    uri = store.publish_folder(made, "models/twin-a/1")
    digest = store.published_digest("models/twin-a/1")
    partial = settings.models_root / "weights" / f".{digest}.partial"
    partial.mkdir(parents=True)
    (partial / "a.safetensors").write_bytes((made / "a.safetensors").read_bytes())
    (partial / "b.safetensors.part").write_bytes(b"half")
    fetched = []
    get = type(store._fs).get_file
    monkeypatch.setattr(
        type(store._fs),
        "get_file",
        lambda self, path, *rest, **more: fetched.append(path) or get(self, path, *rest, **more),
    )
    folder = fetch_weights(uri, digest, settings)
    assert [path.rsplit("/", 1)[1] for path in fetched] == ["b.safetensors"]
    assert files.folder_digest(folder) == digest
    assert not list(folder.glob("*.part"))


def test_the_cache_of_weights_is_bounded(published):
    settings, uri, digest = published
    if open_files(settings).is_local:
        pytest.skip("a local store is its own cache")
    settings = settings.model_copy(update={"model_cache_bytes": 10_001})
    with pytest.raises(BadConfigurationError, match=r"10,002 bytes.*TWIN_MODEL_CACHE_BYTES"):
        fetch_weights(uri, digest, settings)
    settings = settings.model_copy(update={"model_cache_bytes": 10_002})
    assert fetch_weights(uri, digest, settings).is_dir()
