"""Tokenizer and decoder from nothing: byte-level pieces, and the architecture of Llama."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from twin.domain.errors import BadDataError
from twin.recipes import OwnBaseSection

END = "<|endoftext|>"
"""Stands before, between and after documents, so that it is learned as what ends a text."""

BYTES = 256

Rows = list[dict[str, list[int]]]


def make_tokenizer(texts: Sequence[str], section: OwnBaseSection) -> Any:
    """A fast tokenizer of transformers, learned from texts; no text is unknown to it.

    Digits stand by themselves and words are cut as GPT-2 does, which llama.cpp knows how to read.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    least = BYTES + 1  # the bytes and the end: no merge
    trainer = trainers.BpeTrainer(
        vocab_size=least if section.tokenizer == "bytes" else section.vocabulary,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        model_max_length=section.max_length,
        clean_up_tokenization_spaces=False,
    )


def make_model(tokenizer: Any, section: OwnBaseSection, seed: int) -> Any:
    """A decoder of Llama's architecture with random weights, in float32.

    Head and embedding are one matrix (arXiv:1608.05859): of a small model they are the most of it.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    end = tokenizer.convert_tokens_to_ids(END)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=section.width,
        intermediate_size=-(-8 * section.width // 3 // 32) * 32,  # SwiGLU's third matrix paid for
        num_hidden_layers=section.layers,
        num_attention_heads=section.heads,
        num_key_value_heads=section.heads,
        max_position_embeddings=section.max_length,
        tie_word_embeddings=True,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=None,  # its row would not be learned, and it is that of the end
    )
    torch.manual_seed(seed)
    return LlamaForCausalLM(config).float()


def rows_of(
    tokenizer: Any, texts: Sequence[str], length: int, *, may_be_short: bool = False
) -> Rows:
    """The texts as one stream, cut into rows of ``length`` tokens that are all learned.

    The last row overlaps the one before, so that nothing of the stream is lost.

    Args:
        tokenizer: of `make_tokenizer`.
        texts: documents.
        length: tokens of a row.
        may_be_short: let texts that are shorter than a row be a row of their own length.

    Raises:
        BadDataError: they are shorter than a row, and may not be.
    """
    end = tokenizer.convert_tokens_to_ids(END)
    encoded = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    stream = [end, *chain.from_iterable([*ids, end] for ids in encoded)]
    if may_be_short:
        length = min(length, len(stream))
    if len(stream) < length:
        raise BadDataError(
            f"texts of {len(stream)} tokens are shorter than one row of {length} "
            "(training.own_base.max_length): give more text, or shorter rows"
        )
    starts = [*range(0, len(stream) - length + 1, length)]
    if starts[-1] + length < len(stream):
        starts.append(len(stream) - length)
    parts = [stream[start : start + length] for start in starts]
    return [{"input_ids": part, "labels": list(part)} for part in parts]
