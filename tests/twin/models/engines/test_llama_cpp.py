"""The llama.cpp engine on tiny models, against transformers and against itself."""

import asyncio
import json
import shutil

import pytest

from tests import families
from twin.domain.errors import BadDataError, TryAgainError
from twin.models.engines.engine import EngineRequest
from twin.models.engines.llama_cpp import LlamaCppEngine
from twin.models.formats.chat_format import ChatFormat
from twin.models.language_model import Generation, Message, SamplingParams
from twin.recipes.engines import LlamaCppSection

KNOBS = LlamaCppSection(quantisation="bf16", parallel=3)
QUESTIONS = [
    "What do you think about promotion?",
    "Why do you keep a handbook?",
    "Who owns the index?",
    "When is a candidate worse?",
    "What would you do with a dead job?",
    "Where do passages come from?",
    "How is a document forgotten?",
]


@pytest.fixture(scope="module")
def folder(family_folder):
    return family_folder("smollm2")


@pytest.fixture(scope="module")
def cache(gguf_cache):
    return gguf_cache


@pytest.fixture(scope="module")
def echo(folder, tmp_path_factory):
    """A model whose layers add nothing: the word after a word is that word again.

    Its logit is 6.4 or so and that of any other word below 3, so rounding decides nothing.
    """
    from safetensors.torch import load_file, save_file

    target = shutil.copytree(folder, tmp_path_factory.mktemp("model") / "echo")
    weights = load_file(target / "model.safetensors")
    for name, weight in weights.items():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            weight.zero_()
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    return target


@pytest.fixture
def echo_engine(echo, cache):
    return LlamaCppEngine.load(echo, threads=1, knobs=KNOBS, cache=cache)


@pytest.fixture(scope="module")
def chat(folder):
    return ChatFormat.load(folder)


@pytest.fixture(scope="module")
def ask(chat):
    def ask(question, adapter=None, timeout_seconds=120.0, max_new_tokens=24, **params):
        messages = (Message(role="user", content=question),)
        return EngineRequest(
            prompt_ids=tuple(chat.prompt_ids(messages)),
            messages=messages,
            params=SamplingParams(max_new_tokens=max_new_tokens, **params),
            adapter=adapter,
            timeout_seconds=timeout_seconds,
        )

    return ask


@pytest.fixture(scope="module")
def adapters(folder, tmp_path_factory):
    return {
        name: lora(folder, tmp_path_factory.mktemp(name), seed)
        for seed, name in enumerate(("formal", "terse"), start=1)
    }


@pytest.fixture
def engine(folder, cache):
    return LlamaCppEngine.load(folder, threads=1, knobs=KNOBS, cache=cache)


def lora(base, target, seed):
    """A LoRA adapter of every linear layer with large random weights."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        adapted = get_peft_model(
            model,
            LoraConfig(
                r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False,
                task_type="CAUSAL_LM",
            ),
        )  # fmt: skip
        adapted.save_pretrained(target)
    return target


def run(engine, work):
    async def whole():
        try:
            return await work()
        finally:
            await engine.close()

    return asyncio.run(whole())


async def read(engine, request):
    return [piece async for piece in engine.stream(request)]


async def generation(engine, request):
    return (await read(engine, request))[-1]


def test_pieces_are_the_answer(engine, ask):
    *pieces, answer = run(engine, lambda: read(engine, ask(QUESTIONS[0])))
    assert all(isinstance(piece, str) and piece for piece in pieces)
    assert isinstance(answer, Generation)
    assert "".join(pieces) == answer.text != ""
    assert answer.prompt_tokens == len(ask(QUESTIONS[0]).prompt_ids)


def test_the_token_budget_ends_an_answer(engine, ask):
    request = ask(QUESTIONS[0], max_new_tokens=5, min_new_tokens=5)
    answer = run(engine, lambda: generation(engine, request))
    assert (answer.finish_reason, answer.completion_tokens) == ("length", 5)


SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {"better": {"enum": ["1", "2", "tie"]}, "sure": {"type": "boolean"}},
        "required": ["better", "sure"],
        "additionalProperties": False,
    }
)


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_a_json_schema_binds_even_a_model_that_writes_anything(engine, ask, temperature):
    """In a batch with an answer that is bound to nothing, whose words stay its own."""
    bound = ask(
        QUESTIONS[0], json_schema=SCHEMA, temperature=temperature, seed=3, max_new_tokens=60
    )

    async def work():
        return await asyncio.gather(generation(engine, bound), generation(engine, ask("Why?")))

    answer, free = run(engine, work)
    reply = json.loads(answer.text)
    assert reply["better"] in ("1", "2", "tie")
    assert isinstance(reply["sure"], bool)
    assert answer.finish_reason == "stop"
    assert not free.text.lstrip().startswith("{")


@pytest.mark.parametrize("other", [{"repetition_penalty": 1.1}, {"min_new_tokens": 2}])
def test_a_json_schema_with_what_cuts_answers_into_parts_is_refused(engine, ask, other):
    request = ask(QUESTIONS[0], json_schema=SCHEMA, **other)
    with pytest.raises(BadDataError, match="without a repetition penalty"):
        run(engine, lambda: read(engine, request))


def test_many_at_once_write_what_each_writes_alone(engine, ask):
    requests = [ask(question, min_new_tokens=1, max_new_tokens=8) for question in QUESTIONS]

    async def work():
        alone = [await generation(engine, request) for request in requests]
        together = await asyncio.gather(*(generation(engine, request) for request in requests))
        return alone, together

    alone, together = run(engine, work)
    # A batch rounds otherwise than a single answer, and a random model's words are near ties: one
    # answer may take another turn. Answers that were mixed up would differ all.
    assert sum(one == other for one, other in zip(together, alone, strict=True)) >= len(alone) - 1
    assert len({answer.text for answer in alone}) > len(QUESTIONS) // 2


def test_greedy_words_are_those_of_transformers(engine, ask, folder, chat):
    request = ask(QUESTIONS[1], max_new_tokens=16)
    answer = run(engine, lambda: generation(engine, request))
    assert answer.text == greedy(folder, chat, request)


def greedy(folder, chat, request, adapter=None):
    """What transformers writes, without what llama.cpp keeps back: an unfinished character."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if adapter is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter)
    prompt = torch.tensor([request.prompt_ids])
    written = model.generate(
        input_ids=prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=request.params.max_new_tokens,
        do_sample=False,
        eos_token_id=sorted(chat.end_ids),
    )[0, prompt.shape[1] :]
    return chat.tokenizer.decode(written, skip_special_tokens=True)


