"""A real supervisord keeps a real store up, and ends it with everything below it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests import servers
from twin.domain.errors import TwinError
from twin.laptop.environment import load_secrets, platform_environment, socket_path
from twin.laptop.processes import Processes, proportional_memory_mb
from twin.settings import LaptopSettings


@pytest.fixture
def laptop(tmp_path: Path, root: Path) -> LaptopSettings:
    return LaptopSettings(home=tmp_path / "home", project=root, warehouse_port=servers.free_port())


@pytest.fixture
def processes(laptop: LaptopSettings) -> Iterator[Processes]:
    made = Processes(socket_path(laptop.home), laptop.home)
    made.launch(platform_environment(laptop, load_secrets(laptop.home)))
    yield made
    made.shut_down()


def test_a_killed_process_comes_back_and_all_end_together(
    processes: Processes, laptop: LaptopSettings
) -> None:
    processes.start("warehouse")
    servers.wait_until(lambda: servers.is_open(laptop.warehouse_port), "warehouse")
    before = processes.pids()
    assert proportional_memory_mb(before) > 10
    store = next(pid for pid in before if "secantusd-py" in " ".join(psutil.Process(pid).cmdline()))
    os.kill(store, signal.SIGKILL)
    servers.wait_until(lambda: not psutil.pid_exists(store), "the kill")
    servers.wait_until(lambda: servers.is_open(laptop.warehouse_port), "the restart")
    after = processes.pids()
    assert store not in after
    assert processes.shut_down() == len(after)
    assert not any(psutil.pid_exists(pid) for pid in after)
    assert not processes.running()


def test_nothing_starts_by_itself_and_starting_twice_is_harmless(
    processes: Processes, laptop: LaptopSettings
) -> None:
    assert set(processes.states().values()) == {"STOPPED"}
    processes.start("warehouse")
    processes.start("warehouse")
    servers.wait_until(lambda: processes.states()["warehouse"] == "RUNNING", "running")


def test_a_supervisor_that_cannot_start_names_its_log(laptop: LaptopSettings) -> None:
    environment = platform_environment(laptop, load_secrets(laptop.home))
    del environment["TWIN_LAPTOP_SOCKET"]
    broken = Processes(socket_path(laptop.home), laptop.home)
    with pytest.raises(TwinError, match=r"did not start: see .*supervisord.out"):
        broken.launch(environment, seconds=15)


def test_what_does_not_run_has_no_processes(tmp_path: Path) -> None:
    absent = Processes(tmp_path / "no.sock", tmp_path)
    assert not absent.running()
    assert absent.pids() == set()
    assert absent.shut_down() == 0
