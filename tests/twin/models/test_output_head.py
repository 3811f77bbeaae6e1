"""Heads with a bias, a scale or a cap, against the full logits of the models that have them."""

import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from tests import families
from twin.domain.errors import BadDataError
from twin.models.output_head import OutputHead
from twin.models.token_log_probabilities import token_log_probabilities

SMALL = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
OTHERS = {
    "cohere": ("CohereConfig", {"logit_scale": 0.25}),
    "granite": ("GraniteConfig", {"logits_scaling": 3.0, "embedding_multiplier": 2.0}),
    "phi": ("PhiConfig", {}),
    "falcon_h1": ("FalconH1Config", {"lm_head_multiplier": 0.5, "mamba_n_heads": 4,
                                     "mamba_d_ssm": 64, "mamba_d_head": 16}),
}  # fmt: skip


def other(name):
    config, own = OTHERS[name]
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(
        getattr(transformers, config)(**SMALL, **own)
    )
    bias = getattr(model.get_output_embeddings(), "bias", None)
    if bias is not None:
        torch.nn.init.normal_(bias)
    return model.float()


def family(name, folder):
    return transformers.AutoModelForCausalLM.from_pretrained(
        families.build(name, folder), dtype=torch.float32
    )


def gradients(model, log_probabilities):
    """Of every weight but the head's, by name."""
    log_probabilities.sum().backward()
    own = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return own


def compare(model, rows=0, whole=False):
    """Values and gradients of the head alone and of the model's own logits, in float32.

    Of embedding and head nothing is trained but ``rows`` parameters of PEFT, or the ``whole``.
    """
    head = model.get_output_embeddings()
    for layer in () if whole else (head, model.get_input_embeddings()):
        for name, parameter in layer.named_parameters():
            if "trainable_tokens" not in name:
                parameter.requires_grad_(False)
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(1, 250, (1, 60), generator=generator)
    ids[0, ::7] = TAUGHT[0]
    targets = ids[0, 1:]
    logits = model(input_ids=ids).logits[0, :-1]
    expected = logits.log_softmax(-1).gather(1, targets[:, None]).squeeze(1)
    expected_gradients = gradients(model, expected)
    hidden = model.base_model(input_ids=ids).last_hidden_state[0, :-1]
    found = token_log_probabilities(hidden, OutputHead.checked(model), targets)
    assert torch.allclose(found, expected, atol=1e-4)
    assert expected_gradients.keys() == (found_gradients := gradients(model, found)).keys()
    assert sum("trainable_tokens" in name for name in expected_gradients) == rows
    for name, gradient in expected_gradients.items():
        assert torch.allclose(found_gradients[name], gradient, rtol=1e-3, atol=1e-4), name
    return head, hidden, targets, expected


@pytest.mark.parametrize("name", families.FAMILIES)
def test_a_familys_scores_and_gradients_are_those_of_its_logits(name, tmp_path):
    """Sequences of 60 tokens, longer than the windows of the tiny Gemmas."""
    compare(family(name, tmp_path))


@pytest.mark.parametrize("name", OTHERS)
def test_scaled_and_biased_heads_are_exact(name):
    model = other(name)
    head, hidden, targets, expected = compare(model)
    plain = token_log_probabilities(hidden, OutputHead(head.weight), targets)
    assert not torch.allclose(plain, expected, atol=0.05), "there is something to be left out"


@pytest.mark.parametrize("name", ["gemma2", "smollm2", "cohere", "phi"])
def test_a_head_that_is_trained_gets_the_gradient_of_its_logits(name, tmp_path):
    """Capped, tied, scaled and biased: full fine-tuning changes all of it."""
    compare(other(name) if name in OTHERS else family(name, tmp_path), whole=True)


TAUGHT = [7, 130]


@pytest.mark.parametrize("name", ["qwen2", "llama3", "gemma2", "cohere"])
def test_single_rows_of_a_head_can_be_trained(name, tmp_path):
    """Tied, apart, capped and scaled: rows of PEFT get the gradient that the logits give them."""
    model = other(name) if name in OTHERS else family(name, tmp_path)
    layers = {"embed_tokens": TAUGHT, "lm_head": TAUGHT}
    lora = {"task_type": "CAUSAL_LM", "r": 2, "target_modules": "all-linear"}
    adapted = get_peft_model(model, LoraConfig(**lora, trainable_token_indices=layers))
    rows = [n for n, p in adapted.named_parameters() if "trainable_tokens" in n and p.requires_grad]
    assert len(rows) == (1 if model.config.tie_word_embeddings else 2)
    compare(model, rows=len(rows))
    with adapted.disable_adapter():
        assert OutputHead.of(model).taught is None


def test_what_a_family_does_to_its_scores(tmp_path):
    known = OutputHead.of(family("gemma2", tmp_path / "gemma2"))
    assert (known.softcap, known.scale, known.bias) == (4.0, 1.0, None)
    assert OutputHead.of(family("gemma3", tmp_path / "gemma3")).softcap is None
    assert OutputHead.of(other("cohere")).scale == 0.25
    assert OutputHead.of(other("granite")).scale == pytest.approx(1 / 3)
    assert OutputHead.of(other("phi")).bias.shape == (300,)


class Doubling(LlamaForCausalLM):
    """A model that does to its scores what no configuration says."""

    def forward(self, *args, **kwargs):
        output = super().forward(*args, **kwargs)
        output.logits = output.logits * 2
        return output


def test_a_model_that_scores_in_an_unknown_way_is_refused():
    torch.manual_seed(0)
    model = Doubling(LlamaConfig(**SMALL))
    with pytest.raises(BadDataError, match="models of type llama score words in a way"):
        OutputHead.checked(model)


def test_scores_that_are_no_numbers_are_refused():
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SMALL))
    with torch.no_grad():
        model.get_output_embeddings().weight[5] = torch.nan
    with pytest.raises(BadDataError, match="in a way that is not known"):
        OutputHead.checked(model)
