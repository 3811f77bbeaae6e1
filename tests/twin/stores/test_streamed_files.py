"""Streams into and out of the file store: a folder, and a bucket behind the real s3fs."""

import gzip
import hashlib
import json
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3fs

from tests.s3_server import S3Server, s3_bucket
from twin.domain.errors import BadConfigurationError, BadDataError
from twin.stores import streamed_files
from twin.stores.files import MARKER
from twin.stores.streamed_files import StreamedFiles

#: Does not pack: seven million random bytes as text are two parts of an upload.
LARGE = random.Random(1).randbytes(7_000_000).decode("latin-1").replace("\r", "").replace("\n", "")
TEXT = LARGE[:300_000]
PART = 5 * 2**20


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    with s3_bucket() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "key")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        monkeypatch.setattr(streamed_files, "PART_BYTES", PART)
        s3fs.S3FileSystem.clear_instance_cache()
        yield server
        s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture(params=["folder", "bucket"])
def files(request: pytest.FixtureRequest, tmp_path: Path, bucket: S3Server) -> StreamedFiles:
    if request.param == "folder":
        return StreamedFiles(str(tmp_path / "files"))
    return StreamedFiles(f"s3://bucket/{tmp_path.name}")


@pytest.fixture
def no_scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes a temporary file fails."""
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at/all")


def publish(files: StreamedFiles, *lines: str) -> dict[str, str]:
    with files.publishing("backups/toy/one") as made:
        with made.text("lines") as file:
            for line in lines:
                file.write(line + "\n")
        made.plain("about.json", "{}")
    return made.digests


@pytest.mark.usefixtures("no_scratch")
def test_what_is_written_is_read_again(files: StreamedFiles) -> None:
    digests = publish(files, "ümlaut", TEXT, "end")
    assert files.is_published("backups/toy/one")
    files.check_published("backups/toy/one")
    source = files.packed("backups/toy/one/lines.gz")
    for _ in range(2):
        with source.open("rb") as file:
            content = file.read()
        assert content.decode() == f"ümlaut\n{TEXT}\nend\n"
    assert digests == {"lines": hashlib.sha256(content).hexdigest()}
    assert files.read_json("backups/toy/one/about.json") == {}


def test_the_folder_is_one_that_the_store_publishes(files: StreamedFiles, tmp_path: Path) -> None:
    publish(files, "a", "b")
    folder = files.fetch_folder("backups/toy/one", tmp_path / "cache")
    assert gzip.decompress((folder / "lines.gz").read_bytes()) == b"a\nb\n"
    assert set(files.published_listing("backups/toy/one")) == {"lines.gz", "about.json"}


def test_the_same_content_has_the_same_bytes(files: StreamedFiles) -> None:
    publish(files, "a", TEXT)
    first = files.published_digest("backups/toy/one")
    files.remove("backups/toy/one")
    publish(files, "a", TEXT)
    assert files.published_digest("backups/toy/one") == first


def test_nothing_stays_of_what_ended_by_an_error(files: StreamedFiles, bucket: S3Server) -> None:
    class Torn(BaseException):
        pass

    with (
        pytest.raises(Torn),
        files.publishing("backups/toy/one") as made,
        made.text("lines") as file,
    ):
        file.write(TEXT)
        raise Torn
    assert not files.exists("backups/toy/one")
    assert not bucket.objects and not bucket.uploads


def test_a_bucket_gets_a_large_file_in_parts(bucket: S3Server) -> None:
    files = StreamedFiles("s3://bucket")
    seen: list[int] = []
    with files.publishing("big") as made, made.text("lines") as file:
        for start in range(0, len(LARGE), 2**18):
            file.write(LARGE[start : start + 2**18])
            seen += [len(part) for parts in bucket.uploads.values() for part in parts.values()]
    assert max(seen) >= PART, "the first part was there before the file was whole"
    assert MARKER in {Path(path).name for path in bucket.objects}
    assert not bucket.uploads


def test_an_upload_that_is_refused_leaves_nothing(bucket: S3Server) -> None:
    bucket.break_part(2)
    with pytest.raises(BadConfigurationError, match=r"s3://bucket/backups/toy/one/lines\.gz"):
        publish(StreamedFiles("s3://bucket"), LARGE)
    assert not bucket.objects and not bucket.uploads


def test_a_process_that_dies_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    files = StreamedFiles(str(tmp_path))
    if not (child := os.fork()):
        with files.publishing("a") as made, made.text("lines") as file:
            file.write(LARGE)
            os.kill(os.getpid(), 9)
    assert os.waitpid(child, 0)[1] == 9
    assert (tmp_path / "a" / "lines.gz").is_file() and not files.is_published("a")


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_damage_is_noticed(files: StreamedFiles, damage: str) -> None:
    publish(files, "a", TEXT)
    name = "backups/toy/one/lines.gz"
    content = bytearray(files.read_bytes(name))
    content[len(content) // 2] ^= 1
    if damage == "gone":
        files.remove(name)
    else:
        files.write_bytes(name, bytes(content[:-9] if damage == "cut" else content))
    expected = "no such file" if damage == "gone" else "the bytes are not those published"
    with pytest.raises(BadDataError, match=f"lines.gz: {expected}"):
        files.check_published("backups/toy/one")
    expected = "no such file" if damage == "gone" else "cannot be unpacked"
    with (
        pytest.raises(BadDataError, match=f"lines.gz: {expected}"),
        files.packed(name).open("rb") as file,
    ):
        file.read()


def test_what_is_no_packed_file_is_told(files: StreamedFiles) -> None:
    files.write_bytes("x.gz", json.dumps({}).encode())
    with (
        pytest.raises(BadDataError, match=r"x\.gz: cannot be unpacked: Not a gzipped file"),
        files.packed("x.gz").open("rb") as file,
    ):
        file.read()
