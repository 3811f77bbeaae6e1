"""Generation, streaming and scoring, against transformers' own results."""

import json
import math
import shutil
from dataclasses import replace

import pytest
import torch

from twin.domain.errors import BadDataError
from twin.models.engines.transformers_model import _chooser, _TextWriter
from twin.models.language_model import SamplingParams, load_language_model

QUESTIONS = ["Why pods?", "What would you do when a candidate is worse than the base?", "Hi"]
GREEDY = SamplingParams(max_new_tokens=12)


def asked(text):
    return [{"role": "user", "content": text}]


@pytest.fixture(scope="module")
def model(tiny, tmp_path_factory):
    from twin.settings import Settings

    loaded = load_language_model(tiny, Settings(home=tmp_path_factory.mktemp("home")), "tiny")
    # Random bf16 weights give near-ties that padding may tip; float32 makes greedy exact.
    loaded.model.float()
    # Larger random weights, or the model repeats the last token for ever.
    with torch.no_grad():
        for parameter in loaded.model.base_model.layers.parameters():
            parameter.mul_(15)
    return loaded


def reference(model, messages, tokens):
    """Text by transformers' own `generate`."""
    inputs = model.tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    output = model.model.generate(
        **inputs, max_new_tokens=tokens, do_sample=False, eos_token_id=sorted(model.chat.end_ids)
    )
    return model.tokenizer.decode(
        output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
    )


def test_greedy_text_is_transformers_own_alone_and_in_a_batch(model):
    expected = [reference(model, asked(question), 12) for question in QUESTIONS]
    alone = [model.generate(asked(question), GREEDY).text for question in QUESTIONS]
    together = [g.text for g in model.generate_batch([asked(q) for q in QUESTIONS], GREEDY)]
    assert alone == expected
    assert together == expected
    assert len(set(expected)) > 1


def test_a_stream_gives_the_same_text_in_pieces(model):
    whole = model.generate(asked(QUESTIONS[0]), GREEDY)
    stream = model.stream(asked(QUESTIONS[0]), GREEDY)
    with pytest.raises(RuntimeError, match="to its end"):
        _ = stream.generation
    pieces = list(stream)
    assert "".join(pieces) == whole.text
    assert len(pieces) > 1
    assert all(pieces)
    assert stream.generation == whole


def test_a_stream_stops_when_asked_to(model):
    seen = []
    stream = model.stream(
        asked("Why?"), SamplingParams(max_new_tokens=500), should_stop=lambda: len(seen) >= 3
    )
    seen.extend(stream)
    assert stream.generation.completion_tokens < 10
    assert stream.generation.text.startswith("".join(seen))


def test_token_counts_and_reasons(model):
    generation = model.generate(asked("Why pods?"), SamplingParams(max_new_tokens=5))
    assert generation.finish_reason == "length"
    assert generation.completion_tokens == 5
    assert generation.prompt_tokens > model.count_tokens("Why pods?")
    assert model.count_tokens("") == 0
    assert model.count_tokens("pods") > 0
    assert model.context_tokens == 2048
    assert model.id == "tiny"


def test_a_json_schema_is_refused_and_not_ignored(model):
    params = SamplingParams(max_new_tokens=5, json_schema='{"type": "boolean"}')
    with pytest.raises(BadDataError, match="cannot write by a JSON schema: take"):
        model.generate(asked("Why pods?"), params)


@pytest.mark.parametrize("mark", ["<eos>", "<end_of_turn>"])
def test_it_stops_at_the_end_of_an_answer(model, mark):
    """Make the end the likeliest word: nothing is written, and the reason is stop."""
    weight = model.model.get_output_embeddings().weight
    end = model.tokenizer.convert_tokens_to_ids(mark)
    before = weight.detach().clone()
    first = model.generate(asked("Why pods?"), SamplingParams(max_new_tokens=1))
    likeliest = model.tokenizer.encode(first.text, add_special_tokens=False)
    assert len(likeliest) == 1
    try:
        with torch.no_grad():
            weight[end] = weight[likeliest[0]] * 1.5
        stopped = model.generate(asked("Why pods?"), GREEDY)
        begun = model.generate(asked("Why pods?"), replace(GREEDY, min_new_tokens=1))
    finally:
        with torch.no_grad():
            weight.copy_(before)
    assert stopped.text == ""
    assert stopped.finish_reason == "stop"
    assert stopped.completion_tokens == 1
    assert begun.text.startswith(first.text), "no turn ends before its first word"


