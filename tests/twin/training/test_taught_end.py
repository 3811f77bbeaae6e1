"""A base model learns to end its answers with a token that no training had touched."""

import asyncio
import shutil

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from tests import families
from twin.domain.errors import BadDataError
from twin.domain.sample import InstructSample, PreferencePair, Split
from twin.models.adapters import check_can_be_shared, merge_adapter
from twin.models.engines.engine import EngineRequest
from twin.models.engines.llama_cpp import LlamaCppEngine
from twin.models.formats.chat_format import ChatFormat
from twin.models.formats.trained_end import is_trained
from twin.models.language_model import SamplingParams, load_language_model
from twin.rag.prompt import build_messages
from twin.recipes import TrainingSection
from twin.recipes.engines import LlamaCppSection
from twin.training.engine import load_for_training, sft_trainer
from twin.training.preference_trainers import dpo_trainer
from twin.training.tokens import instruct_rows, preference_rows

TEACHING = TrainingSection.model_validate(
    {
        "teach_end": True,
        "sft": {"max_steps": 25, "batch_size": 2, "learning_rate": 0.01},
        "dpo": {"max_steps": 1, "batch_size": 2, "learning_rate": 0.001},
    }
)
ANSWERS = {
    "Why pods?": "A pod states what it needs.",
    "Who owns the index?": "The author does.",
}
GREEDY = SamplingParams(max_new_tokens=40)


