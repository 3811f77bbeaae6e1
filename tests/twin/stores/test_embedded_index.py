"""What only the embedded index promises: releases, pointers, many processes, kills."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.servers import wait_until
from tests.twin.stores.chunks import DIMENSION, SPEC, document, vector
from twin.domain.errors import BadDataError, TryAgainError
from twin.stores.embedded import writer as embedded_writer
from twin.stores.embedded.releases import copy_sparse, read_state
from twin.stores.embedded_index import EmbeddedIndex


@pytest.fixture
def index(tmp_path: Path) -> EmbeddedIndex:
    return EmbeddedIndex(tmp_path / "toy", "toy")


def fill(index: EmbeddedIndex, *documents, spec=SPEC) -> str:
    with index.write(spec, DIMENSION) as writer:
        writer.upsert(documents)
        return writer.publish()


def numbered(number: int, revision: str = "r1", spec=SPEC):
    return document(f"d{number}", [f"passage {number} of {revision}"], revision=revision, spec=spec)


def test_nothing_is_published_before_publish(index):
    fill(index, numbered(1))
    reader = index.read()
    with index.write(SPEC, DIMENSION) as writer:
        writer.upsert([numbered(2)])
        writer.delete(["d1"])
        assert set(writer.state.documents) == {"d2"}
        assert set(reader.state.documents) == {"d1"}
    assert set(reader.state.documents) == {"d1"}
    assert not (index.folder / "work").exists()


def test_a_failing_block_publishes_nothing(index):
    fill(index, numbered(1))
    with pytest.raises(RuntimeError, match="boom"), index.write(SPEC, DIMENSION) as writer:
        writer.upsert([numbered(2)])
        raise RuntimeError("boom")
    assert set(index.read().state.documents) == {"d1"}


def test_a_second_writer_is_refused_while_the_first_is_at_work(index):
    with (
        index.write(SPEC, DIMENSION),
        pytest.raises(TryAgainError, match="another process"),
        index.write(SPEC, DIMENSION),
    ):
        pass
    fill(index, numbered(1))


def test_a_writer_is_done_once_it_has_published(index):
    with index.write(SPEC, DIMENSION) as writer:
        writer.publish()
        with pytest.raises(RuntimeError, match="has published"):
            writer.upsert([numbered(1)])


def test_a_checkpoint_is_gone_on_with_and_not_searched(index):
    fill(index, numbered(1))
    with index.write(SPEC, DIMENSION) as writer:
        writer.upsert([numbered(2)])
        writer.checkpoint()
        writer.upsert([numbered(3)])
        writer.checkpoint()
        writer.upsert([numbered(4)])
    assert set(index.read().state.documents) == {"d1"}
    with index.write(SPEC, DIMENSION) as writer:
        assert set(writer.state.documents) == {"d1", "d2", "d3"}
        writer.publish()
    assert index.read().count() == 3
    assert index.pointed_to("PARTIAL") is None
    assert len(index.releases()) == 2


def test_a_checkpoint_of_another_spec_is_not_gone_on_with(index):
    other = SPEC.model_copy(update={"chunker": "markdown-9:50"})
    fill(index, numbered(1))
    with index.write(other, DIMENSION) as writer:
        writer.upsert([numbered(2, spec=other)])
        writer.checkpoint()
    with index.write(SPEC, DIMENSION) as writer:
        assert set(writer.state.documents) == {"d1"}


WRITER = """
import sys, time
from pathlib import Path
from tests.twin.stores.chunks import DIMENSION, SPEC, document
from twin.stores.embedded_index import EmbeddedIndex

with EmbeddedIndex(Path(sys.argv[1]), "toy").write(SPEC, DIMENSION) as writer:
    number = 100
    while True:
        writer.upsert([document(f"d{number}", [f"passage {number}"])])
        number += 1
        if number % 10 == 0 and "checkpoint" in sys.argv:
            writer.checkpoint()
        if number == 135:
            print("at work", flush=True)
