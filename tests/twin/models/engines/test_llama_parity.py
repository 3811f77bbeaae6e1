"""Each family on llama.cpp against transformers: the same words with the same probabilities.

Token ids are compared by `prepare_gguf` itself, which refuses a model whose ids differ.
"""

import pytest

from tests import families
from twin.models.engines.gguf import prepare_gguf
from twin.models.engines.llama_server import LlamaServer, ServerOptions
from twin.models.formats.chat_format import ChatFormat
from twin.models.language_model import Message

KINDS = ("gemma3", "llama3", "qwen3")
"""A family of each kind of tokenizer: SentencePiece, byte-level with a first token, and without."""
QUANTISED = (("llama3", "f16"), ("qwen3", "q8_0"))
TOLERANCE = {"bf16": 0.03, "f16": 0.03, "q8_0": 0.3}
"""Nats a token: weights of 16 bits are computed with in bfloat16, against float32 here."""
ANSWER_TOKENS = 32


def written(server, chat, prompt):
    """Tokens of a greedy answer and llama.cpp's log-probability of each.

    Tokens that are part of a character are left out, since the server lists none for these.
    """
    bytes_only = [i for i in range(len(chat.tokenizer)) if "\ufffd" in chat.tokenizer.decode([i])]
    events = []
    server.complete(
        {
            "prompt": prompt, "n_predict": ANSWER_TOKENS, "samplers": ["top_k"], "top_k": 1,
            "temperature": 0.0, "n_probs": 1,
            "logit_bias": [[token, False] for token in {*bytes_only, *chat.end_ids}],
        },
        lambda event: events.append(event) or False,
    )  # fmt: skip
    content = events[-1]["choices"][0]["logprobs"]["content"]
    return [entry["id"] for entry in content], [entry["logprob"] for entry in content]


def expected(folder, prompt, answer):
    import torch
    from transformers import AutoModelForCausalLM

    # Eager: PyTorch's own attention leaves Gemma 2's soft cap of attention out.
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    with torch.inference_mode():
        logits = model(torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1]
    scores = torch.log_softmax(logits, -1)
    return scores[range(len(answer)), answer].tolist()


@pytest.mark.parametrize(
    ("family", "quantisation"), [*((family, "bf16") for family in KINDS), *QUANTISED]
)
def test_log_probabilities_are_those_of_transformers(
    family_folder, gguf_cache, family, quantisation
):
    compare(family_folder(family), quantisation, gguf_cache)


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("family", sorted(set(families.FAMILIES) - set(KINDS)))
def test_log_probabilities_of_the_other_families(family_folder, gguf_cache, family):
    """Buys: the architectures of the other families; `make test` has each kind of tokenizer."""
    compare(family_folder(family), "bf16", gguf_cache)


def compare(folder, quantisation, cache):
    chat = ChatFormat.load(folder)
    prompt = chat.prompt_ids(
        [Message(role="user", content="What do you think about promotion? " * 4)]
    )
    server = LlamaServer(prepare_gguf(folder, quantisation, cache), ServerOptions(1024, 1024, 1, 1))
    try:
        answer, scores = written(server, chat, prompt)
    finally:
        server.close()
    assert len(answer) == ANSWER_TOKENS
    assert scores == pytest.approx(expected(folder, prompt, answer), abs=TOLERANCE[quantisation])
