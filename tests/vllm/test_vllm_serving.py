"""vLLM through Ray Serve LLM, for real: the CPU build in its own environment, asked by handle.

Slow (a minute or two, most of it vLLM's start): it is the only test of the path that serves on
GPUs. What it buys: vLLM's answers are transformers' token by token, with adapters loaded beside
one base while it serves, and none of its faults reaches another caller. `make test-slow` runs it.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import families
from tests.conftest import ROOT
from tests.vllm_models import adapter, written_by_transformers
from tests.vllm_platform import VllmPlatform, published, vllm_platform
from twin.models.adapters import record_base
from twin.models.bases.base_models import BaseModelPin
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

    def test_a_json_schema_binds_even_a_model_that_writes_anything(self, engine, prompts):
        schema = {
            "type": "object",
            "properties": {"better": {"enum": ["1", "2", "tie"]}},
            "required": ["better"],
            "additionalProperties": False,
        }
        bound = engine.request(prompts[0], json_schema=json.dumps(schema), max_new_tokens=60)
        answer, free = engine.ask_all([bound, engine.request(prompts[0])])
        assert json.loads(answer["generation"]["text"])["better"] in ("1", "2", "tie")
        assert not free["generation"]["text"].lstrip().startswith("{")

    def test_no_turn_ends_before_the_least_number_of_tokens(self, engine, chat, prompts):
        """Sampled as hot as may be, some answers end soon, unless they may not."""
        hot = {"temperature": 2.0, "max_new_tokens": 100, "seconds": 300}
        free = engine.ask_all([engine.request(prompts[0], seed=n, **hot) for n in range(16)])
        held = engine.ask_all(
            [engine.request(prompts[0], seed=n, min_new_tokens=90, **hot) for n in range(16)]
        )
        shortest = min(answer["generation"]["completion_tokens"] for answer in free)
        assert shortest < 90, "else this shows nothing"
        assert min(answer["generation"]["completion_tokens"] for answer in held) >= 90

    @pytest.mark.parametrize("seed", [7, -1])
    def test_a_seed_repeats_an_answer(self, engine, prompts, seed):
        same = [engine.request(prompts[0], temperature=1.0, seed=seed)] * 2
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
        """Others sit down where callers have left before one who came with these is served."""

        async def leave():
            stays = asyncio.create_task(engine.stream(self.long(engine, prompts, seconds=600)))
            for _ in range(SEATS - 1):
                stream = engine.handle.options(stream=True).stream.remote(
                    self.long(engine, prompts, seconds=600)
                )
                await anext(stream)
                stream.cancel()
            request = engine.request(prompts[1], seconds=300)
            others = await asyncio.gather(*(engine.stream(request) for _ in range(SEATS - 1)))
            return others, stays.done(), (await stays)[-1]

        others, is_served, stayed = asyncio.run(leave())
        assert [items[-1]["generation"]["completion_tokens"] for items in others] == [24] * 3
        assert not is_served, "they waited for a seat"
        assert stayed["generation"]["completion_tokens"] == CONTEXT - len(prompts[0])


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
            "elsewhere": adapter(base, tmp_path / "elsewhere", 1),
        }
        record_base(faulty["elsewhere"], BaseModelPin("another", "d" * 64), "0" * 64)
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
        while len(refused := engine.described()["refused"]) < 7:
            assert time.monotonic() < deadline, refused
            time.sleep(0.1)
        print(json.dumps(refused, indent=1))
        assert engine.described()["adapters"] == sorted(kept)
        for name, words in {
            "saved": "modules_to_save", "tokens": "trainable_token_indices",
            "large": "max_lora_rank: 32", "stranger": "cannot load it beside this base model",
            "elsewhere": "is of base model another",
            "gone": "is not in the file store", "changed": "digest differs",
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