"""


@pytest.mark.parametrize("mode", ["checkpoint", "none"])
def test_a_writer_that_is_killed_harms_nothing(index, mode):
    fill(index, numbered(1))
    command = [sys.executable, "-c", WRITER, str(index.folder), mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout.readline() == b"at work\n"
        os.kill(process.pid, signal.SIGKILL)
    assert (index.folder / "work").exists() or mode == "checkpoint"
    assert set(index.read().state.documents) == {"d1"}
    with index.write(SPEC, DIMENSION) as writer:
        kept = len(writer.state.documents) - 1
        writer.upsert([numbered(2)])
        writer.publish()
    assert kept >= 30 if mode == "checkpoint" else kept == 0
    reader = index.read()
    assert len(list(reader.chunks())) == reader.count() == kept + 2
    found = reader.search(None, "passage 2 r1", 1)
    assert found[0].chunk.document_id == "d2"


def test_many_processes_read_one_release(index):
    fill(index, *(numbered(number) for number in range(20)))
    reader = index.read()
    script = (
        "import sys; from pathlib import Path;"
        "from twin.stores.embedded_index import EmbeddedIndex;"
        "print(EmbeddedIndex(Path(sys.argv[1]), 'toy').read().count())"
    )
    command = [sys.executable, "-c", script, str(index.folder)]
    others = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [other.communicate(timeout=60)[0] for other in others] == ["20\n"] * 3
    assert reader.count() == 20


def test_searches_never_fail_while_releases_come_and_go(index):
    """The old release is closed only when its last search is done."""
    fill(index, *(numbered(number) for number in range(50)))
    reader = index.read()
    stop = threading.Event()
    counts, errors = [], []

    def search() -> None:
        while not stop.is_set():
            try:
                counts.append(len(reader.search(vector("x"), "passage of", 5)))
                time.sleep(0.001)
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for round_ in range(5):
        fill(index, *(numbered(number, f"s{round_}") for number in range(50)))
    last = reader.search(None, "s4", 5)
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert set(counts) == {5}
    assert {hit.chunk.revision for hit in last} == {"s4"}


def test_chunks_are_all_of_one_release_even_if_another_is_published_meanwhile(index):
    fill(index, *(numbered(number) for number in range(600)))
    chunks = index.read().chunks()
    first = next(chunks)
    fill(index, *(numbered(number, "r2") for number in range(600)))
    rest = list(chunks)
    assert {chunk.revision for chunk in (first, *rest)} == {"r1"}
    assert len(rest) == 599


def test_a_closed_reader_lets_go_only_after_its_searches(index):
    fill(index, *(numbered(number) for number in range(600)))
    reader = index.read()
    chunks = reader.chunks()
    next(chunks)
    reader.close()
    assert len(list(chunks)) == 599


@pytest.mark.parametrize("damage", ["state", "shard", "pointer"])
def test_a_damaged_release_says_how_to_repair_it(index, damage):
    name = fill(index, numbered(1))
    if damage == "state":
        (index.release(name) / "state.json").write_text("{}")
    elif damage == "shard":
        (index.release(name) / "shard").rename(index.folder / "elsewhere")
    else:
        index.point("CURRENT", "000099")
    with pytest.raises(BadDataError, match="--rebuild"):
        index.read()


def test_a_reader_outlives_a_damaged_new_release(index):
    fill(index, numbered(1))
    reader = index.read()
    (index.release("000002")).mkdir()
    index.point("CURRENT", "000002")
    assert reader.search(None, "passage", 1)[0].chunk.document_id == "d1"
    fill(index, numbered(2))
    wait_until(lambda: set(reader.state.documents) == {"d2"}, "the reader follows", 5)


def test_deleted_points_do_not_pile_up(index, monkeypatch):
    monkeypatch.setattr(embedded_writer, "DELETED_SHARE", 0)
    for revision in range(6):
        fill(index, *(numbered(number, f"r{revision}") for number in range(400)))
    state = read_state(index.release(index.current()))
    assert state.deleted <= 1_200
    reader = index.read()
    assert {chunk.revision for chunk in reader.chunks()} == {"r5"}
    assert len(reader.search(vector("x"), None, 1_000)) == 400


def test_copies_leave_holes_holes(tmp_path):
    source = tmp_path / "sparse"
    with source.open("wb") as file:
        file.truncate(50_000_000)
        file.seek(10_000_000)
        file.write(b"data" * 1_000)
        file.seek(40_000_000)
        file.write(b"more")
    copy = tmp_path / "copy"
    copy_sparse(str(source), str(copy))
    assert copy.read_bytes() == source.read_bytes()
    assert copy.stat().st_blocks * 512 < 1_000_000
    empty = tmp_path / "empty"
    empty.touch()
    copy_sparse(str(empty), str(tmp_path / "other"))
    assert (tmp_path / "other").stat().st_size == 0
