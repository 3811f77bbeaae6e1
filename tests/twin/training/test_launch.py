"""A process on each GPU: the agent of torchrun, with the exit statuses of the job's contract."""

import json
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

from twin.training import launch
from twin.training.commands import app
from twin.training.launch import on_each_gpu

#: Says where it stands, then ends as its place is told to; no PyTorch, so it starts at once.
PROGRAM = """
import json, os, pathlib, signal, sys, time
folder, endings = sys.argv[1:3]
rank = os.environ["RANK"]
names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
text = json.dumps({name: os.environ[name] for name in names})
pathlib.Path(folder, rank).write_text(text)
ending = json.loads(endings)[rank]
if ending == "wait":
    time.sleep(60)
if ending == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(ending)
"""


def run(folder, *endings):
    program = folder / "program.py"
    program.write_text(PROGRAM)
    told = json.dumps({str(rank): ending for rank, ending in enumerate(endings)})
    status = launch.launch([sys.executable, str(program), str(folder), told], len(endings))
    seen = [json.loads((folder / str(rank)).read_text()) for rank in range(len(endings))]
    return status, seen


def test_processes_find_each_other(tmp_path):
    status, seen = run(tmp_path, 0, 0)
    assert status == 0
    assert [each["RANK"] for each in seen] == ["0", "1"]
    assert [each["LOCAL_RANK"] for each in seen] == ["0", "1"]
    assert {each["WORLD_SIZE"] for each in seen} == {"2"} == {e["LOCAL_WORLD_SIZE"] for e in seen}
    assert len({(each["MASTER_ADDR"], each["MASTER_PORT"]) for each in seen}) == 1


@pytest.mark.parametrize(
    ("endings", "status"),
    [((99, 99), 99), ((65, "wait"), 65), (("wait", 78), 78), (("wait", "killed"), 137)],
)
def test_the_first_to_fail_says_how_the_job_ended(tmp_path, endings, status):
    assert run(tmp_path, *endings)[0] == status


@pytest.mark.nightly
def test_what_ends_the_job_ends_its_processes(tmp_path):
    """A process that imports PyTorch. Buys: a pod that must go takes no checkpoint with it."""
    program = tmp_path / "program.py"
    # Says that SIGTERM came, as a training saves its checkpoint then.
    program.write_text(
        "import os, pathlib, signal, sys, time\n"
        "here = pathlib.Path(sys.argv[1], os.environ['RANK'])\n"
        "def end(*_):\n"
        "    here.write_text('ended')\n"
        "    sys.exit(75)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "here.write_text('at work')\n"
        "time.sleep(60)\n"
    )
    code = (
        "import sys; from twin.training.launch import launch; "
        "sys.exit(launch([sys.executable, *sys.argv[1:]], 2))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(program), str(tmp_path)])
    try:
        places = [tmp_path / rank for rank in ("0", "1")]
        deadline = time.monotonic() + 60
        while not all(place.exists() for place in places) and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 128 + signal.SIGTERM
    finally:
        process.kill()
    assert [place.read_text() for place in places] == ["ended", "ended"]


@pytest.fixture
def started(monkeypatch):
    """What would be started, on a machine whose job was given four GPUs."""
    calls, slept = [], []
    monkeypatch.setattr(launch, "get_settings", lambda: SimpleNamespace(gpus=4))
    monkeypatch.setattr(launch, "launch", lambda *call: calls.append(call) or 75)
    monkeypatch.setattr(launch.time, "sleep", slept.append)
    monkeypatch.setattr(sys, "argv", ["twin", "training", "sft", "--recipe", "ada"])
    return SimpleNamespace(calls=calls, slept=slept)


def test_several_gpus_get_a_process_each(started):
    with pytest.raises(typer.Exit) as ending:
        on_each_gpu(lambda: pytest.fail("the job runs in the processes"))
    assert ending.value.exit_code == 75
    ((command, processes),) = started.calls
    assert processes == 4
    assert command == [sys.executable, "-m", "twin.cli", "training", "sft", "--recipe", "ada"]


@pytest.mark.parametrize(("rank", "code", "waits"), [(0, 65, 0), (1, 65, 1), (1, 0, 0)])
def test_a_process_that_was_started_runs_the_job(started, monkeypatch, rank, code, waits):
    """One that failed leaves the first the time to say so in the job's result."""
    monkeypatch.setenv("LOCAL_RANK", str(rank))
    monkeypatch.setenv("RANK", str(rank))

    def job():
        raise typer.Exit(code)

    with pytest.raises(typer.Exit) as ending:
        on_each_gpu(job)
    assert ending.value.exit_code == code
    assert started.calls == []
    assert len(started.slept) == waits


def test_with_one_gpu_or_none_the_job_runs_here(started, monkeypatch):
    for gpus in (None, 1):
        monkeypatch.setattr(launch, "get_settings", lambda gpus=gpus: SimpleNamespace(gpus=gpus))
        done = []
        on_each_gpu(lambda done=done: done.append(1))
        assert done == [1]
    assert started.calls == []


@pytest.mark.parametrize("step", ["sft", "dpo"])
def test_the_steps_that_train_do_so_on_each_gpu(started, step):
    ending = CliRunner().invoke(app, [step, "--recipe", "ada"])
    assert ending.exit_code == 75, ending.output
    assert [processes for _, processes in started.calls] == [4]
