"""The file store: whole or not at all, on a folder and on an object store."""

import os
import signal
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError
from twin.stores.files import MARKER, FileStore, _publish_locally, folder_digest, open_files
from twin.stores.stored_file import stored_file


@pytest.fixture(params=["folder", "objects"])
def store(request, tmp_path):
    """A store on a folder, and one on fsspec's in-memory object store (no rename, like S3)."""
    if request.param == "folder":
        return FileStore(str(tmp_path / "files"))
    return FileStore(f"memory://{uuid.uuid4().hex}/files")


@pytest.fixture
def made(tmp_path):
    folder = tmp_path / "made"
    (folder / "deep").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"w" * 100_000)
    (folder / "deep" / "card.md").write_text("Åse's card\n", encoding="utf-8")
    return folder


def test_text_bytes_and_json_survive(store):
    assert store.write_text("a/b.txt", "Grüße\n") == store.uri("a/b.txt")
    store.write_bytes("a/c.bin", b"\x00\xff")
    store.write_json("a/d.json", {"n": 1})
    assert store.read_text("a/b.txt") == "Grüße\n"
    assert store.read_bytes("a/c.bin") == b"\x00\xff"
    assert store.read_json("a/d.json") == {"n": 1}
    assert store.names("a") == ["b.txt", "c.bin", "d.json"]
    assert store.names("nowhere") == []
    store.write_text("a/b.txt", "new")
    assert store.read_text("a/b.txt") == "new"
    store.remove("a")
    store.remove("a")
    assert not store.exists("a/b.txt")


def test_a_folder_is_published_and_fetched_whole(store, made, tmp_path):
    assert not store.is_published("models/x")
    uri = store.publish_folder(made, "models/x")
    assert uri == store.uri("models/x")
    assert store.is_published("models/x")
    for name in ("models/x", uri):
        fetched = store.fetch_folder(name, tmp_path / "cache")
        assert (fetched / "weights.bin").read_bytes() == b"w" * 100_000
        assert (fetched / "deep" / "card.md").read_text(encoding="utf-8") == "Åse's card\n"
        assert folder_digest(fetched) == store.published_digest("models/x") == folder_digest(made)


def test_a_published_folder_stays_unless_replaced(store, made, tmp_path):
    store.publish_folder(made, "x")
    first = store.published_digest("x")
    (made / "weights.bin").write_bytes(b"other")
    (made / "deep" / "card.md").unlink()
    store.publish_folder(made, "x")
    assert store.published_digest("x") == first
    store.publish_folder(made, "x", replace=True)
    assert store.published_digest("x") == folder_digest(made) != first
    fetched = store.fetch_folder("x", tmp_path / "cache")
    assert not (fetched / "deep" / "card.md").exists()


def test_an_unfinished_folder_is_not_there(store, tmp_path):
    store.write_text("models/x/weights.bin", "half")
    assert store.exists("models/x")
    assert not store.is_published("models/x")
    with pytest.raises(BadDataError, match="nothing complete"):
        store.fetch_folder("models/x", tmp_path)


def test_markers_go_first_also_those_of_folders_within(store, made):
    for name in ("all", "all/x", "all/deep/y"):
        store.publish_folder(made, name)
    store.write_text("all/z.txt", "z")
    removed, remove = [], store._fs.rm

    def rm(path, **options):
        removed.append(path.partition("/files/")[2])
        if len(removed) == 4:
            raise KeyboardInterrupt
        remove(path, **options)

    store._fs.rm = rm
    try:
        with pytest.raises(KeyboardInterrupt):
            store.remove("all")
    finally:
        store._fs.rm = remove
    assert removed == [
        f"all/{MARKER}", f"all/deep/y/{MARKER}", f"all/x/{MARKER}", "all",
    ]  # fmt: skip
    assert not any(store.is_published(name) for name in ("all", "all/x", "all/deep/y"))
    assert store.exists("all/x/weights.bin")
    store.remove("all")
    assert not store.exists("all")


def test_a_folder_of_nothing_but_a_marker_is_removed(store, made):
    (made / "weights.bin").unlink()
    (made / "deep" / "card.md").unlink()
    store.publish_folder(made, "x")
    store.remove("x")
    assert not store.is_published("x")


def test_a_listing_says_when_each_file_was_written(store, tmp_path):
    before = datetime.now(UTC) - timedelta(seconds=2)
    store.write_text("a/b.txt", "b")
    [file] = store.listing()
    assert file.name == "a/b.txt" and file.size == 1
    assert before < file.changed <= datetime.now(UTC) + timedelta(seconds=1)


@pytest.mark.parametrize(
    "told", [{"LastModified": datetime(2026, 5, 1, tzinfo=UTC)}, {"mtime": 1777593600.0}]
)
def test_the_time_of_a_file_is_the_stores_own(told):
    file = stored_file("b/f", {"size": 1, **told}, "b")
    assert file.changed == datetime(2026, 5, 1, tzinfo=UTC)
    assert stored_file("b/f", {"size": 1}, "b").changed is None


