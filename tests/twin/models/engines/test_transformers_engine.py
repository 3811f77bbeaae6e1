import asyncio
import time
from contextlib import aclosing
from pathlib import Path

import pytest
import torch

from tests import tiny_model
from twin.domain.errors import BadDataError
from twin.models.engines.engine import EngineRequest
from twin.models.engines.transformers_engine import TransformersEngine
from twin.models.formats.chat_format import ChatFormat
from twin.models.language_model import Generation, SamplingParams


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_model.build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def chat(folder):
    return ChatFormat.load(folder)


@pytest.fixture
def engine(folder):
    return TransformersEngine.load(folder, threads=2)


@pytest.fixture
def request_(chat):
    def make(question="Why pods?", **changes):
        knobs = {"max_new_tokens": 20, "min_new_tokens": 20, **changes.pop("params", {})}
        messages = [{"role": "user", "content": question}]
        return EngineRequest(
            prompt_ids=tuple(chat.prompt_ids(messages)),
            messages=tuple(messages),
            params=SamplingParams(**knobs),
            **changes,
        )

    return make


def written(engine, request):
    async def pieces():
        return [piece async for piece in engine.stream(request)]

    return asyncio.run(pieces())


def test_the_pieces_are_the_answer(engine, request_):
    *texts, last = written(engine, request_())
    assert "".join(texts) == last.text
    assert last == Generation(last.text, "length", len(request_().prompt_ids), 20)
    assert written(engine, request_())[-1] == last


def test_a_request_crosses_as_plain_data(engine, request_):
    request = request_(params={"stop": ("the", "a")})
    crossed = EngineRequest.from_dict(request.to_dict())
    assert crossed == request
    assert written(engine, crossed) == written(engine, request)


def test_a_prompt_and_answer_that_just_fit_are_written(engine, request_):
    tokens = len(request_().prompt_ids)
    most = engine.context_tokens - tokens
    fits = request_(params={"max_new_tokens": most, "min_new_tokens": 0})
    assert isinstance(written(engine, fits)[-1], Generation)
    with pytest.raises(BadDataError, match=rf"{tokens:,} tokens: at most {tokens - 1:,} fit"):
        written(engine, request_(params={"max_new_tokens": most + 1, "min_new_tokens": 0}))


def test_adapters_are_refused_in_words(engine, request_):
    with pytest.raises(BadDataError, match="no adapter 'mine'"):
        written(engine, request_(adapter="mine"))
    with pytest.raises(BadDataError, match=r"serving\.engine to llama\.cpp or vllm"):
        asyncio.run(engine.set_adapters({"mine": Path("/nowhere")}))
    asyncio.run(engine.set_adapters({}))


def test_the_time_holds_while_a_request_waits(engine, request_):
    long = {"max_new_tokens": 1_500, "min_new_tokens": 1_500}

    async def second_in_line():
        first = engine.stream(request_(params=long))
        async with aclosing(first):
            await anext(first)
            started = time.monotonic()
            waiting = asyncio.create_task(
                anext(engine.stream(request_(params=long, timeout_seconds=0.2)))
            )
            await asyncio.sleep(0.5)
        return await waiting, time.monotonic() - started

    generation, seconds = asyncio.run(second_in_line())
    assert (generation.text, generation.finish_reason) == ("", "length")
    assert generation.completion_tokens == 0
    assert seconds < 5


def test_the_time_cuts_an_answer_short(engine, request_):
    request = request_(
        params={"max_new_tokens": 1_500, "min_new_tokens": 1_500}, timeout_seconds=0.5
    )
    last = written(engine, request)[-1]
    assert last.finish_reason == "length"
    assert 0 < last.completion_tokens < 1_500


def test_a_lost_gpu_is_a_reason_for_a_new_process(engine, request_, monkeypatch):
    asyncio.run(engine.check_health())

    def lose(*_):
        raise torch.AcceleratorError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(engine._model, "write", lose)
    with pytest.raises(torch.AcceleratorError):
        written(engine, request_())
    with pytest.raises(RuntimeError, match="device-side assert"):
        asyncio.run(engine.check_health())
