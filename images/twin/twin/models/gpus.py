"""A job uses the GPUs that it was given, and never none, or several as one, without a word."""

import os
from collections.abc import Mapping

from twin.domain.errors import BadConfigurationError
from twin.settings import Settings

#: Set by launchers (torchrun, accelerate launch) in each process that they start, one a GPU.
LAUNCHED = "LOCAL_RANK"


def process_number() -> int:
    """The place of this process among those of its training, from 0, as launchers say it."""
    return int(os.environ.get("RANK", "0"))


def is_first() -> bool:
    """Whether this process speaks for its job; it does where it is the only one."""
    return process_number() == 0


def check_gpus(settings: Settings, *, training: bool) -> None:
    """See that PyTorch sees the GPUs of this job.

    Raises:
        BadConfigurationError: it sees fewer than ``TWIN_GPUS`` says, or, where it is to train,
            several in one process.
    """
    import torch

    visible = torch.cuda.device_count()
    check_given(settings.gpus, visible)
    if training:
        check_launched(visible, os.environ)


def check_given(given: int | None, visible: int) -> None:
    """See that no GPU is missing; ``given`` is None where nothing says how many there should be.

    Raises:
        BadConfigurationError: some are.
    """
    if given is not None and visible < given:
        raise BadConfigurationError(
            f"this job was given {given} GPU(s) (TWIN_GPUS) and PyTorch sees {visible}: check the "
            "node's driver and device plugin and that the image is the CUDA one, or unset "
            "TWIN_GPUS to use processors"
        )


def check_launched(visible: int, environment: Mapping[str, str]) -> None:
    """See that a process that trains has one GPU, or was started by a launcher.

    transformers' trainer would wrap the model in DataParallel, which is slow and splits batches in
    a way that the recipe does not say.

    Raises:
        BadConfigurationError: it has several.
    """
    if visible > 1 and LAUNCHED not in environment:
        raise BadConfigurationError(
            f"PyTorch sees {visible} GPUs in one process, and training uses one: set "
            f"TWIN_GPUS to {visible} to train in as many processes, or CUDA_VISIBLE_DEVICES to one "
            "of them"
        )