def test_the_digest_ignores_order_but_not_names_or_bytes(tmp_path):
    for name, files in {"one": "ab", "two": "ba"}.items():
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).write_text(file)
    assert folder_digest(tmp_path / "one") == folder_digest(tmp_path / "two")
    (tmp_path / "two" / "a").rename(tmp_path / "two" / "c")
    assert folder_digest(tmp_path / "one") != folder_digest(tmp_path / "two")


def test_damaged_bytes_are_noticed(made, tmp_path):
    local = FileStore(str(tmp_path / "files"))
    local.publish_folder(made, "x")
    (tmp_path / "files" / "x" / "weights.bin").write_bytes(b"short")
    with pytest.raises(BadDataError, match=r"weights\.bin is missing or not of the published size"):
        local.fetch_folder("x", tmp_path / "cache")
    objects = FileStore(f"memory://{uuid.uuid4().hex}")
    objects.publish_folder(made, "x")
    objects.write_bytes("x/weights.bin", b"v" * 100_000)
    with pytest.raises(BadDataError, match="not those published"):
        objects.fetch_folder("x", tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_paths_stay_inside(store):
    for bad in ("../x", "a/../../x", "/etc/passwd"):
        with pytest.raises(BadDataError, match="not a path inside"):
            store.read_bytes(bad)
    with pytest.raises(BadDataError, match="not in the file store"):
        store.relative("s3://elsewhere/x")


def test_failures_are_plain(store, tmp_path):
    with pytest.raises(BadDataError, match="no such file"):
        store.read_text("missing.txt")
    store.write_text("broken.json", "{")
    with pytest.raises(BadDataError, match="not JSON"):
        store.read_json("broken.json")
    with pytest.raises(BadConfigurationError, match="TWIN_FILES_URI"):
        FileStore("nonsense://x")
    (tmp_path / "occupied").write_text("a file")
    with pytest.raises((TryAgainError, BadConfigurationError)):
        FileStore(str(tmp_path / "occupied")).write_text("a/b", "x")


def test_an_unreachable_bucket_is_try_again(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret-but-hide-it")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(TryAgainError) as caught:
        FileStore("s3://bucket/prefix").read_text("x")
    assert "not-a-secret" not in str(caught.value)


def test_settings_give_the_store(settings):
    store = open_files(settings)
    assert store.root == settings.files_root
    assert store.is_local


def test_kill_9_while_publishing_leaves_nothing_that_looks_complete(tmp_path):
    source = tmp_path / "made"
    source.mkdir()
    for number in range(400):
        (source / f"{number:03}").write_bytes(os.urandom(200_000))
    root = tmp_path / "files"
    code = (
        "import sys; from pathlib import Path; from twin.stores.files import FileStore\n"
        "FileStore(sys.argv[2]).publish_folder(Path(sys.argv[1]), 'x')"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(source), str(root)]) as process:
        deadline = time.monotonic() + 60
        while not list(root.glob(".publish-*/folder/*")) and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    store = FileStore(str(root))
    assert not (root / "x").exists()
    assert not store.is_published("x")
    store.publish_folder(source, "x")
    assert len(store.names("x")) == 401
    assert (Path(root) / "x" / MARKER).is_file()


def test_what_a_kill_9_left_is_removed_a_day_later(made, tmp_path):
    root = tmp_path / "files"
    for prefix in (".publish-", ".fetch-"):
        for name, hours in (("old", 25), ("new", 1)):
            left = root / f"{prefix}{name}" / "folder"
            left.mkdir(parents=True)
            then = time.time() - hours * 3600
            os.utime(left.parent, (then, then))
    FileStore(str(root)).publish_folder(made, "x")
    objects = FileStore(f"memory://{uuid.uuid4().hex}")
    objects.publish_folder(made, "x")
    objects.fetch_folder("x", root)
    assert sorted(path.name for path in root.glob(".*")) == [".fetch-new", ".publish-new"]


def test_a_late_publisher_leaves_a_complete_folder_alone(made, tmp_path):
    """Two jobs saw that nothing was published; the slower one finds the other's, in use."""
    store = FileStore(str(tmp_path / "files"))
    store.publish_folder(made, "x")
    target = tmp_path / "files" / "x"
    first = (target / "weights.bin").stat().st_ino
    _publish_locally(made, target, store.read_json(f"x/{MARKER}"))
    assert (target / "weights.bin").stat().st_ino == first
    (target / MARKER).unlink()
    _publish_locally(made, target, {"digest": "", "files": {}})
    assert (target / "weights.bin").stat().st_ino != first
    assert (target / MARKER).is_file()
