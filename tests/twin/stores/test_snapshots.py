"""WARC files of raw pages: written, torn, indexed, forgotten; by warcio's own eyes too."""

import gzip
import json
import os
import shutil
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from warcio.archiveiterator import ArchiveIterator

from twin.domain.errors import BadDataError
from twin.stores.files import FileStore
from twin.stores.snapshots import Snapshots, crawl_of
from twin.stores.warc import CRAWL_SCHEME, Capture, SnapshotFile, whole_members

MONDAY = datetime(2026, 1, 5, 10, 0, 0, 123000, tzinfo=UTC)
URL = "https://ann.example/größe?q=1"


@pytest.fixture
def snapshots(tmp_path: Path) -> Snapshots:
    (tmp_path / "cache").mkdir()
    return Snapshots(FileStore(str(tmp_path / "store")), "ann", tmp_path / "cache")


def page(url: str = URL, body: bytes = b"<p>\xff raw \r\n\r\n bytes</p>", **fields) -> Capture:
    values = {
        "fetched": MONDAY,
        "media_type": "text/html",
        "status": 200,
        "request_headers": (("User-Agent", "twin"), ("Authorization", "Basic s3cret")),
        "response_headers": (
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Encoding", "gzip"),
            ("Content-Length", "7"),
            ("Set-Cookie", "session=s3cret"),
            ("ETag", '"e"'),
        ),
        "facts": {"expected": True, "encoding": None},
        **fields,
    }
    return Capture(url, body=body, **values)


def write(path: Path, *captures: Capture) -> SnapshotFile:
    file = SnapshotFile(path, "blog run")
    for capture in captures:
        file.add(capture)
    file.close()
    return file


def test_a_page_comes_back_byte_for_byte_without_secrets(
    snapshots: Snapshots, tmp_path: Path
) -> None:
    file = write(
        tmp_path / "1.warc.gz",
        page(),
        Capture("folder://notes/a.md", MONDAY, b"# A", "text/markdown", {"expected": False}),
        page(body=b"", status=304, unchanged_since=MONDAY, fetched=MONDAY + timedelta(days=1)),
    )
    raw = gzip.decompress(file.path.read_bytes())
    assert b"s3cret" not in raw and b"User-Agent: twin" in raw and b"GET /gr" in raw
    with file.path.open("rb") as stream:
        types = [record.rec_type for record in ArchiveIterator(stream, check_digests="raise")]
    assert types == ["warcinfo", "response", "request", "resource", "revisit"]
    assert snapshots.publish("blog", file.path, file.index) == "1.warc.gz"
    assert not file.path.exists()
    response, resource, revisit = snapshots.entries("blog")
    back = snapshots.read("blog", response)
    assert (back.body, back.status, back.media_type) == (page().body, 200, "text/html")
    assert (back.url, back.fetched, back.facts) == (URL, MONDAY, page().facts)
    assert dict(back.response_headers)["ETag"] == '"e"'
    assert snapshots.read("blog", resource).body == b"# A"
    assert snapshots.read("blog", resource).status is None
    assert revisit.refers_to == MONDAY and snapshots.read("blog", revisit).body == b""
    assert snapshots.latest(URL) == back and snapshots.latest("https://else.where/") is None


def test_every_torn_file_gives_its_whole_records(snapshots: Snapshots, tmp_path: Path) -> None:
    """Cut at every byte, as by a kill -9: what was whole before is there, and nothing half."""
    file = write(tmp_path / "whole.warc.gz", page(), page("https://ann.example/2", b"two"))
    data = file.path.read_bytes()
    entries = list_entries(snapshots, file)
    assert whole_members(file.path) == len(data)
    for cut in range(len(data)):
        torn = tmp_path / f"{cut:05d}.warc.gz"
        torn.write_bytes(data[:cut])
        name = snapshots.publish("torn", torn)
        expected = [one.url for one in entries if one.offset + one.length <= cut]
        assert (name is not None) == bool(expected)
        if name:
            found = list(snapshots.entries("torn", [name]))
            assert [one.url for one in found] == expected
            assert [snapshots.read("torn", one).body for one in found] == [
                page().body, b"two",
            ][: len(found)]  # fmt: skip
        assert not torn.exists()


