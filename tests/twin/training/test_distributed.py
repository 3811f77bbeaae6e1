"""Two processes (gloo) against one that takes the same samples a step: the same losses."""

import json
import os
import socket
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.twin.training.distributed import ROWS
from tests.twin.training.rows import instruct_rows, losses, section, tiny_trainer

TOLERANCE = 2e-3
"""Of a loss: two halves of a batch are padded otherwise than the whole, and each of their sums is
rounded to bf16 by itself."""
SHARED = {"max_steps": 8, "save_steps": 4, "epochs": 3, "checkpoints_kept": 2}


def two_processes(base, scratch, recipe, checkpoint=None):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    out = scratch.with_suffix(".json")
    command = [sys.executable, "-m", "tests.twin.training.distributed", base, scratch, out]
    command += [recipe.model_dump_json(), *([checkpoint] if checkpoint else [])]
    processes = [
        subprocess.Popen(
            [*map(str, command)],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ, "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2",
                "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
                "OMP_NUM_THREADS": "1",
            },
        )
        for rank in (0, 1)
    ]  # fmt: skip
    try:
        errors = [process.communicate(timeout=300)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], errors[0][-3000:]
    return {int(step): loss for step, loss in json.loads(out.read_text()).items()}


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("sharding", ["none", "fsdp"])
def test_two_processes_train_as_one_does_and_go_on_as_one_does(tiny, tmp_path, sharding):
    """Four processes, each with its imports. Buys: several GPUs take the same steps as one."""
    rows = instruct_rows(ROWS)
    trained = tiny_trainer(tiny, tmp_path / "one", section(batch_size=4, **SHARED), rows)
    trained.train()
    recipe = section(batch_size=2, **SHARED).model_copy(update={"sharding": sharding})
    whole = two_processes(tiny, tmp_path / "two", recipe)
    assert whole == pytest.approx(losses(trained), rel=TOLERANCE)
    resumed = two_processes(tiny, tmp_path / "resumed", recipe, tmp_path / "two" / "checkpoint-4")
    assert resumed == whole
