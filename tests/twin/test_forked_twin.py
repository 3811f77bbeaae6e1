"""Forked commands are processes as others are: what they are given is theirs, and how they end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.forked_twin import TwinProcess, run_twin
from tests.servers import wait_until

RECIPE = "name: toy\nauthor: {id: ann, name: Ann}\nsources: [{kind: folder, name: a, path: .}]\n"


def test_it_prints_and_ends_as_a_process_of_its_own_does(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "toy.yaml").write_text(RECIPE)
    given = {
        "cwd": tmp_path, "env": {"PATH": os.environ["PATH"], "TWIN_RECIPES": "recipes"},
        "timeout": 60,
    }  # fmt: skip
    for name, code in (("toy", 0), ("toyy", 65)):
        arguments = ["recipe", "check", name]
        forked = run_twin(*arguments, **given)
        alone = subprocess.run(
            [sys.executable, "-m", "twin.cli", *arguments], capture_output=True, text=True,
            check=False, **given,
        )  # fmt: skip
        assert (forked.returncode, forked.stdout, forked.stderr) == (
            code, alone.stdout, alone.stderr,
        )  # fmt: skip


def test_it_reads_what_it_is_given_and_can_be_waited_for(tmp_path: Path) -> None:
    page = b"<html><body><article><h1>A page</h1><p>" + b"Some words of it. " * 40
    arguments = ["crawl", "extract", "/dev/stdin"]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with TwinProcess(arguments, **streams) as first, TwinProcess(arguments, **streams) as second:
        assert first.pid != second.pid
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(0.05)
        assert first.poll() is second.poll() is None
        assert b"Some words of it." in first.communicate(page, timeout=60)[0]
        assert first.returncode == 0
        second.communicate(b"", timeout=60)
        assert second.returncode == 65


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_signal_to_its_group_ends_it_alone(number: signal.Signals) -> None:
    process = TwinProcess(
        ["crawl", "extract", "/dev/stdin"], stdin=subprocess.PIPE, start_new_session=True
    )
    other = TwinProcess(["crawl", "extract", "/dev/stdin"], stdin=subprocess.PIPE)
    assert os.getpgid(process.pid) == process.pid
    assert os.getpgid(other.pid) == os.getpgid(0)
    os.killpg(process.pid, number)
    assert process.wait(60) == -number
    wait_until(lambda: not Path(f"/proc/{process.pid}").exists(), "no zombie is left", 10)
    assert other.poll() is None
    other.kill()
    assert other.wait(60) == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(other.pid, 0)


def test_servers_take_turns_so_that_hash_seeds_differ() -> None:
    """As those of two processes do: what depends on the order of a set is noticed."""
    processes = [
        TwinProcess(["crawl", "extract", "/dev/stdin"], stdin=subprocess.PIPE) for _ in range(3)
    ]
    first, second, third = (psutil.Process(each.pid).parent().parent() for each in processes)
    assert first == third != second
    for process in processes:
        process.kill()
        process.wait(60)
