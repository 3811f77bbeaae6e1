"""Models and LoRA adapters that vLLM is to run, and transformers' own answers with them."""

import functools
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
)

from twin.models.formats.chat_format import ChatFormat


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


@functools.cache
def loaded(base: Path, adapter: Path | None) -> Any:
    """The model by transformers and PEFT."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    return PeftModel.from_pretrained(model, adapter).eval() if adapter else model


def written_by_transformers(
    base: Path, chat: ChatFormat, prompt: list[int], adapter: Path | None = None,
    tokens: int = 24, penalty: float = 1.0,
) -> dict[str, Any]:  # fmt: skip
    """A generation, greedily, by transformers and PEFT."""
    rule = RepetitionPenaltyLogitsProcessor(penalty, prompt_ignore_length=len(prompt))
    with torch.inference_mode():
        ids = loaded(base, adapter).generate(
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
