"""Tiny random models of the families that a twin may be built on, made on the spot.

Each has its family's architecture and configuration keys, a tokenizer of its family's kind trained
on a page of text, its family's special tokens, and the chat template that its makers publish
(`tests/chat_templates/`; each says of which model). SentencePiece families get a `tokenizer.model`
too, since llama.cpp's converter reads that. Under a million parameters, about a second each.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.tiny_model import CORPUS

TEMPLATES = Path(__file__).parent / "chat_templates"
PIECES = 400
"""Pieces learned by a tokenizer, beyond bytes and special tokens."""

SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "initializer_range": 0.1,
    "dtype": "bfloat16",
}

GPT4_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Llama 3 cuts text into words before merging."""


@dataclass(frozen=True)
class Family:
    """What makes a family's tokenizer and model.

    ``special`` and ``marks`` (added, not special) are given in the order of their ids. ``end`` ends
    an answer in the chat template, ``base_eos`` a text; ``eos`` is the instruct tokenizer's own.
    """

    config: str
    sizes: dict[str, Any]
    tokenizer: Callable[["Family"], Any]
    special: tuple[str, ...]
    bos: str | None
    eos: str
    base_eos: str
    end: str
    pad: str | None
    unk: str | None = None
    marks: tuple[str, ...] = ()
    byte_level: bool = True


def build(name: str, folder: Path, *, base: bool = False, **overrides: Any) -> Path:
    """Make a tiny model of a family in ``folder``; returns it. The same call, the same bytes.

    Args:
        name: of `FAMILIES`.
        folder: created; gets weights, configuration, tokenizer and (instruct) chat template.
        base: as a pretrained base model: no template, and a document's end is the only end.
        overrides: values of the model's configuration.
    """
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    family = FAMILIES[name]
    tokenizer = family.tokenizer(family)
    ends = [family.base_eos] if base else [family.eos, family.end, family.base_eos]
    tokenizer.eos_token = family.base_eos if base else family.eos
    if not base:
        tokenizer.chat_template = (TEMPLATES / f"{name}.jinja").read_text("utf-8").rstrip("\n")
    ids = tokenizer.convert_tokens_to_ids
    config = getattr(transformers, family.config)(
        **{**SIZES, **family.sizes, **overrides},
        vocab_size=len(tokenizer),
        bos_token_id=ids(family.bos) if family.bos else None,
        eos_token_id=ids(tokenizer.eos_token),
        pad_token_id=ids(family.pad) if family.pad else None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config).to(torch.bfloat16)
        if config.pad_token_id is not None:  # made as zeros; it may be the end of an answer too
            with torch.no_grad():
                row = model.get_input_embeddings().weight[config.pad_token_id]
                row.normal_(std=config.initializer_range)
    model.generation_config.eos_token_id = [ids(end) for end in dict.fromkeys(ends)]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if not family.byte_level:
        _write_sentencepiece(tokenizer, folder / "tokenizer.model")
    return folder


def _added(family: Family, *, strip_right: bool = False) -> list[Any]:
    from tokenizers import AddedToken

    special = [
        AddedToken(content, special=True, normalized=False, rstrip=strip_right)
        for content in family.special
    ]
    return special + [AddedToken(m, special=False, normalized=False) for m in family.marks]


def _llama_words() -> Any:
    from tokenizers import Regex, pre_tokenizers

    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(GPT4_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _qwen_words() -> Any:
    from transformers import Qwen2Tokenizer

    return Qwen2Tokenizer().backend_tokenizer.pre_tokenizer


def _smollm_words() -> Any:
    from tokenizers import pre_tokenizers

    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )


def _byte_pieces(words: Any) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges of a byte-level BPE tokenizer trained on the corpus."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = words
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=PIECES + len(alphabet), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS.split("\n\n"), trainer)
    return _learned(tokenizer)


def _learned(tokenizer: Any) -> tuple[dict[str, int], list[tuple[str, str]]]:
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


def _llama_tokenizer(family: Family) -> Any:
    from tokenizers import Tokenizer, decoders, models, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary, merges = _byte_pieces(_llama_words())
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=True))
    tokenizer.pre_tokenizer = _llama_words()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens(_added(family))
    bos = tokenizer.token_to_id(family.bos)
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single=f"{family.bos} $A", special_tokens=[(family.bos, bos)]
            ),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=family.bos, eos_token=family.eos
    )


