"""The file store in a bucket, behind the real s3fs: what comes first, what comes last, and once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import s3fs

from tests.s3_server import S3Server, s3_bucket
from twin.domain.errors import BadConfigurationError
from twin.stores.files import MARKER, FileStore


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    with s3_bucket() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "key")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        s3fs.S3FileSystem.clear_instance_cache()
        yield server
        s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def files() -> FileStore:
    return FileStore("s3://bucket/prefix")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    for name, text in (("a.txt", "one"), ("below/b.txt", "two")):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text)
    return made


def of(server: S3Server, method: str) -> list[str]:
    return [Path(path).name for asked, path in server.requests if asked == method]


def test_the_marker_is_the_last_that_comes_and_the_first_that_goes(
    bucket: S3Server, files: FileStore, folder: Path
) -> None:
    files.publish_folder(folder, "sets/one")
    assert of(bucket, "PUT") == ["a.txt", "b.txt", MARKER]
    files.remove("sets/one")
    gone = of(bucket, "DELETE")
    assert gone[0] == MARKER and {"a.txt", "b.txt"} <= set(gone)
    assert not bucket.objects


def test_a_folder_is_fetched_once_and_knows_that_it_is_whole(
    bucket: S3Server, files: FileStore, folder: Path, tmp_path: Path
) -> None:
    files.publish_folder(folder, "sets/one")
    first = files.fetch_folder("sets/one", tmp_path / "cache")
    assert (first / "below" / "b.txt").read_text() == "two"
    assert (first / MARKER).is_file()
    assert of(bucket, "GET").count("b.txt") == 1
    assert files.fetch_folder("sets/one", tmp_path / "cache") == first
    assert of(bucket, "GET").count("b.txt") == 1


@pytest.mark.usefixtures("bucket")
def test_another_name_of_the_same_content_is_another_folder(files: FileStore, folder: Path) -> None:
    files.publish_folder(folder, "sets/one")
    (folder / "a.txt").rename(folder / "c.txt")
    files.publish_folder(folder, "sets/two")
    assert files.published_digest("sets/one") != files.published_digest("sets/two")


def test_a_refusal_is_a_matter_of_configuration(
    bucket: S3Server, files: FileStore, folder: Path
) -> None:
    files.publish_folder(folder, "sets/one")
    bucket.refuse()
    with pytest.raises(BadConfigurationError, match="access refused"):
        files.read_bytes("sets/one/a.txt")


def test_a_listing_has_no_placeholders_of_folders(bucket: S3Server, files: FileStore) -> None:
    bucket.objects["/bucket/prefix/empty/"] = b""
    bucket.objects["/bucket/prefix/a.txt"] = b"one"
    assert [file.name for file in files.listing()] == ["a.txt"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = FileStore(str(tmp_path))
    local.write_text("a.txt", "old")
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o644

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(Exception, match="No space left"):
        local.write_text("a.txt", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert local.read_text("a.txt") == "old"
