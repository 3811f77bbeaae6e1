import os
import subprocess
import sys

import pytest

from twin.domain.errors import BadConfigurationError
from twin.serving.replica_process import keep_to_gpus, keep_to_threads


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))


def test_with_no_gpu_reserved_none_is_seen():
    os.environ["CUDA_VISIBLE_DEVICES"] = "0,1"
    keep_to_gpus(0)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize("reserved", [0.5, 1, 99])
def test_a_reserved_gpu_that_is_not_there_is_a_reason_not_to_start(reserved):
    import torch

    if torch.cuda.device_count() >= reserved:
        pytest.skip("this machine has so many GPUs")
    with pytest.raises(BadConfigurationError, match=rf"gpus_per_replica is {reserved:g}.*sees"):
        keep_to_gpus(reserved)


def test_threads_are_as_many_as_reserved():
    keep_to_threads(3)
    assert os.environ["OMP_NUM_THREADS"] == "3"


def test_tokenizers_come_without_torch():
    code = (
        "import sys\n"
        "from twin.serving.replica_process import import_transformers_without_torch\n"
        "import_transformers_without_torch()\n"
        "import transformers\n"
        "print('torch' in sys.modules)\n"
        "import torch\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
