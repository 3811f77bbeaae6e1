"""Each family by vLLM against transformers: the same words with the same probabilities.

Some seconds a family. What it buys: vLLM has code of its own for each architecture, and reads the
soft caps, windows and tied heads of a configuration by itself; a folder that is loaded without an
error may still be computed otherwise. The arguments are those of the house, for adapters too.
"""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from tests import families
from tests.vllm_models import adapter
from tests.vllm_platform import PYTHON
from twin.models.formats.chat_format import ChatFormat
from twin.models.language_model import Message

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TOLERANCE = {"float32": 0.001, "bfloat16": 0.1}
"""Nats a token, against float32 here; bfloat16, in which models are served, has eight bits."""
ANSWER_TOKENS = 32
QUESTION = "What do you think about promotion? " * 8
OPTIONS = {"max_model_len": 512, "max_num_seqs": 4, "kv_cache_memory_bytes": 1 << 27}

CODE = """
import json, sys
from vllm import LLM, SamplingParams
from vllm.distributed import cleanup_dist_env_and_memory
from vllm.lora.request import LoRARequest
from twin.serving.vllm_arguments import engine_arguments
from twin.serving.vllm_engine import EngineSpec

def main():
    given = json.load(sys.stdin)
    params = SamplingParams(
        temperature=0, max_tokens=given["tokens"], logprobs=0, prompt_logprobs=0, ignore_eos=True
    )
    for case in given["cases"]:
        spec = EngineSpec(weights_uri="m", weights_digest="d", serving=case["serving"])
        llm = LLM(model=case["base"], **engine_arguments(spec))
        answers = []
        for number, folder in enumerate(case["adapters"]):
            adapter = LoRARequest(f"a{number}", number, folder) if folder else None
            prompt = {"prompt_token_ids": case["prompt"]}
            [output] = llm.generate([prompt], params, lora_request=adapter, use_tqdm=False)
            answer = output.outputs[0]
            steps = [*output.prompt_logprobs[1:], *answer.logprobs]
            ids = [*case["prompt"][1:], *answer.token_ids]
            scores = [step[token].logprob for step, token in zip(steps, ids, strict=True)]
            answers.append([list(answer.token_ids), scores])
        print("RESULT", json.dumps(answers), flush=True)
        del llm
        cleanup_dist_env_and_memory()

if __name__ == "__main__":
    main()
"""


@dataclass(frozen=True)
class Case:
    """A model, how it is computed, and the adapters that answer beside one another."""

    base: Path
    dtype: str
    adapters: tuple[Path | None, ...] = (None,)

    @property
    def prompt(self) -> list[int]:
        chat = ChatFormat.load(self.base)
        return list(chat.prompt_ids([Message(role="user", content=QUESTION)]))

    def asked(self) -> dict[str, Any]:
        serving: dict[str, Any] = {
            "engine": "vllm",
            "adapters": "shared" if any(self.adapters) else "merged",
            "vllm": {"options": {**OPTIONS, "dtype": self.dtype}},
        }
        adapters = [str(folder) if folder else None for folder in self.adapters]
        return {
            "base": str(self.base), "serving": serving, "prompt": self.prompt, "adapters": adapters,
        }  # fmt: skip


@pytest.fixture(scope="module")
def cases(tmp_path_factory) -> dict[str, Case]:
    home = tmp_path_factory.mktemp("parity")
    # Heads of 32: vLLM's attention on processors knows no smaller ones.
    bases = {name: families.build(name, home / name, hidden_size=128) for name in families.FAMILIES}
    places = [adapter(bases["llama3"], home / f"llama3-{n}", n) for n in (1, 2)]
    return {
        **{name: Case(base, "float32") for name, base in bases.items()},
        "adapters": Case(bases["llama3"], "float32", (None, *places)),
        "16 bits": Case(bases["llama3"], "bfloat16", (None, *places)),
    }


@pytest.fixture(scope="module")
def by_vllm(cases) -> dict[str, list[tuple[list[int], list[float]]]]:
    """For each case and adapter the greedy answer, and the scores of prompt and answer."""
    if not PYTHON.is_file():
        pytest.skip("no environment for vLLM: `make vllm` makes it")
    variables = {
        "OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        # One process for all models: each of vLLM's own takes half a minute to import it.
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    }  # fmt: skip
    given = {"tokens": ANSWER_TOKENS, "cases": [case.asked() for case in cases.values()]}
    done = subprocess.run(
        [PYTHON, "-c", CODE], input=json.dumps(given), env={**os.environ, **variables},
        capture_output=True, text=True, timeout=800, check=False,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert len(lines) == len(cases), done.stdout[-3000:] + done.stderr[-3000:]
    answers = [json.loads(line.removeprefix("RESULT ")) for line in lines]
    return dict(zip(cases, answers, strict=True))


def by_transformers(base: Path, folder: Path | None, ids: list[int]) -> list[float]:
    # Eager: PyTorch's own attention leaves Gemma 2's soft cap of attention out.
    model: Any = AutoModelForCausalLM.from_pretrained(
        base, dtype=torch.float32, attn_implementation="eager"
    )
    if folder:
        model = PeftModel.from_pretrained(model, folder)
    with torch.inference_mode():
        logits = model.eval()(input_ids=torch.tensor([ids])).logits[0, :-1]
    scores = torch.log_softmax(logits.float(), -1)
    return scores[range(len(ids) - 1), ids[1:]].tolist()


@pytest.mark.parametrize("name", [*families.FAMILIES, "adapters", "16 bits"])
def test_log_probabilities_are_those_of_transformers(cases, by_vllm, name):
    case, answers = cases[name], by_vllm[name]
    for folder, (answer, scores) in zip(case.adapters, answers, strict=True):
        expected = by_transformers(case.base, folder, [*case.prompt, *answer])
        away = max(abs(a - b) for a, b in zip(scores, expected, strict=True))
        print(f"\n{name}, {case.dtype}, {folder and folder.name}: {away:.1e} nats at most")
        assert scores == pytest.approx(expected, abs=TOLERANCE[case.dtype])
    texts = {tuple(answer) for answer, _ in answers}
    assert len(texts) == len(case.adapters), "each adapter changes the answer"