def test_the_adapter_is_chosen_by_request(folder, cache, adapters, ask, chat):
    engine = LlamaCppEngine.load(folder, adapters=adapters, threads=1, knobs=KNOBS, cache=cache)
    requests = [ask(QUESTIONS[0], adapter=name, max_new_tokens=6) for name in (None, *adapters)]

    async def work():
        return await asyncio.gather(*(generation(engine, request) for request in requests))

    answers = [answer.text for answer in run(engine, work)]
    expected = [
        greedy(folder, chat, request, adapters.get(request.adapter)) for request in requests
    ]
    assert answers == expected
    assert len(set(answers)) == 3


@pytest.mark.parametrize(
    ("family", "sizes", "words"),
    [
        ("smollm2", {"hidden_size": 96}, "is one of them of another base model"),
        pytest.param(
            "phi3",
            {},
            "qkv_proj.*and its base model no such layer",
            marks=[pytest.mark.slow, pytest.mark.nightly],
        ),
    ],
    ids=["wider", "another-family"],
)
def test_an_adapter_of_another_base_is_refused(
    engine, ask, adapters, tmp_path, family, sizes, words
):
    """And the engine answers on, with the adapters that it has. Nightly is the one that stops in
    the converter already."""
    other = lora(families.build(family, tmp_path / "base", **sizes), tmp_path / "adapter", 1)

    async def work():
        await engine.set_adapters({"formal": adapters["formal"]})
        before = await generation(engine, ask(QUESTIONS[0], adapter="formal"))
        with pytest.raises(BadDataError, match=words) as refused:
            await engine.set_adapters({"formal": adapters["formal"], "other": other})
        assert "\n" not in str(refused.value)
        assert await generation(engine, ask(QUESTIONS[0], adapter="formal")) == before

    run(engine, work)


def test_an_unknown_adapter_is_refused(engine, ask):
    with pytest.raises(BadDataError, match=r"no adapter 'rude': the engine has none"):
        run(engine, lambda: read(engine, ask(QUESTIONS[0], adapter="rude")))


def test_new_adapters_come_while_answers_are_written(engine, ask, adapters):
    async def work():
        before = await generation(engine, ask(QUESTIONS[0]))
        running = engine.stream(ask(QUESTIONS[0]))
        first = await anext(running)
        await engine.set_adapters({"formal": adapters["formal"]})
        adapted = await generation(engine, ask(QUESTIONS[0], adapter="formal"))
        rest = [piece async for piece in running]
        await engine.set_adapters({})
        with pytest.raises(BadDataError, match="no adapter 'formal'"):
            await read(engine, ask(QUESTIONS[0], adapter="formal"))
        return before, [first, *rest], adapted

    before, during, adapted = run(engine, work)
    assert during[-1] == before
    assert adapted.text != before.text


def test_closing_a_stream_frees_its_slot(engine, ask):
    long = ask(QUESTIONS[0], max_new_tokens=1500, min_new_tokens=1500)

    async def work():
        for _ in range(2 * KNOBS.parallel):
            stream = engine.stream(long)
            await anext(stream)
            await stream.aclose()
        return await generation(engine, ask(QUESTIONS[1]))

    assert run(engine, work).text


