"""One process of a training on each GPU that its job was given, started by torchrun's own agent.

torchrun itself ends with 1 whatever its processes ended with, and Airflow goes by the exit status.
"""

import os
import sys
import time
import uuid
from collections.abc import Callable, Sequence

import typer

from twin.domain.errors import BadConfigurationError
from twin.models.gpus import LAUNCHED, is_first
from twin.settings import get_settings

SHUTDOWN_SECONDS = 105
"""That processes get to end in after SIGTERM: more than an interrupted training takes
(`twin.training.loop.SECONDS_TO_LEAVE`), less than the pod has."""

SECONDS_FOR_THE_FIRST = 20.0
"""That a process which failed waits before it ends. The agent then ends all others, and what most
of them fail by, the first one is to write into the job's result."""


def on_each_gpu(run: Callable[[], None]) -> None:
    """Run a job here, or on several GPUs in as many processes with this one's arguments.

    Args:
        run: the job; leaves by `typer.Exit`.

    Raises:
        typer.Exit: with the exit status of the job, of several processes that of the first to fail.
    """
    gpus = _gpus()
    if gpus > 1 and LAUNCHED not in os.environ:
        raise typer.Exit(launch([sys.executable, "-m", "twin.cli", *sys.argv[1:]], gpus))
    try:
        run()
    except typer.Exit as ending:
        if ending.exit_code and not is_first():
            time.sleep(SECONDS_FOR_THE_FIRST)
        raise


def launch(command: Sequence[str], processes: int) -> int:
    """Run a command in several processes of this machine, which find each other by environment.

    Args:
        command: program and arguments.
        processes: how many; each is told its place in ``RANK`` and ``LOCAL_RANK``.

    Returns:
        0, or the exit status of the process that failed first, which ended the others: 128 and the
        signal's number if one ended it.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # As torchrun does, but for the cores: all processes together use them once.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // processes)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        # A pod's own name may not be known to it.
        local_addr="localhost",
        # Airflow tries again, from the last checkpoint.
        max_restarts=0,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    program, *arguments = command
    try:
        elastic_launch(config, program)(*arguments)
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        return _status(failure.exitcode)
    except SignalException as error:
        return _status(-error.sigval)
    return 0


def _status(exit_code: int) -> int:
    """As a shell has it; a child that a signal ended has its negative number."""
    return exit_code if exit_code >= 0 else 128 - exit_code


def _gpus() -> int:
    try:
        return get_settings().gpus or 1
    except BadConfigurationError:
        return 1  # the job itself says what is wrong
