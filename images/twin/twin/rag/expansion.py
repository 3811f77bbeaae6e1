"""Query expansion by a language model: other wordings of a question, or a likely answer to it.

HyDE: Gao, Ma, Lin and Callan, "Precise Zero-Shot Dense Retrieval without Relevance Labels", ACL
2023. Whatever the model writes is only searched for; a model that fails or writes nothing leaves
the question as it is.
"""

import re
from collections.abc import Sequence
from typing import Literal, Protocol

import structlog

from twin.models.language_model import Generation, Message, SamplingParams
from twin.rag.prompt import harmless

Expansion = Literal["off", "multi_query", "hyde"]

WORDING_TOKENS = 40
"""Tokens of one wording, at most."""

ANSWER_TOKENS = 96
"""Tokens of a likely answer, at most."""

#: Numbers and bullets that models put before the items of a list.
_BULLET = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)])\s*")

log = structlog.get_logger("twin.rag")


class Writer(Protocol):
    """Whatever writes a short text: a language model, or an engine behind `EngineWriter`."""

    def generate(self, messages: Sequence[Message], params: SamplingParams) -> Generation:
        """Write one text."""


def expand(question: str, kind: Expansion, count: int, model: Writer | None) -> list[str]:
    """Texts to search for beside the question; none without a language model.

    Args:
        question: as asked.
        kind: how; ``off`` gives none.
        count: wordings of ``multi_query``.
        model: None where there is none.
    """
    if kind == "off" or model is None:
        return []
    try:
        written = _written(question, kind, count, model)
    except Exception as error:  # an engine may raise anything, and a search needs no expansion
        log.warning("question not expanded", reason=str(error))
        return []
    if kind == "hyde":
        return [written] if written else []
    lines = (_BULLET.sub("", line).strip() for line in written.splitlines())
    wordings = dict.fromkeys(line for line in lines if line and line != question)
    return list(wordings)[:count]


def _written(question: str, kind: Expansion, count: int, model: Writer) -> str:
    asked = harmless(question)
    if kind == "hyde":
        order = f"Write a short paragraph that answers the question.\n\n{asked}"
        tokens = ANSWER_TOKENS
    else:
        order = f"Write this question in {count} other ways, one a line.\n\n{asked}"
        tokens = WORDING_TOKENS * count
    messages: list[Message] = [{"role": "user", "content": order}]
    return model.generate(messages, SamplingParams(max_new_tokens=tokens)).text.strip()
