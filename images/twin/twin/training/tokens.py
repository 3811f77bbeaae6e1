"""Samples as the tokens that are trained on: the serving prompt, then the answer and its end."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twin.domain.conversation import Turn
from twin.models.formats.chat_format import ChatFormat
from twin.rag.prompt import BUILT_IN, build_messages
from twin.recipes.prompt import PromptSection

IGNORED = -100
"""Label of a token that is read and not learned (PyTorch's convention)."""


class Prompted(Protocol):
    """What instruct samples and preference pairs have in common."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def instruction(self) -> str:
        """What is asked."""

    @property
    def context(self) -> tuple[str, ...]:
        """Passages shown."""

    @property
    def history(self) -> tuple[Turn, ...]:
        """Earlier turns."""


def prompt_tokens(
    chat: ChatFormat, author: str, sample: Prompted, prompt: PromptSection = BUILT_IN
) -> list[int]:
    """The prompt exactly as it is shown when serving."""
    return chat.prompt_ids(
        build_messages(author, sample.instruction, sample.context, sample.history, prompt)
    )


def instruct_rows(
    chat: ChatFormat,
    author: str,
    samples: Sequence[Any],
    max_length: int,
    too_long: Callable[[str, int], None],
    template: PromptSection = BUILT_IN,
) -> list[dict[str, Any]]:
    """Rows with ``input_ids``, ``labels`` (the answer's tokens only) and ``length``.

    A sample longer than ``max_length`` tokens is reported to ``too_long`` and left out: cut off,
    it would teach the model to stop in mid-sentence.
    """
    rows = []
    for sample in samples:
        prompt = prompt_tokens(chat, author, sample, template)
        answer = chat.answer_ids(sample.answer)
        length = len(prompt) + len(answer)
        if length > max_length:
            too_long(sample.id, length)
            continue
        labels = [IGNORED] * len(prompt) + answer
        rows.append({"input_ids": prompt + answer, "labels": labels, "length": length})
    return rows


def preference_rows(
    chat: ChatFormat,
    author: str,
    pairs: Sequence[Any],
    max_length: int,
    too_long: Callable[[str, int], None],
    template: PromptSection = BUILT_IN,
) -> list[dict[str, Any]]:
    """Rows with ``prompt_ids``, ``chosen_ids`` and ``rejected_ids``.

    The rejected text gets no end of turn, whether or not it was cut by a token budget: nothing
    should teach the model that ending is bad.
    """
    rows = []
    for pair in pairs:
        prompt = prompt_tokens(chat, author, pair, template)
        chosen = chat.answer_ids(pair.chosen)
        rejected = chat.unended_answer_ids(pair.rejected)
        length = len(prompt) + max(len(chosen), len(rejected))
        if length > max_length:
            too_long(pair.id, length)
            continue
        rows.append({"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected})
    return rows
