"""A token that no training has touched cannot end an answer."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests import families
from twin.domain.errors import BadDataError
from twin.models.formats import trained_end
from twin.models.formats.chat_format import ChatFormat
from twin.models.formats.trained_end import check_end_is_trained, is_trained


def head(words=200, width=16):
    return torch.randn(words, width, generator=torch.Generator().manual_seed(0))


def test_a_word_of_its_own_is_trained():
    weight = head()
    assert all(is_trained(weight, token) for token in range(200))


@pytest.mark.parametrize(("copies", "trained"), [(4, True), (5, False), (60, False)])
@pytest.mark.parametrize("rows", [7, 1000])
def test_a_word_with_the_vector_of_many_others_is_not(monkeypatch, copies, trained, rows):
    """Wherever the others stand, whatever their lengths, and however many are compared at once."""
    monkeypatch.setattr(trained_end, "ROWS", rows)
    weight = head()
    weight[50 : 50 + copies] = weight[9] * torch.linspace(0.5, 2.0, copies)[:, None]
    assert is_trained(weight, 9) is trained
    assert is_trained(weight, 10)


def test_words_in_the_opposite_direction_are_others():
    weight = head()
    weight[50:80] = -weight[9]
    assert is_trained(weight, 9)


@pytest.mark.parametrize(("length", "trained"), [(0.0, False), (1e-5, False), (0.1, True)])
def test_a_word_without_length_is_not(length, trained):
    weight = head()
    weight[9] *= length
    assert is_trained(weight, 9) is trained


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_type_of_the_weights_does_not_matter(dtype):
    weight = head()
    weight[50:80] = weight[9] + 1e-4
    assert not is_trained(weight.to(dtype), 9)
    assert is_trained(weight.to(dtype), 8)


@pytest.mark.parametrize("family", families.FAMILIES)
def test_a_model_that_never_saw_its_end_is_refused(tmp_path, family):
    """As a pretrained model with the template of its instruction-tuned sister."""
    folder = families.build(family, tmp_path)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    chat = ChatFormat.load(folder)
    check_end_is_trained(model, chat)
    with torch.no_grad():
        weight = model.get_output_embeddings().weight
        weight[300:320] = weight[chat.end_id]
    with pytest.raises(BadDataError, match="never taught") as refused:
        check_end_is_trained(model, chat)
    assert chat.end_of_answer in str(refused.value)
    assert "\n" not in str(refused.value)
