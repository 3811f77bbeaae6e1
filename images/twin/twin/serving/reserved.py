"""A replica uses what Ray has reserved for it, and no more: GPUs and threads."""

import os

from twin.domain.errors import BadConfigurationError

#: Libraries that read their number of threads when they are loaded.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def keep_to_threads(threads: int) -> None:
    """Let the numeric libraries of this process use so many threads; before they are loaded."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(threads)


def keep_to_gpus(reserved: float) -> None:
    """Hide every GPU from this process if none is reserved; else see that there is one.

    To be called before anything loads CUDA. Of a fraction, torch may use that share of the GPU's
    memory.

    Raises:
        BadConfigurationError: a GPU is reserved and this process sees none.
    """
    if not reserved:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        return
    import torch

    count = torch.cuda.device_count()
    if count < reserved:
        raise BadConfigurationError(
            f"serving.gpus_per_replica is {reserved:g}, and this replica sees {count} GPUs "
            f"(CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', 'unset')}, torch "
            f"{torch.__version__}): the worker needs GPUs, their driver, and an image built "
            "for CUDA"
        )
    if reserved < 1:
        torch.cuda.set_per_process_memory_fraction(reserved)