@pytest.mark.parametrize("tail", [b"", b"half a record"])
def test_a_tail_that_its_writer_did_not_finish_is_cut_off(
    snapshots: Snapshots, tmp_path: Path, tail: bytes
) -> None:
    """As where the disk was full; the writer's index counts only for what it has finished."""
    file = write(tmp_path / "1.warc.gz", page(), page("https://ann.example/2", b"two"))
    whole = file.path.read_bytes()
    assert file.size == len(whole)
    with file.path.open("ab") as torn:
        torn.write(tail)
    assert snapshots.publish("blog", file.path, file.index, file.size) == "1.warc.gz"
    stored = tmp_path / "store" / "ann" / "blog" / "1.warc.gz"
    assert stored.read_bytes() == whole
    bodies = [snapshots.read("blog", one).body for one in snapshots.entries("blog")]
    assert bodies == [page().body, b"two"]


def list_entries(snapshots: Snapshots, file: SnapshotFile) -> list:
    copy = file.path.with_name("copy.warc.gz")
    copy.write_bytes(file.path.read_bytes())
    snapshots.publish("copy", copy, file.index)
    return list(snapshots.entries("copy"))


def test_a_missing_index_is_made_again(snapshots: Snapshots, tmp_path: Path) -> None:
    file = write(tmp_path / "1.warc.gz", page(), page("https://ann.example/2"))
    snapshots.publish("blog", file.path, file.index)
    (index,) = (tmp_path / "store/ann/blog").glob("*.index.jsonl")
    before = index.read_text()
    index.unlink()
    assert len(list(snapshots.entries("blog"))) == 2
    assert index.read_text() == before


def test_forgetting_leaves_no_byte_of_it_and_all_else(snapshots: Snapshots, tmp_path: Path) -> None:
    other = "https://ann.example/other"
    for number in (1, 2):
        file = write(
            tmp_path / f"{number}.warc.gz",
            page(other, b"stays"),
            page(URL, b"forget-me", facts={}),
            page(URL, b"", status=304, unchanged_since=MONDAY),
            page(other, b"stays too", fetched=MONDAY + timedelta(hours=number)),
        )
        snapshots.publish(f"source{number}", file.path, file.index)
    untouched = write(tmp_path / "3.warc.gz", page(other))
    snapshots.publish("source1", untouched.path, untouched.index)
    stamp = (tmp_path / "store/ann/source1/3.warc.gz").stat().st_mtime_ns
    assert snapshots.forget([URL]) == 6, "in each of two: a page, its request and a revisit"
    assert snapshots.forget([URL]) == 0
    assert snapshots.latest(URL) is None
    latest = snapshots.latest(other)
    assert latest is not None and latest.body == b"stays too"
    for path in (tmp_path / "store").rglob("*.warc.gz"):
        assert b"forget-me" not in gzip.decompress(path.read_bytes())
        with path.open("rb") as stream:
            assert next(iter(ArchiveIterator(stream))).rec_type == "warcinfo"
    assert (tmp_path / "store/ann/source1/3.warc.gz").stat().st_mtime_ns == stamp
    assert not list((tmp_path / "cache").iterdir())


