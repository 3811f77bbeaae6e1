"""The cache of model folders: one filling, a bound, and what a kill leaves."""

import errno
import multiprocessing
import os
import shutil
import signal
import time

import pytest
from safetensors import SafetensorError

from twin.domain.errors import BadConfigurationError, TryAgainError
from twin.stores import node_cache
from twin.stores.node_cache import NodeCache


def fill(size):
    return lambda folder: (folder / "weights").write_bytes(b"w" * size) and None


def names(root):
    return sorted(path.name for path in root.iterdir() if path.is_dir())


@pytest.fixture
def let_go():
    """Ends every use of a folder by this process, as its end would."""

    def release():
        for lock in node_cache._HELD.values():
            lock.close()
        node_cache._HELD.clear()

    yield release
    release()


def test_a_folder_is_filled_once(tmp_path, let_go):
    cache = NodeCache(tmp_path, 100)
    folder = cache.folder("a", 10, fill(10))
    assert (folder / "weights").stat().st_size == 10
    for _ in range(2):
        assert cache.folder("a", 10, lambda _: pytest.fail("filled again")) == folder
        let_go()


def test_the_least_recently_used_goes_first(tmp_path, let_go):
    cache = NodeCache(tmp_path, 30)
    for age, key in enumerate(("c", "a", "b")):
        folder = cache.folder(key, 10, fill(10))
        os.utime(folder, (age, age))
    let_go()
    cache.folder("c", 10, fill(10))  # used again: now a is the oldest
    let_go()
    cache.folder("d", 10, fill(10))
    assert names(tmp_path) == ["b", "c", "d"]
    let_go()
    cache.folder("e", 11, fill(11))  # one byte more than b leaves
    assert names(tmp_path) == ["d", "e"]


def test_what_is_in_use_stays(tmp_path, let_go):
    cache = NodeCache(tmp_path, 20)
    cache.folder("a", 10, fill(10))
    with pytest.raises(TryAgainError, match=r"no room for b \(11 bytes\).*10 are in use"):
        cache.folder("b", 11, fill(11))
    assert names(tmp_path) == ["a"]
    cache.folder("b", 10, fill(10))
    let_go()
    cache.folder("c", 11, fill(11))
    assert names(tmp_path) == ["c"]


def test_what_is_larger_than_the_cache_is_refused_at_once(tmp_path):
    with pytest.raises(BadConfigurationError, match=r"a takes 21 bytes.*may hold 20"):
        NodeCache(tmp_path, 20).folder("a", 21, lambda _: pytest.fail("filled"))
    assert names(tmp_path) == []


def test_a_full_disk_is_named_before_anything_is_fetched(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(TryAgainError, match=r"no space left for .*\.a\.partial") as refused:
        NodeCache(tmp_path, 10 * free).folder("a", 2 * free, lambda _: pytest.fail("filled"))
    assert refused.value.exit_code == 75


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        SafetensorError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_disk_that_fills_up_meanwhile_is_named(tmp_path, error):
    def no_space(folder):
        raise error

    with pytest.raises(TryAgainError, match=r"no space left for .*\.a\.partial"):
        NodeCache(tmp_path, 100).folder("a", 10, no_space)


def test_a_failed_filling_goes_on_where_it_was(tmp_path):
    cache = NodeCache(tmp_path, 100)

    def half(folder):
        (folder / "first").write_bytes(b"1")
        raise RuntimeError("cut")

    with pytest.raises(RuntimeError, match="cut"):
        cache.folder("a", 10, half)
    assert not (tmp_path / "a").exists()

    def rest(folder):
        assert (folder / "first").read_bytes() == b"1"
        (folder / "second").write_bytes(b"2")

    assert sorted(p.name for p in cache.folder("a", 10, rest).iterdir()) == ["first", "second"]


def test_a_half_filled_folder_counts_as_what_it_may_grow_to(tmp_path, let_go):
    cache = NodeCache(tmp_path, 25)

    def nested(folder):
        with pytest.raises(TryAgainError, match=r"20 are in use"):
            cache.folder("b", 6, fill(6))
        (folder / "weights").write_bytes(b"w")

    cache.folder("a", 20, nested)
    cache.folder("b", 6, fill(6))  # a took one byte in the end


def _fill_slowly(root, events):
    def slowly(folder):
        events.put("began")
        (folder / "weights").write_bytes(b"w" * 10)
        time.sleep(0.5)

    NodeCache(root, 100).folder("a", 10, slowly)
    events.put("has it")


def test_of_two_processes_one_fills(tmp_path):
    context = multiprocessing.get_context("spawn")
    events = context.Queue()
    processes = [context.Process(target=_fill_slowly, args=(tmp_path, events)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0
    assert sorted(events.get(timeout=5) for _ in range(3)) == ["began", "has it", "has it"]


def _hold(root, events, wait):
    NodeCache(root, 100).folder("a", 10, fill(10))
    events.put("has it")
    wait.wait(60)


def _fill_for_ever(root, events, wait):
    def for_ever(folder):
        (folder / "first").write_bytes(b"1")
        events.put("began")
        wait.wait(60)

    NodeCache(root, 100).folder("a", 10, for_ever)


@pytest.mark.parametrize("target", [_hold, _fill_for_ever])
def test_a_killed_process_holds_nothing(tmp_path, let_go, target):
    context = multiprocessing.get_context("spawn")
    events, wait = context.Queue(), context.Event()
    process = context.Process(target=target, args=(tmp_path, events, wait))
    process.start()
    events.get(timeout=60)
    small = NodeCache(tmp_path, 10)
    with pytest.raises(TryAgainError, match="in use"):
        small.folder("b", 10, fill(10))
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    small.folder("b", 10, fill(10))
    assert names(tmp_path) == ["b"]


def test_a_wrong_folder_is_discarded_even_in_use(tmp_path, let_go):
    cache = NodeCache(tmp_path, 100)
    cache.folder("a", 10, fill(9))
    cache.discard("a")
    assert (cache.folder("a", 10, fill(10)) / "weights").stat().st_size == 10
