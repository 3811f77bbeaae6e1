"""vLLM through Ray Serve LLM, for real: the CPU build in its own environment, asked by handle.

Slow (a minute or two, most of it vLLM's start): it is the only test of the path that serves on
GPUs. What it buys: vLLM's answers are transformers' token by token, with adapters loaded beside
one base while it serves, and none of its faults reaches another caller. `make test-slow` runs it.
"""

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
)

from tests import families
from tests.conftest import ROOT
from tests.vllm_platform import PYTHON, VllmPlatform, published, vllm_platform
from twin.models.formats.chat_format import ChatFormat
from twin.models.language_model import Message
from twin.recipes import load_recipe

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

CONTEXT = 1024
SEATS = 4  # answers that vLLM writes at once here; more wait
QUESTIONS = [
    "What do you write about?",
    "Why does every job run in a pod of its own?",
    "What would you do when a candidate is worse than the base?",
    "How can I forget a document when its author asks?",
]


def serving() -> dict[str, Any]:
    """The 8B recipe's, for a tiny model on processors.

    Float32 on both sides: the same words then follow from the same arithmetic.
    """
    section = load_recipe("llama-3.1-8b", ROOT / "include" / "recipes").serving
    recipe: dict[str, Any] = section.model_dump(mode="json", exclude={"cpus_per_replica"})
    options = recipe["vllm"]["options"] | {
        "dtype": "float32",
        "max_model_len": CONTEXT,
        "max_num_seqs": SEATS,
        "kv_cache_memory_bytes": 1 << 28,
    }
    return recipe | {"gpus_per_replica": 0, "vllm": {"options": options}}


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    # Heads of 32: vLLM's attention on processors knows no smaller ones.
    return families.build("llama3", tmp_path_factory.mktemp("base") / "base", hidden_size=128)


@pytest.fixture(scope="module")
def chat(base) -> ChatFormat:
    return ChatFormat.load(base)


@pytest.fixture(scope="module")
def prompts(chat) -> list[list[int]]:
    return [chat.prompt_ids([Message(role="user", content=text)]) for text in QUESTIONS]


def adapter(base: Path, folder: Path, seed: int, **config: Any) -> Path:
    """A LoRA adapter of PEFT that changes every answer."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    settings = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear", **config}
    adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **settings))
    generator = torch.Generator().manual_seed(seed)
    for name, weight in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.1, generator=generator)
    adapted.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapters(base, tmp_path_factory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("adapters")
    return {name: adapter(base, home / name, seed) for seed, name in enumerate("abc", 1)}


@pytest.fixture(scope="module")
def engine(base, adapters, tmp_path_factory) -> Iterator[VllmPlatform]:
    with vllm_platform(tmp_path_factory.mktemp("vllm"), base, serving()) as platform:
        platform.adapters = {
            name: published(platform.settings, adapters[name], name) for name in "ab"
        }
        platform.apply()
        yield platform


def written_by_transformers(
    base: Path, chat: ChatFormat, prompt: list[int], adapter: Path | None = None,
    tokens: int = 24, penalty: float = 1.0,
) -> dict[str, Any]:  # fmt: skip
    """A generation, greedily, by transformers and PEFT."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    if adapter:
        model = PeftModel.from_pretrained(model, adapter).eval()
    rule = RepetitionPenaltyLogitsProcessor(penalty, prompt_ignore_length=len(prompt))
    with torch.inference_mode():
        ids = model.generate(
            input_ids=torch.tensor([prompt]), attention_mask=torch.ones((1, len(prompt))),
            do_sample=False, max_new_tokens=tokens, eos_token_id=sorted(chat.end_ids),
            pad_token_id=0, logits_processor=LogitsProcessorList([rule]),
        )[0, len(prompt) :].tolist()  # fmt: skip
    text = chat.tokenizer.decode(ids, skip_special_tokens=True)
    return {
        "text": text.rstrip("\N{REPLACEMENT CHARACTER}"),  # vLLM leaves out half a character
        "finish_reason": "stop" if ids[-1] in chat.end_ids else "length",
        "prompt_tokens": len(prompt),
        "completion_tokens": len(ids),
    }


