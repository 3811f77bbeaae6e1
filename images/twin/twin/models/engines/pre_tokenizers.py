"""Which of llama.cpp's ways to cut text into words a tokenizer uses, read from `tokenizer.json`."""

from collections.abc import Iterator
from typing import Any

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
_DIGIT = r"\p{N}"
_CASELESS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_ENDS = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_EDGE = r"[^\r\n\p{L}\p{N}]?"
_CASED_ENDS = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"

#: The regular expressions by which published tokenizers cut text, one after the other, and what
#: llama.cpp calls them (src/llama-vocab.cpp).
_NAMES = {
    (_GPT2,): "gpt-2",
    (_DIGIT, _GPT2): "smollm",
    (rf"{_CASELESS}|{_EDGE}\p{{L}}+|\p{{N}}{{1,3}}|{_ENDS}",): "llama-bpe",
    (rf"{_CASELESS}|{_EDGE}\p{{L}}+|\p{{N}}|{_ENDS}",): "qwen2",
    (
        rf"{_CASELESS}|{_EDGE}[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    ): "qwen35",
    (rf"{_EDGE}{_UPPER}*{_LOWER}+|{_EDGE}{_UPPER}+{_LOWER}*|\p{{N}}|{_CASED_ENDS}",): "tekken",
    (
        rf"{_EDGE}{_UPPER}*{_LOWER}+{_CASELESS}?|{_EDGE}{_UPPER}+{_LOWER}*{_CASELESS}?"
        rf"|\p{{N}}{{1,3}}|{_CASED_ENDS}",
    ): "gpt-4o",
}


def is_byte_level(tokenizer: dict[str, Any]) -> bool:
    """Whether its pieces are of bytes (as GPT-2's), not of characters (as SentencePiece's)."""
    return any(step["type"] == "ByteLevel" for step in _steps(tokenizer["pre_tokenizer"]))


def byte_level_name(tokenizer: dict[str, Any]) -> str:
    """llama.cpp's name for how a byte-level tokenizer cuts text into words.

    Raises:
        ValueError: it cuts text in a way that none of the known ones does.
    """
    expressions = tuple(_expressions(tokenizer["pre_tokenizer"]))
    try:
        return _NAMES[expressions]
    except KeyError:
        raise ValueError(
            f"its tokenizer cuts text by {' then '.join(expressions) or 'nothing'}, for which no "
            "name of llama.cpp is known"
        ) from None


def prepends_space(tokenizer: dict[str, Any]) -> bool:
    """Whether a text is read as if a space stood before it (as Llama 2's tokenizer does)."""
    steps = [*_steps(tokenizer["normalizer"]), *_steps(tokenizer["pre_tokenizer"])]
    return any(
        step["type"] == "Prepend" or step.get("prepend_scheme") in ("first", "always")
        for step in steps
    )


def strips_space(tokenizer: dict[str, Any]) -> bool:
    """Whether decoding drops a space at the start of a text (as Llama 2's tokenizer does)."""
    return any(
        step["type"] == "Strip" and step["content"] == " " and step["start"] > 0
        for step in _steps(tokenizer["decoder"])
    )


def _steps(step: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """A part of the tokenizer and whatever it is composed of."""
    if step is not None:
        yield step
        for parts in ("normalizers", "pretokenizers", "decoders"):
            for part in step.get(parts, ()):
                yield from _steps(part)


def _expressions(pre_tokenizer: dict[str, Any]) -> Iterator[str]:
    for step in _steps(pre_tokenizer):
        if step["type"] == "Split":
            yield str(step["pattern"].get("Regex"))
        elif step["type"] == "Digits":
            yield _DIGIT if step["individual_digits"] else r"\p{N}+"
        elif step["type"] == "ByteLevel" and step["use_regex"]:
            yield _GPT2
