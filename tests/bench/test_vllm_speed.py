"""vLLM's CPU build through our Serve application, against its own batch interface.

Same model (the demo's base), same prompts of 600 tokens, same answers of 96, same threads, one
after the other: output tokens a second with 1, 8 and 32 streams. Ours shares its cores with Ray's
processes; theirs shares them with nobody. Figures are ratios, because machines differ.
"""

import asyncio
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests import tiny_model
from tests.conftest import ROOT
from tests.vllm_platform import PYTHON, VllmPlatform, vllm_platform
from twin.models.bases.base_models import CATALOGUE, prepare_base_model
from twin.models.formats.chat_format import ChatFormat
from twin.settings import Settings

pytestmark = pytest.mark.timeout(1800)

STREAMS = (1, 8, 32)
PROMPT, ANSWER = 600, 96
OPTIONS = {
    "max_model_len": 1024,
    "max_num_seqs": max(STREAMS),
    "kv_cache_memory_bytes": 1 << 30,
    "enforce_eager": True,
}

#: Reads options and, per number of streams, prompts; prints seconds and tokens.
BATCH = """
import json, sys, time
from vllm import LLM, SamplingParams

def main():
    given = json.load(sys.stdin)
    llm = LLM(given["model"], load_format="safetensors", enable_prefix_caching=True,
              **given["options"])
    params = SamplingParams(temperature=0, max_tokens=given["answer"], min_tokens=given["answer"])
    for prompts in given["rounds"]:
        started = time.monotonic()
        done = llm.generate([{"prompt_token_ids": ids} for ids in prompts], params, use_tqdm=False)
        tokens = sum(len(answer.outputs[0].token_ids) for answer in done)
        print("RESULT", json.dumps([tokens, time.monotonic() - started]), flush=True)

if __name__ == "__main__":
    main()
"""


def prompts(chat: ChatFormat, count: int, salt: int) -> list[list[int]]:
    """Prompts that share no beginning, so that no cache of prefixes helps either side."""
    words = chat.tokenizer.encode(tiny_model.CORPUS * 8, add_special_tokens=False)
    starts = [7 * (salt + n) + 1 for n in range(count)]
    return [[*words[start : start + PROMPT]] for start in starts]


def batch(base: Path, rounds: list[list[list[int]]], threads: int) -> list[float]:
    """Tokens a second of vLLM's own batch interface, for each round."""
    done = subprocess.run(
        [PYTHON, "-c", BATCH],
        input=json.dumps(
            {"model": str(base), "options": OPTIONS, "answer": ANSWER, "rounds": rounds}
        ),
        env={
            **os.environ,
            "OMP_NUM_THREADS": str(threads), "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1",
        },
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert len(lines) == len(rounds), done.stderr[-3000:]
    results = [json.loads(line.removeprefix("RESULT ")) for line in lines]
    return [tokens / seconds for tokens, seconds in results]


def through_serve(engine: VllmPlatform, asked: list[list[int]]) -> dict[str, Any]:
    """Tokens a second of all streams together, and the median wait for the first text."""

    async def stream(prompt: list[int]) -> tuple[int, float]:
        started, first, tokens = time.monotonic(), 0.0, 0
        request = engine.request(prompt, max_new_tokens=ANSWER, min_new_tokens=ANSWER, seconds=600)
        async for item in engine.handle.options(stream=True).stream.remote(request):
            first = first or time.monotonic() - started
            tokens += item.get("generation", {}).get("completion_tokens", 0)
        return tokens, first

    async def together() -> list[tuple[int, float]]:
        return await asyncio.gather(*map(stream, asked))

    started = time.monotonic()
    answers = asyncio.run(together())
    seconds = time.monotonic() - started
    assert all(tokens == ANSWER for tokens, _ in answers)
    firsts = sorted(first for _, first in answers)
    return {"speed": ANSWER * len(asked) / seconds, "first": firsts[len(firsts) // 2]}


def test_output_tokens_a_second(tmp_path_factory):
    if not PYTHON.is_file():
        pytest.skip("no environment for vLLM: `make vllm` makes it")
    pytest.importorskip(CATALOGUE["gemma3-270m"].module)
    home = Path(os.environ.get("TWIN_HOME", ROOT / ".twin"))
    home = home if home.is_dir() else tmp_path_factory.mktemp("home")
    base = prepare_base_model("gemma3-270m", Settings(home=home))
    chat = ChatFormat.load(base)
    threads = os.cpu_count() or 1
    # The first round warms up; each has prompts of its own.
    rounds = [prompts(chat, count, 40 * n) for n, count in enumerate((1, *STREAMS))]
    theirs = batch(base, rounds, threads)[1:]
    serving = {"vllm": {"options": OPTIONS}}
    with vllm_platform(tmp_path_factory.mktemp("vllm"), base, serving, threads) as engine:
        ours = [through_serve(engine, asked) for asked in rounds][1:]
    print(f"\n{threads} threads, prompts of {PROMPT} tokens, answers of {ANSWER}: tokens/s")
    print("streams   vLLM's batch   through Serve   ratio   first text")
    for count, batched, served in zip(STREAMS, theirs, ours, strict=True):
        print(
            f"{count:7}   {batched:12.1f}   {served['speed']:13.1f}   "
            f"{served['speed'] / batched:5.2f}   {served['first']:8.2f} s"
        )
