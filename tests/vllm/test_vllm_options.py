"""What of a recipe reaches vLLM, checked in vLLM's own environment.

It takes the time that vLLM takes to be imported, which buys the names of its arguments.
"""

import json
import subprocess
from typing import Any

import pytest

from tests.vllm_platform import PYTHON

pytestmark = pytest.mark.slow

CODE = """
import json, sys
from twin.domain.errors import BadDataError
from twin.serving.vllm_arguments import engine_arguments
from twin.serving.vllm_engine import EngineSpec
for serving in json.load(sys.stdin):
    spec = EngineSpec(weights_uri="m", weights_digest="d", serving=serving)
    try:
        print(json.dumps(engine_arguments(spec)))
    except BadDataError as error:
        print(json.dumps({"error": str(error)}))
"""


def test_options_are_checked_and_reach_the_engine():
    if not PYTHON.is_file():
        pytest.skip("no environment for vLLM: `make vllm` makes it")
    cases: list[dict[str, Any]] = [
        {},
        {"adapters": "shared", "gpus_per_replica": 0.5},
        {"vllm": {"options": {"max_num_seqs": 8, "enforce_eager": False}}},
        {"vllm": {"options": {"tensor_paralel_size": 2}}},
        {"vllm": {"options": {"trust_remote_code": True}}},
        {"vllm": {"options": {"load_format": "pt"}}},
        {"vllm": {"options": {"speculative_config": {"method": "ngram"}}}},
        {
            "repetition_penalty": 1.0,
            "vllm": {"options": {"speculative_config": {"method": "ngram"}}},
        },
    ]
    done = subprocess.run(
        [PYTHON, "-c", CODE],
        input=json.dumps([{"engine": "vllm", **case} for case in cases]),
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    plain, shared, own, unknown, code, pickles, penalised, speculative = map(json.loads, lines)
    assert plain == {
        "load_format": "safetensors", "enable_prefix_caching": True, "enforce_eager": True,
        "kv_cache_memory_bytes": 1 << 30,
        "logits_processors": ["twin.serving.vllm_repetition:AnswerRepetitionPenalty"],
        "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
    }  # fmt: skip
    assert shared["enable_lora"] and shared["gpu_memory_utilization"] == 0.45
    assert "kv_cache_memory_bytes" not in shared and "enforce_eager" not in shared
    assert (own["max_num_seqs"], own["enforce_eager"]) == (8, False)
    assert "the nearest is 'tensor_parallel_size'" in unknown["error"]
    assert "trust_remote_code cannot be set" in code["error"]
    assert "only safetensors" in pickles["error"]
    assert "repetition_penalty: 1.0" in penalised["error"]
    assert speculative["speculative_config"] == {"method": "ngram"}
    assert speculative["logits_processors"] is None
