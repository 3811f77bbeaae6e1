import threading

import pytest
import s3fs

from tests import servers
from tests.s3_server import s3_server
from twin.domain.errors import BadConfigurationError, TryAgainError
from twin.stores.conditional_files import ChangedMeanwhileError, ConditionalFiles

NAME = "rollouts/twin-a.json"


@pytest.fixture(params=["folder", "bucket"])
def files(request, tmp_path, monkeypatch):
    if request.param == "folder":
        yield ConditionalFiles(str(tmp_path))
        return
    with s3_server() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()
        yield ConditionalFiles("s3://bucket/prefix")
        s3fs.S3FileSystem.clear_instance_cache()


def test_a_file_is_made_once(files):
    assert files.read_version(NAME) is None
    files.write_if(NAME, b"one", None)
    with pytest.raises(ChangedMeanwhileError):
        files.write_if(NAME, b"two", None)
    content, _ = files.read_version(NAME)
    assert content == b"one"


def test_a_write_from_what_is_there_no_more_is_refused(files):
    files.write_if(NAME, b"one", None)
    _, first = files.read_version(NAME)
    files.write_if(NAME, b"two", first)
    with pytest.raises(ChangedMeanwhileError):
        files.write_if(NAME, b"three", first)
    content, second = files.read_version(NAME)
    assert (content, second != first) == (b"two", True)


def test_a_file_that_was_deleted_is_not_replaced(files):
    with pytest.raises(ChangedMeanwhileError):
        files.write_if(NAME, b"two", '"0123"')
    assert files.read_version(NAME) is None


def test_of_many_writers_none_undoes_another(files):
    files.write_if(NAME, b"0", None)

    def add(times):
        while times:
            content, version = files.read_version(NAME)
            try:
                files.write_if(NAME, str(int(content) + 1).encode(), version)
            except ChangedMeanwhileError:
                continue
            times -= 1

    threads = [threading.Thread(target=add, args=(10,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert files.read_version(NAME)[0] == b"40"


def test_a_store_that_is_away_is_tried_again(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{servers.free_port()}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    files = ConditionalFiles("s3://bucket/prefix")
    with pytest.raises(TryAgainError):
        files.read_version(NAME)
    with pytest.raises(TryAgainError):
        files.write_if(NAME, b"one", None)
    s3fs.S3FileSystem.clear_instance_cache()


def test_a_store_that_can_not_compare_is_no_place_for_it():
    files = ConditionalFiles("memory://somewhere")
    files.write_bytes(NAME, b"one")
    with pytest.raises(BadConfigurationError, match="a folder or an S3 bucket"):
        files.read_version(NAME)
