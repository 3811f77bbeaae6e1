"""Training tokens: the serving prompt to the letter, the answer's tokens only, and its end."""

import pytest

from tests import families, tiny_model
from tests.twin import corpora
from twin.datasets.instruct import make_instruct_set
from twin.domain.conversation import Turn
from twin.domain.sample import PreferencePair, Split
from twin.models.formats.chat_format import ChatFormat
from twin.models.language_model import load_language_model
from twin.rag.prompt import build_messages
from twin.recipes import DatasetsSection, TrainingSection
from twin.recipes.prompt import PromptSection
from twin.settings import Settings
from twin.training.engine import load_for_training, sft_trainer
from twin.training.tokens import IGNORED, instruct_rows, preference_rows


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_model.build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def chat(tiny):
    return ChatFormat.load(tiny)


@pytest.fixture(scope="module")
def samples():
    return make_instruct_set(corpora.corpus(), DatasetsSection()).samples


def test_a_row_is_what_serving_shows_then_the_answer_then_the_end(chat, tiny, samples, settings):
    model = load_language_model(tiny, settings)
    rows = instruct_rows(chat, "Ann", samples, 10_000, pytest.fail)
    end = chat.tokenizer.eos_token_id
    assert len(rows) == len(samples)
    assert any(sample.context for sample in samples)
    for row, sample in zip(rows, samples, strict=True):
        served = model.chat.prompt_ids(build_messages("Ann", sample.instruction, sample.context))
        assert row["input_ids"][: len(served)] == served
        assert row["labels"][: len(served)] == [IGNORED] * len(served)
        answer = row["labels"][len(served) :]
        assert answer == row["input_ids"][len(served) :]
        assert answer[-1] == end
        assert chat.tokenizer.decode(answer[:-1]) == sample.answer
        assert row["length"] == len(row["input_ids"])


def test_another_template_is_trained_on_as_it_is_served(chat, samples):
    """Of both kinds of rows, token by token."""
    prompt = PromptSection(template="As {{ author }}. {{ passages }}\nAsked: {{ question }}")
    sample = next(sample for sample in samples if sample.context)
    pair = preference_pair(sample, context=sample.context)
    asked = build_messages("Ann", sample.instruction, sample.context, prompt=prompt)
    served = chat.prompt_ids(asked)
    assert served != chat.prompt_ids(build_messages("Ann", sample.instruction, sample.context))
    [row] = instruct_rows(chat, "Ann", [sample], 10_000, pytest.fail, prompt)
    assert row["input_ids"][: len(served)] == served
    [row] = preference_rows(chat, "Ann", [pair], 10_000, pytest.fail, prompt)
    assert row["prompt_ids"] == served


def test_earlier_turns_are_read_and_not_learned(chat, tiny, samples, settings):
    history = (Turn(role="user", content="Is it so?"), Turn(role="assistant", content="It is."))
    sample = samples[0].model_copy(update={"history": history})
    [row] = instruct_rows(chat, "Ann", [sample], 10_000, pytest.fail)
    messages = build_messages("Ann", sample.instruction, sample.context, history)
    served = chat.prompt_ids(messages)
    assert "It is." in chat.tokenizer.decode(served)
    assert row["input_ids"][: len(served)] == served
    assert row["labels"][: len(served)] == [IGNORED] * len(served)
    assert chat.tokenizer.decode(row["labels"][len(served) : -1]) == sample.answer


def test_a_long_sample_is_reported_and_left_out(chat, samples):
    reported = {}
    rows = instruct_rows(chat, "Ann", samples, 300, reported.__setitem__)
    assert reported
    assert len(rows) + len(reported) == len(samples)
    assert all(row["length"] <= 300 for row in rows)
    assert all(length > 300 for length in reported.values())


def preference_pair(sample, **more):
    return PreferencePair(
        id="p",
        split=Split.TRAIN,
        instruction=sample.instruction,
        chosen=sample.answer,
        rejected="Cut off in the",
        rejected_by="tiny",
        document_id="d",
        revision="r",
        chunk_id="c",
        **more,
    )


def test_a_rejected_text_is_not_taught_to_end(chat, samples):
    pair = preference_pair(samples[0])
    (row,) = preference_rows(chat, "Ann", [pair], 10_000, pytest.fail)
    end = chat.tokenizer.eos_token_id
    assert row["chosen_ids"][-1] == end
    assert end not in row["rejected_ids"]
    assert chat.tokenizer.decode(row["rejected_ids"]) == "Cut off in the"
    assert chat.tokenizer.decode(row["prompt_ids"]).endswith("<start_of_turn>model\n")


@pytest.mark.parametrize("family", ["smollm2", "llama3", "mistral"])
def test_an_end_that_pads_too_is_still_learned(tmp_path, samples, family):
    """SmolLM2 pads with the end of an answer; Llama and Mistral pad with nothing of their own."""
    model, chat = load_for_training(
        families.build(family, tmp_path / "base"), Settings(threads=1), TrainingSection()
    )
    shorter = samples[0].model_copy(update={"answer": "So."})
    rows = instruct_rows(chat, "Ann", [samples[0], shorter], 10_000, pytest.fail)
    knobs = TrainingSection.model_validate({"sft": {"batch_size": 2}})
    trainer = sft_trainer(model, chat, knobs, tmp_path / "trainer", rows, [])
    assert trainer.processing_class.pad_token_id == chat.end_id
    (batch,) = trainer.get_train_dataloader()
    lengths = batch["attention_mask"].sum(1).tolist()
    assert sorted(lengths) == sorted(row["length"] for row in rows)
    for labels, length in zip(batch["labels"].tolist(), lengths, strict=True):
        assert labels[length - 1] == chat.end_id
        assert set(labels[length:]) <= {IGNORED}