def test_stop_texts_cut_and_are_never_shown(model):
    whole = model.generate(asked(QUESTIONS[1]), GREEDY).text
    assert len(whole) > 6
    stop = whole[4:6]
    params = SamplingParams(max_new_tokens=12, stop=(stop, ""))
    expected = whole[: whole.index(stop)]
    generation = model.generate(asked(QUESTIONS[1]), params)
    assert generation.text == expected
    assert generation.finish_reason == "stop"
    stream = model.stream(asked(QUESTIONS[1]), params)
    assert "".join(stream) == expected


def test_sampling_repeats_with_a_seed_and_varies_without(model):
    def sample(seed):
        params = SamplingParams(max_new_tokens=16, temperature=1.5, top_p=0.95, seed=seed)
        return model.generate(asked("Why?"), params).text

    assert sample(1) == sample(1)
    assert len({sample(seed) for seed in range(4)}) > 1


def test_a_nucleus_is_the_smallest_set_of_words_with_that_probability():
    logits = torch.log(torch.tensor([[0.05, 0.5, 0.15, 0.3]])).repeat(4000, 1)
    history = torch.zeros((4000, 1), dtype=torch.long)

    def shares(top_p):
        params = SamplingParams(max_new_tokens=1, temperature=1.0, top_p=top_p, seed=3)
        chosen = _chooser(params, "cpu")(history, logits)
        return (torch.bincount(chosen, minlength=4) / len(chosen)).tolist()

    assert shares(0.4) == [0, 1, 0, 0]
    assert shares(0.7) == pytest.approx([0, 5 / 8, 0, 3 / 8], abs=0.03)
    assert shares(1.0) == pytest.approx([0.05, 0.5, 0.15, 0.3], abs=0.03)


@pytest.mark.parametrize(
    ("cuts", "left"),
    [
        ({"top_k": 2}, [0, 5 / 8, 0, 3 / 8]),
        ({"top_k": 9}, [0.05, 0.5, 0.15, 0.3]),
        ({"min_p": 0.2}, [0, 10 / 19, 3 / 19, 6 / 19]),
        ({"min_p": 1.0}, [0, 1, 0, 0]),
        ({"top_k": 3, "min_p": 0.4}, [0, 5 / 8, 0, 3 / 8]),
        ({"top_k": 2, "top_p": 0.6}, [0, 1, 0, 0]),
        ({"min_p": 0.2, "top_p": 0.8}, [0, 5 / 8, 0, 3 / 8]),
    ],
)
def test_words_that_are_not_likely_enough_are_not_drawn(cuts, left):
    logits = torch.log(torch.tensor([[0.05, 0.5, 0.15, 0.3]])).repeat(4000, 1)
    history = torch.zeros((4000, 1), dtype=torch.long)
    params = SamplingParams(max_new_tokens=1, temperature=1.0, seed=3, **cuts)
    chosen = _chooser(params, "cpu")(history, logits)
    shares = (torch.bincount(chosen, minlength=4) / len(chosen)).tolist()
    assert shares == pytest.approx(left, abs=0.03)


@pytest.mark.parametrize("temperature", [1e-300, 1e-40, 9e-4])
def test_a_temperature_next_to_nothing_is_greedy(temperature):
    logits = torch.tensor([[1.0, 30.0, 29.999]]).repeat(100, 1)
    history = torch.zeros((100, 1), dtype=torch.long)
    params = SamplingParams(max_new_tokens=1, temperature=temperature, seed=3)
    assert _chooser(params, "cpu")(history, logits).tolist() == [1] * 100


def test_the_likeliest_word_is_in_every_nucleus():
    logits = torch.tensor([[1.0, 30.0, 29.0]]).repeat(100, 1)
    history = torch.zeros((100, 1), dtype=torch.long)
    params = SamplingParams(max_new_tokens=1, temperature=1.0, top_p=1e-300, seed=3)
    assert _chooser(params, "cpu")(history, logits).tolist() == [1] * 100