def _qwen_tokenizer(family: Family) -> Any:
    from transformers import Qwen2Tokenizer

    vocabulary, merges = _byte_pieces(_qwen_words())
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=merges)
    tokenizer.add_tokens(_added(family))
    return tokenizer


def _smollm_tokenizer(family: Family) -> Any:
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    learned, merges = _byte_pieces(_smollm_words())
    vocabulary = {piece: index for index, piece in enumerate([*family.special, *learned])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = _smollm_words()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens(_added(family))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=family.bos,
        eos_token=family.eos,
        pad_token=family.pad,
        unk_token=family.unk,
    )


def _sentence_pieces(leading: tuple[str, ...]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """As SentencePiece orders them: leading tokens, the 256 bytes, then what was learned."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=True)
    trainer = trainers.BpeTrainer(vocab_size=PIECES, show_progress=False)
    tokenizer.train_from_iterator(CORPUS.split("\n"), trainer)
    learned, merges = _learned(tokenizer)
    pieces = [*leading, *(f"<0x{byte:02X}>" for byte in range(256)), *learned]
    return {piece: index for index, piece in enumerate(pieces)}, merges


def _gemma_tokenizer(family: Family) -> Any:
    from transformers import GemmaTokenizer

    vocabulary, merges = _sentence_pieces((*family.special, "\n", *family.marks))
    tokenizer = GemmaTokenizer(vocab=vocabulary, merges=merges)
    tokenizer.add_tokens(_added(family))
    return tokenizer


def _mistral_tokenizer(family: Family) -> Any:
    from transformers import LlamaTokenizer

    vocabulary, merges = _sentence_pieces(family.special)
    tokenizer = LlamaTokenizer(vocab=vocabulary, merges=merges, add_bos_token=True)
    tokenizer.add_tokens(_added(family))
    return tokenizer


def _phi_tokenizer(family: Family) -> Any:
    from transformers import LlamaTokenizer

    vocabulary, merges = _sentence_pieces(("<unk>", "<s>", "</s>"))
    tokenizer = LlamaTokenizer(
        vocab=vocabulary, merges=merges, add_bos_token=False, pad_token=family.pad
    )
    tokenizer.add_tokens(_added(family, strip_right=True))
    return tokenizer


def _write_sentencepiece(tokenizer: Any, path: Path) -> None:
    """The same tokenizer as a SentencePiece model: BPE, bytes where a character is unknown."""
    from transformers.utils.sentencepiece_model_pb2_new import ModelProto

    kind = ModelProto.SentencePiece.Type
    added = {token.content: token for token in tokenizer.added_tokens_decoder.values()}
    vocabulary, merges = _learned(tokenizer.backend_tokenizer)
    ranks = {left + right: rank for rank, (left, right) in enumerate(merges)}
    proto = ModelProto()
    for piece, index in sorted(vocabulary.items(), key=lambda item: item[1]):
        entry = proto.pieces.add(piece=piece, score=0.0, type=kind.NORMAL)
        if piece == "<unk>":
            entry.type = kind.UNKNOWN
        elif piece in added:
            entry.type = kind.CONTROL if added[piece].special else kind.USER_DEFINED
        elif piece.startswith("<0x"):
            entry.type = kind.BYTE
        else:
            entry.score = -float(ranks.get(piece, len(merges) + index))
    proto.trainer_spec.model_type = proto.trainer_spec.BPE
    proto.trainer_spec.byte_fallback = True
    proto.trainer_spec.vocab_size = len(proto.pieces)
    for role in ("unk", "bos", "eos", "pad"):
        token = getattr(tokenizer, f"{role}_token")
        setattr(proto.trainer_spec, f"{role}_id", vocabulary.get(token, -1))
        if token is not None:
            setattr(proto.trainer_spec, f"{role}_piece", token)
    proto.normalizer_spec.name = "identity"
    proto.normalizer_spec.add_dummy_prefix = "<bos>" not in vocabulary  # Gemma adds none
    proto.normalizer_spec.remove_extra_whitespaces = False
    proto.normalizer_spec.escape_whitespaces = True
    path.write_bytes(proto.SerializeToString())


_GEMMA_SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>")
_GEMMA: dict[str, Any] = {
    "tokenizer": _gemma_tokenizer,
    "bos": "<bos>",
    "eos": "<eos>",
    "base_eos": "<eos>",
    "end": "<end_of_turn>",
    "pad": "<pad>",
    "unk": "<unk>",
    "marks": ("\n\n", "\n\n\n", "<unused0>", "<h1>"),
    "byte_level": False,
}
_QWEN: dict[str, Any] = {
    "tokenizer": _qwen_tokenizer,
    "special": (
        "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>",
        "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
    ),
    "bos": None,
    "eos": "<|im_end|>",
    "base_eos": "<|endoftext|>",
    "end": "<|im_end|>",
    "pad": "<|endoftext|>",
}  # fmt: skip

FAMILIES: dict[str, Family] = {
    "gemma2": Family(
        config="Gemma2Config",
        sizes={
            "num_hidden_layers": 4,
            "head_dim": 32,
            "query_pre_attn_scalar": 32,
            "sliding_window": 24,
            "final_logit_softcapping": 4.0,
            "attn_logit_softcapping": 2.0,
        },
        special=_GEMMA_SPECIAL,
        **_GEMMA,
    ),
    "gemma3": Family(
        config="Gemma3TextConfig",
        # Five layers with a window and one without, as llama.cpp takes for granted.
        sizes={
            "num_hidden_layers": 6,
            "head_dim": 32,
            "query_pre_attn_scalar": 32,
            "sliding_window": 24,
        },
        special=_GEMMA_SPECIAL,
        **{**_GEMMA, "marks": (*_GEMMA["marks"], "<start_of_image>", "<end_of_image>")},
    ),
    "llama3": Family(
        config="LlamaConfig",
        sizes={"num_hidden_layers": 2, "rope_theta": 500_000.0},
        tokenizer=_llama_tokenizer,
        special=(
            "<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>",
            "<|finetune_right_pad_id|>", "<|start_header_id|>", "<|end_header_id|>",
            "<|eom_id|>", "<|eot_id|>", "<|python_tag|>",
        ),
        bos="<|begin_of_text|>",
        eos="<|eot_id|>",
        base_eos="<|end_of_text|>",
        end="<|eot_id|>",
        pad=None,
    ),
    "qwen2": Family(
        config="Qwen2Config",
        sizes={"num_hidden_layers": 2, "tie_word_embeddings": True},
        marks=("<tool_call>", "</tool_call>"),
        **_QWEN,
    ),
    "qwen3": Family(
        config="Qwen3Config",
        sizes={"num_hidden_layers": 2, "head_dim": 32, "tie_word_embeddings": True},
        marks=(
            "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>",
            "<think>", "</think>",
        ),
        **_QWEN,
    ),
    "mistral": Family(
        config="MistralConfig",
        sizes={"num_hidden_layers": 2, "sliding_window": None},
        tokenizer=_mistral_tokenizer,
        special=(
            "<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]",
            "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]",
        ),
        bos="<s>",
        eos="</s>",
        base_eos="</s>",
        end="</s>",
        pad=None,
        unk="<unk>",
        byte_level=False,
    ),
    "phi3": Family(
        config="Phi3Config",
        sizes={"num_hidden_layers": 2, "num_key_value_heads": 4, "sliding_window": 2047},
        tokenizer=_phi_tokenizer,
        special=(
            "<|endoftext|>", "<|assistant|>", "<|placeholder1|>", "<|system|>", "<|end|>",
            "<|user|>",
        ),
        bos="<s>",
        eos="<|endoftext|>",
        base_eos="<|endoftext|>",
        end="<|end|>",
        pad="<|endoftext|>",
        unk="<unk>",
        byte_level=False,
    ),
    "smollm2": Family(
        config="LlamaConfig",
        sizes={"num_hidden_layers": 2, "tie_word_embeddings": True},
        tokenizer=_smollm_tokenizer,
        special=(
            "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<file_sep>",
            "<jupyter_text>",
        ),
        bos="<|im_start|>",
        eos="<|im_end|>",
        base_eos="<|endoftext|>",
        end="<|im_end|>",
        pad="<|im_end|>",
        unk="<|endoftext|>",
    ),
}  # fmt: skip


if __name__ == "__main__":
    print(build(sys.argv[1], Path(sys.argv[2])))
