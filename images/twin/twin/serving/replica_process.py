"""What a replica's process may use and load: threads, GPUs, ports, torch.

A replica uses what Ray has reserved for it, and no more.
"""

import os
import sys
from typing import Any

from twin.domain.errors import BadConfigurationError
from twin.settings import Settings

#: Libraries that read their number of threads when they are loaded.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

ALL_ADDRESSES = "[::]"
LOOPBACK = "127.0.0.1"


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


def keep_to_loopback(settings: Settings) -> None:
    """On one machine, let this replica's port for other replicas listen on loopback only.

    Ray Serve 2.60 binds it to every address, has no option for it, and unpickles what it reads:
    whoever reaches the port runs code. To be called in a replica's constructor, which runs before
    the port is opened. On a cluster network policies close it.
    """
    if settings.ray_service:
        return
    from ray.serve._private import replica

    add_port = replica.add_port_to_grpc_server

    def add_loopback_port(server: Any, address: str) -> int:
        return int(add_port(server, address.replace(ALL_ADDRESSES, LOOPBACK)))

    replica.add_port_to_grpc_server = add_loopback_port


def import_transformers_without_torch() -> None:
    """Load transformers for its tokenizers alone, where nothing of this process needs torch.

    It would load torch along with itself: 170 MB and seconds. Models cannot be loaded by
    transformers in this process afterwards.
    """
    if "transformers" in sys.modules or "torch" in sys.modules:
        return
    # How Python says that a module is not there.
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        from transformers import AutoTokenizer  # noqa: F401
    finally:
        del sys.modules["torch"]