def test_a_repetition_penalty_forbids_what_was_said(model):
    def tokens(penalty):
        params = SamplingParams(max_new_tokens=40, repetition_penalty=penalty)
        writer = _TextWriter(model.tokenizer, ())
        return [token for _, token in model._decode([[2, 40, 41]], params, [writer])]

    free, penalised = tokens(1.0), tokens(50.0)
    assert len(set(free)) < len(free)
    assert len(set(penalised)) == len(penalised)


@pytest.mark.parametrize("rows", [1, 2])
def test_no_penalty_falls_on_the_prompts_words(model, rows):
    """Else a twin may not quote its passages, nor end its turn: the question ended one before."""

    def first_word(prompt, penalty):
        params = SamplingParams(max_new_tokens=1, repetition_penalty=penalty)
        prompts = [prompt, [2, *range(300, 340)]][:rows]  # the second one pads the first
        writers = [_TextWriter(model.tokenizer, ()) for _ in prompts]
        return next(token for row, token in model._decode(prompts, params, writers) if row == 0)

    prompt = [2, 40, 41]
    while (wished := first_word(prompt, 1.0)) not in prompt:
        prompt.insert(1, wished)
    assert first_word(prompt, 50.0) == wished


def test_the_penalty_falls_on_the_answers_own_words():
    logits = torch.tensor([[4.0, 5.0, 1.0]])
    prompt, answer = torch.tensor([[1, 1]]), torch.tensor([[1, 1, 1]])
    params = SamplingParams(max_new_tokens=2, repetition_penalty=2.0)
    choose = _chooser(params, "cpu", prompt_tokens=2)
    assert choose(prompt, logits).tolist() == [1]
    assert choose(answer, logits).tolist() == [0]


def test_log_likelihood_is_that_of_the_full_logits(model):
    answers = ["Because they end.", "No.", "I move the alias back and read the report. Å 🎉"]
    conversations = [asked(question) for question in QUESTIONS]
    scored = model.answer_log_likelihood(conversations, answers)
    for messages, answer, (total, count) in zip(conversations, answers, scored, strict=True):
        prompt = model.chat.prompt_ids(messages)
        both = [*messages, {"role": "assistant", "content": answer}]
        ids = model.tokenizer.apply_chat_template(both, return_dict=True)["input_ids"]
        assert ids[: len(prompt)] == prompt
        ids = ids[:-1]  # the newline after the end of the turn is the template's, not the model's
        with torch.no_grad():
            logits = model.model(torch.tensor([ids])).logits[0].double()
        steps = torch.log_softmax(logits[len(prompt) - 1 : -1], -1)
        targets = torch.tensor(ids[len(prompt) :])
        assert count == len(targets)
        expected = float(steps.gather(1, targets[:, None]).sum())
        assert math.isclose(total, expected, rel_tol=1e-4)


def test_system_messages_reach_the_model(model):
    system = {"role": "system", "content": "Be brief."}
    one = SamplingParams(max_new_tokens=1)
    with_system = model.generate([system, *asked("Why?")], one)
    assert with_system.prompt_tokens > model.generate(asked("Why?"), one).prompt_tokens


def test_a_folder_without_a_model_is_bad_data(tmp_path, settings):
    with pytest.raises(BadDataError, match="no complete model"):
        load_language_model(tmp_path, settings)


def test_half_a_model_is_bad_data(tiny, tmp_path, settings):
    for path in tiny.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadDataError, match="no complete model"):
        load_language_model(tmp_path, settings)


def test_an_architecture_that_is_not_known_is_bad_data(tiny, tmp_path, settings):
    shutil.copytree(tiny, tmp_path, dirs_exist_ok=True)
    written = json.loads((tmp_path / "config.json").read_text("utf-8"))
    odd = json.dumps(written | {"model_type": "oddnet"})
    (tmp_path / "config.json").write_text(odd, encoding="utf-8")
    with pytest.raises(BadDataError, match="no complete model") as refused:
        load_language_model(tmp_path, settings)
    assert "\n" not in str(refused.value)