class TestAnswers:
    def test_are_those_of_transformers_alone_and_together(self, engine, base, chat, prompts):
        expected = [written_by_transformers(base, chat, prompt) for prompt in prompts]
        assert len({answer["text"] for answer in expected}) > 1
        alone = [engine.ask(prompt)["generation"] for prompt in prompts]
        assert alone == expected
        together = engine.ask_all([engine.request(prompt) for prompt in prompts * 3])
        assert [answer["generation"] for answer in together] == expected * 3

    def test_penalty_counts_the_answer_s_own_words_only(self, engine, base, chat, prompts):
        """Rows of a batch come and go, each with a penalty of its own."""
        asked = [
            (prompt, penalty, tokens)
            for prompt in prompts
            for penalty, tokens in ((1.0, 12), (1.3, 40), (2.0, 26))
        ]
        answers = engine.ask_all(
            [
                engine.request(prompt, repetition_penalty=penalty, max_new_tokens=tokens)
                for prompt, penalty, tokens in asked
            ]
        )
        for (prompt, penalty, tokens), answer in zip(asked, answers, strict=True):
            assert answer["generation"] == written_by_transformers(
                base, chat, prompt, tokens=tokens, penalty=penalty
            )

    def test_a_stop_text_ends_it_and_is_no_part_of_it(self, engine, prompts):
        whole = engine.ask(prompts[0])["generation"]["text"]
        stop = whole[5:8]
        answer = engine.ask(prompts[0], stop=(stop, ""))["generation"]
        assert answer["text"] == whole[: whole.index(stop)]
        assert answer["finish_reason"] == "stop" and answer["completion_tokens"] < 24

    def test_no_turn_ends_before_the_least_number_of_tokens(self, engine, chat, prompts):
        """Sampled hot, some answers end soon, unless they may not."""
        hot = {"temperature": 3.0, "max_new_tokens": 200}
        free = engine.ask_all([engine.request(prompts[0], seed=n, **hot) for n in range(24)])
        held = engine.ask_all(
            [engine.request(prompts[0], seed=n, min_new_tokens=150, **hot) for n in range(24)]
        )
        shortest = min(answer["generation"]["completion_tokens"] for answer in free)
        assert shortest < 150, "else this shows nothing"
        assert min(answer["generation"]["completion_tokens"] for answer in held) >= 150

    def test_a_seed_repeats_an_answer(self, engine, prompts):
        same = [engine.request(prompts[0], temperature=1.0, seed=7)] * 2
        other = [engine.request(prompts[0], temperature=1.0, seed=n) for n in (8, 9)]
        texts = [answer["generation"]["text"] for answer in engine.ask_all(same + other)]
        assert texts[0] == texts[1] and len(set(texts)) == 3

    def test_a_nucleus_of_almost_nothing_is_greedy(self, engine, prompts):
        narrow = engine.ask(prompts[0], temperature=1.0, top_p=1e-6, seed=1)
        assert narrow == engine.ask(prompts[0])


class TestLimits:
    def test_describes_itself(self, engine):
        assert engine.described() == {
            "engine": "vllm", "context_tokens": CONTEXT, "adapters": ["a", "b"], "refused": {},
        }  # fmt: skip

    @pytest.mark.parametrize("tokens", [0, CONTEXT, CONTEXT + 500])
    def test_a_prompt_that_leaves_no_room_is_refused(self, engine, prompts, tokens):
        error = engine.ask((prompts[0] * CONTEXT)[:tokens])["error"]
        assert error["kind"] == "bad_data"
        assert f"{tokens} tokens" in error["message"] and str(CONTEXT) in error["message"]

    def test_the_context_s_end_ends_an_answer(self, engine, prompts):
        prompt = (prompts[0] * CONTEXT)[: CONTEXT - 3]
        answer = engine.ask(prompt, max_new_tokens=50, min_new_tokens=50)["generation"]
        assert (answer["completion_tokens"], answer["finish_reason"]) == (3, "length")

    def test_tokens_that_the_model_has_not_are_refused(self, engine):
        error = engine.ask([1, 2, 10_000_000])["error"]
        assert error["kind"] == "bad_data" and "\n" not in error["message"]

    def long(self, engine, prompts, **how):
        rest = CONTEXT - len(prompts[0])
        return engine.request(prompts[0], max_new_tokens=rest, min_new_tokens=rest, **how)

    def test_the_deadline_ends_an_answer_with_what_is_written(self, engine, prompts):
        (answer,) = engine.ask_all([self.long(engine, prompts, seconds=0.5)])
        assert answer["generation"]["finish_reason"] == "length"
        assert 0 < answer["generation"]["completion_tokens"] < CONTEXT - len(prompts[0])

    def test_the_deadline_holds_in_the_queue(self, engine, prompts):
        """All seats are taken by answers that are longer than the patience of the last."""
        seated = [self.long(engine, prompts, seconds=4.0) for _ in range(SEATS)]

        async def crowd():
            tasks = [asyncio.create_task(engine.stream(request)) for request in seated]
            await asyncio.sleep(1.0)
            started = time.monotonic()
            last = (await engine.stream(engine.request(prompts[1], seconds=0.5)))[-1]
            waited = time.monotonic() - started
            return waited, last, [(await task)[-1] for task in tasks]

        waited, last, others = asyncio.run(crowd())
        assert last == {
            "generation": {
                "text": "", "finish_reason": "length",
                "prompt_tokens": len(prompts[1]), "completion_tokens": 0,
            }
        }  # fmt: skip
        assert 0.5 <= waited < 3
        assert all(other["generation"]["completion_tokens"] > 0 for other in others)

    def test_a_caller_that_leaves_frees_its_seat(self, engine, prompts):
        async def leave():
            for _ in range(SEATS):
                stream = engine.handle.options(stream=True).stream.remote(
                    self.long(engine, prompts, seconds=120)
                )
                await anext(stream)
                stream.cancel()
            return (await engine.stream(engine.request(prompts[1], seconds=3)))[-1]

        answer = asyncio.run(leave())["generation"]
        assert answer["completion_tokens"] == 24, "the seats were still taken after 3 s"


