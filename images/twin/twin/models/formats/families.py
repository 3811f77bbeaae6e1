"""What is known of model families by name: the marks that their tokenizers and templates write.

A loaded tokenizer says itself which of its tokens are special (`twin.models.formats.chat_format`).
This is for where none is at hand: text for a remote endpoint, and answers to be judged.
"""

import re

KNOWN_MARKS = re.compile(
    r"<\|[^<>|\s]{1,40}\|>"  # Llama 3, ChatML (Qwen, SmolLM2), Phi
    r"|<\uff5c[^<>\uff5c\s]{1,40}\uff5c>"  # DeepSeek, with fullwidth bars
    r"|<(?:start_of_turn|end_of_turn|start_of_image|end_of_image|image_soft_token)>"  # Gemma
    r"|<(?:bos|eos|pad|unk|mask|unused\d+)>"
    r"|</?s>|<</?SYS>>|\[/?[A-Z_]*(?:INST|TOOLS|TOOL_CALLS|TOOL_RESULTS|SYSTEM_PROMPT)\]"  # Mistral
    r"|</?(?:think|tool_call|tool_response)>",  # Qwen
    re.IGNORECASE,
)
"""Special tokens and marks of turns of all known families, as text."""

TURN_ENDS = frozenset({"<end_of_turn>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>"})
"""Tokens that end a turn, never a document: a model that ends with one is no base model."""


def neutral_for_any_family(text: str) -> str:
    """Text without the marks of any known family, each replaced by a space.

    For engines that take text instead of token ids, where the model behind them is unknown.
    """
    return without(KNOWN_MARKS, text)


def without(marks: re.Pattern[str], text: str) -> str:
    """Text with every match replaced by a space, until none is left."""
    while (cleaned := marks.sub(" ", text)) != text:
        text = cleaned
    return text