def test_the_head_is_never_copied_for_the_rows_of_a_batch(model):
    """With a view that has gaps, PyTorch copies the head's weights once a row."""
    from torch.profiler import ProfilerActivity, profile

    prompts = [asked(question) for question in QUESTIONS]
    with profile(activities=[ProfilerActivity.CPU]) as measured:
        model.generate_batch(prompts, SamplingParams(max_new_tokens=2))
    assert "aten::bmm" not in {event.key for event in measured.key_averages()}


def test_a_prompt_of_several_answers_is_read_once(model):
    """Copies get the text that each gets alone, in their places, and sampled ones differ."""
    read = []

    def listen(_, arguments, keywords):
        read.append(tuple(keywords["input_ids"].shape))

    hook = model.model.register_forward_pre_hook(listen, with_kwargs=True)
    texts = [QUESTIONS[0], QUESTIONS[1], QUESTIONS[0], QUESTIONS[0]]
    try:
        copies = [g.text for g in model.generate_batch([asked(text) for text in texts], GREEDY)]
    finally:
        hook.remove()
    assert [rows for rows, _ in read][:2] == [2, 4]
    alone = {text: model.generate(asked(text), GREEDY).text for text in QUESTIONS}
    assert copies == [alone[text] for text in texts]
    params = replace(GREEDY, temperature=1.5, seed=3)
    sampled = [g.text for g in model.generate_batch([asked("Why pods?")] * 3, params)]
    assert len(set(sampled)) == 3
    assert sampled == [g.text for g in model.generate_batch([asked("Why pods?")] * 3, params)]


BEAMS = SamplingParams(max_new_tokens=10, beams=3)


def searched(model, messages, **options):
    """Text by transformers' own beam search."""
    inputs = model.tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    output = model.model.generate(
        **inputs,
        **{"num_beams": 3, "max_new_tokens": 10, "do_sample": False, "early_stopping": True},
        eos_token_id=sorted(model.chat.end_ids),
        **options,
    )
    return model.tokenizer.decode(
        output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
    )


def test_beam_search_is_transformers_own_alone_in_a_batch_and_in_a_stream(model):
    expected = [searched(model, asked(question)) for question in QUESTIONS]
    together = model.generate_batch([asked(question) for question in QUESTIONS], BEAMS)
    assert [each.text for each in together] == expected
    assert model.generate(asked(QUESTIONS[1]), BEAMS).text == expected[1]
    stream = model.stream(asked(QUESTIONS[1]), BEAMS)
    assert "".join(stream) == expected[1]
    greedy = model.generate_batch([asked(question) for question in QUESTIONS], GREEDY)
    assert expected != [each.text for each in greedy]
    assert {each.finish_reason for each in together} <= {"length", "stop"}


def test_beam_search_finds_what_is_likelier_than_greedy(model):
    """Of the whole answers its own is the likelier one, on questions where they differ."""
    prompt = model.chat.prompt_ids(asked(QUESTIONS[0]))
    params = replace(BEAMS, min_new_tokens=10)
    found = {}
    for name, each in (("beams", params), ("greedy", replace(params, beams=1))):
        texts: list[int] = []
        for _, token in model._decode([prompt], each, [_TextWriter(model.tokenizer, ())]):
            texts.append(token)
        found[name] = model.token_likelihoods([prompt], [texts])[0]
    assert found["beams"][0] > found["greedy"][0]
    assert found["greedy"][1], "greedy writes the likeliest token each time"
    assert not found["beams"][1]


def test_beams_keep_to_penalty_least_length_and_stop_texts(model):
    from transformers import LogitsProcessorList, RepetitionPenaltyLogitsProcessor

    prompt = asked(QUESTIONS[1])
    whole = model.generate(prompt, BEAMS).text
    cut = replace(BEAMS, stop=(whole[5:8],))
    assert model.generate(prompt, cut).text == whole[: whole.find(whole[5:8])]
    width = len(model.chat.prompt_ids(prompt))
    penalty = RepetitionPenaltyLogitsProcessor(1.8, prompt_ignore_length=width)
    expected = searched(model, prompt, logits_processor=LogitsProcessorList([penalty]))
    assert model.generate(prompt, replace(BEAMS, repetition_penalty=1.8)).text == expected
    longest = model.generate(prompt, replace(BEAMS, min_new_tokens=10))
    assert longest.completion_tokens == 10
