"""Loads a GGUF file into llama.cpp and writes: speed and memory; runs as a process of its own.

    python -m twin.training.export.engine_run FILE THREADS

Prints JSON: tokens read and written a second, and the process's largest resident set. A process
each, since memory that one model took is not given back before the next.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from twin.models.engines.llama_server import LlamaServer, ServerOptions

PROMPT_TOKENS = 256
WRITTEN_TOKENS = 64
KIB = 1024


def measure(file: Path, threads: int) -> dict[str, float]:
    """Read one prompt and write one answer, after a short one that warms up."""
    server = LlamaServer(file, ServerOptions(1024, 1024, 1, threads))
    try:
        [ids] = server.tokenize(["The quick brown fox jumps over the lazy dog. " * 60])
        ids = ids[:PROMPT_TOKENS]
        _write(server, ids[:8], 4)
        began, times = time.perf_counter(), _write(server, ids, WRITTEN_TOKENS)
    finally:
        server.close()
    first, last = times[0], times[-1]
    return {
        "prompt_tokens_per_second": len(ids) / (first - began),
        "tokens_per_second": (len(times) - 1) / (last - first),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB,
    }


def _write(server: LlamaServer, prompt: list[int], tokens: int) -> list[float]:
    """When each token came."""
    times: list[float] = []

    def take(event: dict[str, Any]) -> bool:
        if event.get("tokens") or event.get("content"):
            times.append(time.perf_counter())
        return False

    server.complete(
        {
            "prompt": prompt,
            "n_predict": tokens,
            "stream": True,
            "ignore_eos": True,
            "cache_prompt": False,
            "samplers": ["top_k"],
            "top_k": 1,
            "return_tokens": True,
        },
        take,
    )
    return times


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]))))