def test_the_deadline_ends_an_answer_with_what_is_written(engine, ask):
    request = ask(QUESTIONS[0], max_new_tokens=1900, min_new_tokens=1900, timeout_seconds=0.3)
    *pieces, answer = run(engine, lambda: read(engine, request))
    assert answer.finish_reason == "length"
    assert answer.text == "".join(pieces)
    assert answer.completion_tokens < 1900


def test_the_deadline_holds_while_waiting_for_a_slot(engine, ask):
    long = ask(QUESTIONS[0], max_new_tokens=1500, min_new_tokens=1500)

    async def work():
        streams = [engine.stream(long) for _ in range(KNOBS.parallel)]
        for stream in streams:
            await anext(stream)
        late = await read(engine, ask(QUESTIONS[1], timeout_seconds=0.1))
        for stream in streams:
            await stream.aclose()
        return late

    prompt_tokens = len(ask(QUESTIONS[1]).prompt_ids)
    assert run(engine, work) == [Generation("", "length", prompt_tokens, 0)]


def test_the_deadline_holds_while_the_prompt_is_read(engine, ask):
    request = ask("word " * 900, max_new_tokens=8, timeout_seconds=0.0)
    assert run(engine, lambda: generation(engine, request)).completion_tokens == 0


def test_a_prompt_that_does_not_fit_is_refused(engine, ask):
    with pytest.raises(BadDataError, match="over the 2048 tokens that the engine takes"):
        run(engine, lambda: read(engine, ask(QUESTIONS[0], max_new_tokens=2040)))


def test_what_just_fits_is_taken(engine, ask):
    size = len(ask(QUESTIONS[0]).prompt_ids)
    request = ask(QUESTIONS[0], max_new_tokens=2048 - size, stop=("e",))
    assert run(engine, lambda: generation(engine, request)).finish_reason == "stop"


def test_nothing_of_a_stop_text_is_shown(engine, ask):
    async def work():
        whole = await generation(engine, ask(QUESTIONS[0], min_new_tokens=24))
        stop = whole.text[6:11]
        return whole, stop, await read(engine, ask(QUESTIONS[0], min_new_tokens=24, stop=(stop,)))

    whole, stop, (*pieces, answer) = run(engine, work)
    assert answer.finish_reason == "stop"
    assert "".join(pieces) == answer.text == whole.text[: whole.text.index(stop)]


def test_a_seed_repeats_a_sampled_answer(engine, ask):
    def sampled(seed):
        return ask(QUESTIONS[0], temperature=1.0, top_p=0.9, seed=seed, min_new_tokens=24)

    async def work():
        # The first answers fill the slots' caches: those compared are computed in the same steps.
        # A prompt that is read at once is rounded otherwise than one whose last word only is read.
        seeds = [1] * KNOBS.parallel + [1, 1, 2]
        return [(await generation(engine, sampled(seed))).text for seed in seeds]

    *_, first, again, other = run(engine, work)
    assert first == again != other


REPEATED = range(300, 340)
"""Tokens of the echoing model, each a word of letters or a part of one."""


async def echoes(engine, tokens, penalty):
    """What the echoing model writes after eight times each of `REPEATED`."""
    params = SamplingParams(
        max_new_tokens=tokens, min_new_tokens=tokens, repetition_penalty=penalty
    )
    requests = [EngineRequest((token,) * 8, (), params) for token in REPEATED]
    answers = await asyncio.gather(*(generation(engine, request) for request in requests))
    return [answer.text for answer in answers]


def test_words_of_the_prompt_are_not_penalised(echo_engine, chat):
    penalised = run(echo_engine, lambda: echoes(echo_engine, 1, penalty=50.0))
    assert penalised == [chat.tokenizer.decode([token]) for token in REPEATED]


def test_own_words_do_not_come_again_under_a_high_penalty(echo_engine, chat):
    async def work():
        plain = await echoes(echo_engine, 3, penalty=1.0)
        return plain, [await echoes(echo_engine, tokens, penalty=50.0) for tokens in (2, 3)]

    plain, penalised = run(echo_engine, work)
    words = [chat.tokenizer.decode([token]) for token in REPEATED]
    assert plain == [word * 3 for word in words]
    for word, two, three in zip(words, *penalised, strict=True):
        assert two.startswith(word)
        assert two != word * 2
        assert three != two + word


def test_a_closed_engine_takes_no_more(engine, ask):
    async def work():
        await engine.close()
        return await read(engine, ask(QUESTIONS[0]))

    with pytest.raises(TryAgainError, match="closed"):
        run(engine, work)


def test_health(engine):
    run(engine, engine.check_health)

    async def closed():
        await engine.check_health()

    with pytest.raises(RuntimeError, match="closed"):
        asyncio.run(closed())