class TestAdapters:
    def test_answer_beside_one_another_as_peft_does(self, engine, base, chat, prompts, adapters):
        places = {"a": adapters["a"], "b": adapters["b"], None: None}
        asked = [(name, prompt) for prompt in prompts for name in places]
        answers = engine.ask_all([engine.request(prompt, name) for name, prompt in asked])
        for (name, prompt), answer in zip(asked, answers, strict=True):
            expected = written_by_transformers(base, chat, prompt, places[name])
            assert answer["generation"] == expected, name
        texts = {name: a["generation"]["text"] for (name, _), a in zip(asked, answers, strict=True)}
        assert len(set(texts.values())) == 3

    def test_a_further_version_is_in_service_without_a_new_application(
        self, engine, base, chat, prompts, adapters
    ):
        """Its base stays where it is: the replica is the same process before and after."""
        before = engine.ask(prompts[0], "a")
        started = time.monotonic()
        engine.adapters = {
            **engine.adapters, "c": published(engine.settings, adapters["c"], "c"),
        }  # fmt: skip
        engine.apply()
        while "c" not in engine.described()["adapters"]:
            assert time.monotonic() - started < 60
            time.sleep(0.05)
        answer = engine.ask(prompts[0], "c")["generation"]
        print(f"second version answers after {time.monotonic() - started:.1f} s")
        assert answer == written_by_transformers(base, chat, prompts[0], adapters["c"])
        assert engine.ask(prompts[0], "a") == before

    def test_other_bytes_under_a_name_are_another_adapter(
        self, engine, base, chat, prompts, adapters
    ):
        old = engine.ask(prompts[0], "b")
        kept = engine.adapters
        engine.adapters = {**kept, "b": published(engine.settings, adapters["c"], "c")}
        engine.apply()
        deadline = time.monotonic() + 60
        while (new := engine.ask(prompts[0], "b")) == old:
            assert time.monotonic() < deadline
        assert new["generation"] == written_by_transformers(base, chat, prompts[0], adapters["c"])
        engine.adapters = kept
        engine.apply()
        while engine.ask(prompts[0], "b") != old:
            assert time.monotonic() < deadline

    def test_faulty_ones_are_refused_in_a_line_and_the_others_serve(
        self, engine, base, prompts, adapters, tmp_path
    ):
        other = families.build("llama3", tmp_path / "other", hidden_size=256)
        faulty = {
            "saved": adapter(base, tmp_path / "saved", 1, modules_to_save=["lm_head"]),
            "tokens": adapter(base, tmp_path / "tokens", 1, trainable_token_indices=[3]),
            "large": adapter(base, tmp_path / "large", 1, r=32),
            "stranger": adapter(other, tmp_path / "stranger", 1),
        }
        before = {name: engine.ask(prompts[0], name) for name in ("a", None)}
        kept = engine.adapters
        engine.adapters = {
            **kept,
            **{name: published(engine.settings, folder, name) for name, folder in faulty.items()},
            "gone": {"uri": "models/gone", "digest": "0" * 64},
            "changed": {**kept["a"], "digest": "1" * 64},
        }
        engine.apply()
        deadline = time.monotonic() + 60
        while len(refused := engine.described()["refused"]) < 6:
            assert time.monotonic() < deadline, refused
            time.sleep(0.1)
        print(json.dumps(refused, indent=1))
        assert engine.described()["adapters"] == sorted(kept)
        for name, words in {
            "saved": "modules_to_save", "tokens": "trainable_token_indices",
            "large": "max_lora_rank: 32", "stranger": "cannot load it beside this base model",
            "gone": "nothing complete has been published", "changed": "digest differs",
        }.items():  # fmt: skip
            assert words in refused[name] and "\n" not in refused[name]
            assert engine.ask(prompts[0], name) == {
                "error": {"kind": "bad_data", "message": refused[name]}
            }
        assert {name: engine.ask(prompts[0], name) for name in before} == before
        error = engine.ask(prompts[0], "nobody")["error"]
        assert "no adapter 'nobody' here: there are a, b" in error["message"]
        engine.adapters = kept
        engine.apply()


class TestOptions:
    """What of a recipe reaches vLLM, in vLLM's own environment."""

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

    def test_are_checked_and_reach_the_engine(self):
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
            [PYTHON, "-c", self.CODE],
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