def test_a_damaged_record_is_named(snapshots: Snapshots, tmp_path: Path) -> None:
    file = write(tmp_path / "1.warc.gz", page(body=bytes(range(256)) * 9))
    snapshots.publish("blog", file.path, file.index)
    (entry,) = snapshots.entries("blog")
    path = tmp_path / "store/ann/blog/1.warc.gz"
    data = bytearray(path.read_bytes())
    data[entry.offset + entry.length // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(BadDataError, match=r"1\.warc\.gz, byte \d+: damaged"):
        snapshots.read("blog", entry)


def at(crawl: int, second: int = 0) -> datetime:
    return MONDAY + timedelta(days=crawl, seconds=second)


def five_crawls(snapshots: Snapshots, folder: Path) -> None:
    """``a`` changes each time; ``b`` never; ``c`` is gone at the second crawl and comes back, as it
    was, at the third, which was killed once; later crawls do not see it."""

    def file(crawl: int, number: int, *captures: Capture) -> None:
        name = f"2026010{5 + crawl}T10000{number}123Z-run-{crawl}-abcdef-000{number}.warc.gz"
        written = write(folder / name, *captures)
        snapshots.publish("blog", written.path, written.index)

    def body(path: str, crawl: int, text: str) -> Capture:
        return page(f"https://ann.example/{path}", f"text {text}.".encode(), fetched=at(crawl))

    def same(path: str, crawl: int, since: int) -> Capture:
        url = f"https://ann.example/{path}"
        return page(url, b"", fetched=at(crawl), status=304, unchanged_since=at(since))

    def note(crawl: int, gone: str) -> Capture:
        text = json.dumps({"gone": [gone]}).encode()
        return Capture(f"{CRAWL_SCHEME}run-{crawl}:blog", at(crawl, 9), text)

    file(0, 0, body("a", 0, "a0"), body("b", 0, "b0"))
    file(0, 1, body("c", 0, "c0"))
    file(1, 0, body("a", 1, "a1"), same("b", 1, 0), note(1, "c"))
    file(2, 0, body("a", 2, "a2"))
    file(2, 1, same("b", 2, 0), same("c", 2, 0))
    file(3, 0, body("a", 3, "a3"), same("b", 3, 0))
    file(4, 0, same("a", 4, 3), same("b", 4, 0))


def state(snapshots: Snapshots) -> tuple[dict[str, tuple[bytes, datetime]], list[str], int]:
    """The newest of each URL with its body, the notes, and all records; every body is there."""
    entries = list(snapshots.entries("blog"))
    bodies = {(one.url, one.at): one for one in entries if one.type == "response"}
    newest = {}
    for one in (entry for entry in entries if entry.is_page):
        text = snapshots.read("blog", bodies[one.url, one.refers_to or one.at]).body
        newest[one.url] = (text, one.at)
    notes = [one.url for one in entries if not one.is_page]
    return newest, notes, len(entries)


def test_of_old_crawls_only_what_a_replay_needs_is_kept(
    snapshots: Snapshots, tmp_path: Path
) -> None:
    five_crawls(snapshots, tmp_path)
    newest, notes, before = state(snapshots)
    assert snapshots.trim("blog", 9) == snapshots.trim("blog", 5) == 0
    assert state(snapshots) == (newest, notes, before)
    assert snapshots.trim("blog", 2) == 5, "a0, a1, a2 and that b was the same, twice"
    assert state(snapshots) == (newest, notes, before - 5)
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.gz")}
    assert snapshots.trim("blog", 2) == 0
    assert stamps == {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.gz")}
    assert snapshots.trim("blog", 1) == 1, "that b was the same at the last but one"
    assert state(snapshots) == (newest, notes, before - 6)
    assert [crawl_of(name) for name in snapshots.names("blog")] == [
        "run-0-abcdef", "run-0-abcdef", "run-1-abcdef", "run-2-abcdef", "run-3-abcdef",
        "run-4-abcdef",
    ]  # fmt: skip
    packed = b"".join(gzip.decompress(one.read_bytes()) for one in tmp_path.rglob("*.warc.gz"))
    assert b"text a1." not in packed and b"text a3." in packed
    assert packed.count(b"GET /a ") == 1, "requests go with their pages"


class Killed(FileStore):
    """A store whose process is killed at its n-th change."""

    def __init__(self, root: str, changes: int) -> None:
        super().__init__(root)
        self._left = changes

    def _change(self) -> None:
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1

    def remove(self, relative: str) -> None:
        self._change()
        super().remove(relative)

    def put(self, local: Path, relative: str) -> str:
        self._change()
        return super().put(local, relative)

    def write_bytes(self, relative: str, content: bytes) -> str:
        self._change()
        return super().write_bytes(relative, content)


def test_a_kill_while_trimming_leaves_what_can_be_replayed(
    snapshots: Snapshots, tmp_path: Path
) -> None:
    five_crawls(snapshots, tmp_path)
    newest, notes, before = state(snapshots)
    whole = tmp_path / "whole"
    shutil.copytree(tmp_path / "store", whole)
    for changes in range(100):
        shutil.rmtree(tmp_path / "store")
        shutil.copytree(whole, tmp_path / "store")
        if (child := os.fork()) == 0:
            store = Killed(str(tmp_path / "store"), changes)
            Snapshots(store, "ann", tmp_path / "cache").trim("blog", 1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert state(snapshots)[:2] == (newest, notes), f"killed at change {changes}"
        snapshots.trim("blog", 1)
        assert state(snapshots) == (newest, notes, before - 6)
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
    assert 10 < changes < 100
