"""Context: which of the retrieved passages are shown to the model."""

import re
from collections.abc import Callable, Sequence

from twin.domain.answer import Passage
from twin.rag.prompt import format_passage

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


def fit_context(
    passages: Sequence[Passage], budget_tokens: int, count_tokens: Callable[[str], int]
) -> list[Passage]:
    """The passages that fit the budget together, best first, with their ranks as retrieved.

    A passage that does not fit is passed over for a shorter one behind it. Passages are shown
    whole, since an answer cites them; only if not even one fits is the best one cut.

    Args:
        passages: best first.
        budget_tokens: tokens of all passages together, with the titles and headings shown.
        count_tokens: of the language model that will read them.
    """
    kept = []
    left = budget_tokens
    for passage in passages:
        tokens = count_tokens(format_passage(passage))
        if tokens <= left:
            kept.append(passage)
            left -= tokens
    if passages and not kept:
        return _beginning(passages[0], budget_tokens, count_tokens)
    return kept


def _beginning(passage: Passage, budget: int, count_tokens: Callable[[str], int]) -> list[Passage]:
    """The passage with as many words of its text as fit, found by halving, then "…"; or none."""
    words = passage.text.split(" ")
    fits, over = 0, len(words)
    while over - fits > 1:
        middle = (fits + over) // 2
        if count_tokens(format_passage(_cut(passage, words[:middle]))) <= budget:
            fits = middle
        else:
            over = middle
    return [_cut(passage, words[:fits])] if fits else []


def _cut(passage: Passage, words: Sequence[str]) -> Passage:
    """The passage with these of its words, and "…".

    A row of a table or a line of code is shown whole or not at all, and code that is cut ends its
    fence: half of either says something else than the author did.
    """
    text = " ".join(words)
    lines = text.split("\n")
    fence = open_fence(lines)
    if (fence or _is_row(lines[-1])) and not passage.text.startswith("\n", len(text)):
        lines.pop()
        fence = open_fence(lines)
    shown = "\n".join(lines).rstrip()
    mark = f"\n…\n{fence}" if fence else ("\n…" if lines and _is_row(lines[-1]) else " …")
    return passage.model_copy(update={"text": shown + mark})


def open_fence(lines: Sequence[str]) -> str:
    """The fence that is open after these lines; "" if none is."""
    fence = ""
    for line in lines:
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence) and not line.strip().strip(fence[0]):
            fence = ""
    return fence


def _is_row(line: str) -> bool:
    return line.lstrip().startswith("|")
