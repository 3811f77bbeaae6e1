"""Context: which of the retrieved passages are shown to the model."""

from collections.abc import Callable, Sequence

from twin.domain.answer import Passage
from twin.rag.prompt import format_passage


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
    return passage.model_copy(update={"text": " ".join(words).rstrip() + " …"})