def untaught(family, folder):
    """A pretrained model with the template of its instruct sister: its end is one unused word."""
    families.build(family, folder)
    end = ChatFormat.load(folder).end_id
    path = folder / "model.safetensors"
    weights = load_file(path)
    for name, weight in weights.items():
        if name in ("model.embed_tokens.weight", "lm_head.weight"):
            weight[end - 12 : end - 2] = weight[end]
    save_file(weights, path, metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def samples():
    return [
        InstructSample(
            id=str(number), document_id="d", revision="r", chunk_id="c", split=Split.TRAIN,
            instruction=question, answer=answer, title="t", url="file:///t",
        )
        for number, (question, answer) in enumerate(ANSWERS.items())
    ]  # fmt: skip


def asked(question):
    return build_messages("Ann", question, ())


def written_by_llama_cpp(folder, cache):
    chat = ChatFormat.load(folder)
    knobs = LlamaCppSection(quantisation="bf16", parallel=1)
    engine = LlamaCppEngine.load(folder, threads=1, knobs=knobs, cache=cache)

    async def all_of_them():
        answers = []
        for question in ANSWERS:
            request = EngineRequest(tuple(chat.prompt_ids(asked(question))), (), GREEDY)
            answers.append([piece async for piece in engine.stream(request)][-1])
        await engine.close()
        return answers

    return asyncio.run(all_of_them())


@pytest.mark.parametrize(
    "family", ["qwen2", pytest.param("llama3", marks=[pytest.mark.slow, pytest.mark.nightly])]
)
def test_answers_end_by_themselves_on_every_engine(family, samples, settings, tmp_path):
    """Qwen's head is tied to its embedding, Llama's is not: that one is nightly, as both take ten
    seconds."""
    settings = settings.model_copy(update={"threads": 1})
    base = untaught(family, tmp_path / "base")
    with pytest.raises(BadDataError, match=r"training\.teach_end: true"):
        load_for_training(base, settings, TrainingSection())
    model, chat = load_for_training(base, settings, TEACHING)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rows = instruct_rows(chat, "Ann", samples, 2_000, pytest.fail)
    sft = sft_trainer(model, chat, TEACHING, tmp_path / "sft", rows, [])
    sft.train()
    sft.model.save_pretrained(tmp_path / "adapter-sft")

    adapted = PeftModel.from_pretrained(
        load_for_training(base, settings, TEACHING)[0], tmp_path / "adapter-sft", is_trainable=True
    )
    dpo = dpo_trainer(adapted, chat, TEACHING, tmp_path / "dpo", preferred(chat, samples))
    dpo.train()
    first = dpo.state.log_history[0]
    assert abs(first["rewards/margins"]) < 1e-3, "the reference has the taught row too"
    dpo.model.save_pretrained(tmp_path / "adapter", selected_adapters=["default"])
    with pytest.raises(BadDataError, match=r"set serving\.adapters to merged"):
        check_can_be_shared(tmp_path / "adapter")

    merge_adapter(base, tmp_path / "adapter", tmp_path / "twin")
    twin = load_language_model(tmp_path / "twin", settings)
    assert is_trained(twin.model.get_output_embeddings().weight, chat.end_id)
    changed_is_one_row(before, twin.model.state_dict(), chat.end_id)
    answers = [twin.generate(asked(question), GREEDY) for question in ANSWERS]
    assert {answer.finish_reason for answer in answers} == {"stop"}
    assert says_end(twin.model, chat)
    assert not says_end(load_for_training(base, settings, TEACHING)[0], chat)
    assert written_by_llama_cpp(tmp_path / "twin", tmp_path / "gguf") == answers


def says_end(model, chat):
    """Whether the likeliest word after each answer is its end."""
    for question, answer in ANSWERS.items():
        ids = chat.prompt_ids(asked(question)) + chat.answer_ids(answer)[:-1]
        with torch.no_grad():
            if model(torch.tensor([ids])).logits[0, -1].argmax() != chat.end_id:
                return False
    return True


def preferred(chat, samples):
    pairs = [
        PreferencePair(
            **sample.model_dump(include={"id", "document_id", "revision", "chunk_id", "split"}),
            instruction=sample.instruction,
            context=sample.context,
            chosen=sample.answer,
            rejected="As a model, I",
            rejected_by="base",
        )
        for sample in samples
    ]
    return preference_rows(chat, "Ann", pairs, 2_000, pytest.fail)


def changed_is_one_row(before, after, end):
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        rows = (before[name] != after[name]).any(-1).nonzero().flatten().tolist()
        assert rows == [end]


def test_a_known_end_is_not_taught_again(samples, settings, tmp_path, family="qwen2"):
    base = families.build(family, tmp_path / "base")
    model, chat = load_for_training(base, settings, TEACHING)
    rows = instruct_rows(chat, "Ann", samples, 2_000, pytest.fail)
    trainer = sft_trainer(model, chat, TEACHING, tmp_path / "sft", rows, [])
    trainer.model.save_pretrained(tmp_path / "adapter")
    check_can_be_shared(tmp_path / "adapter")
    names = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert all(".lora_" in name for name in names)


def test_the_new_end_begins_as_the_one_that_is_known(samples, settings, tmp_path):
    base = untaught("qwen2", tmp_path / "base")
    model, chat = load_for_training(base, settings, TEACHING)
    rows = instruct_rows(chat, "Ann", samples, 2_000, pytest.fail)
    trainer = sft_trainer(model, chat, TEACHING, tmp_path / "sft", rows, [])
    weight = trainer.model.get_base_model().get_output_embeddings().weight
    known = chat.tokenizer.convert_tokens_to_ids("<|endoftext|>")
    assert torch.equal(weight[chat.end_id], weight[known])


def test_where_no_end_is_known_it_begins_as_it_is(samples, settings, tmp_path):
    base = shutil.copytree(untaught("qwen2", tmp_path / "made"), tmp_path / "base")
    path = base / "model.safetensors"
    weights = load_file(path)
    known = ChatFormat.load(base).tokenizer.convert_tokens_to_ids("<|endoftext|>")
    weights["model.embed_tokens.weight"][known] = 0
    save_file(weights, path, metadata={"format": "pt"})
    model, chat = load_for_training(base, settings, TEACHING)
    rows = instruct_rows(chat, "Ann", samples, 2_000, pytest.fail)
    trainer = sft_trainer(model, chat, TEACHING, tmp_path / "sft", rows, [])
    weight = trainer.model.get_base_model().get_output_embeddings().weight
    assert torch.equal(weight[chat.end_id], weights["model.embed_tokens.weight"][chat.end_id])
