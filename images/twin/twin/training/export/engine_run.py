"""Loads a GGUF file into llama.cpp and writes: speed and memory; runs as a process of its own.

    python -m twin.training.export.engine_run FILE THREADS

Prints JSON: tokens read and written a second, and the process's largest resident set. A process
each, since memory that one model took is not given back before the next.
"""

import json
import sys
from pathlib import Path
from typing import Any

from twin.models.engines.llama_server import LlamaServer, ServerOptions
from twin.training.export.measured_run import (
    PROMPT_TEXT,
    PROMPT_TOKENS,
    WRITTEN_TOKENS,
    peak_memory_bytes,
)


def measure(file: Path, threads: int) -> dict[str, float]:
    """Read one prompt and write one answer, after a short one that warms up."""
    server = LlamaServer(file, ServerOptions(1024, 1024, 1, threads))
    try:
        [ids] = server.tokenize([PROMPT_TEXT])
        ids = ids[:PROMPT_TOKENS]
        _write(server, ids[:8], 4)
        timings = _write(server, ids, WRITTEN_TOKENS)
    finally:
        server.close()
    return {
        "prompt_tokens_per_second": timings["prompt_per_second"],
        "tokens_per_second": timings["predicted_per_second"],
        "peak_memory_bytes": peak_memory_bytes(),
    }


def _write(server: LlamaServer, prompt: list[int], tokens: int) -> dict[str, float]:
    """llama.cpp's own timings of one answer, which is the likeliest and never ends early."""
    events: list[dict[str, Any]] = []
    server.complete(
        {
            "prompt": prompt,
            "n_predict": tokens,
            "stream": True,
            "ignore_eos": True,
            "cache_prompt": False,
            "samplers": ["top_k"],
            "top_k": 1,
            "timings_per_token": True,
        },
        lambda event: bool(events.append(event)),  # type: ignore[func-returns-value]
    )
    last = events[-1]
    if "timings" not in last:
        raise SystemExit(f"llama.cpp: {last.get('message', last)}")
    timings: dict[str, float] = last["timings"]
    return timings


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]))))
