"""Context: which of the retrieved passages are shown to the model."""

from collections.abc import Callable, Sequence

from twin.domain.answer import Passage


def fit_context(
    passages: Sequence[Passage], budget_tokens: int, count_tokens: Callable[[str], int]
) -> list[Passage]:
    """The passages that fit the budget together, best first, with their ranks as retrieved.

    A passage that does not fit is passed over for a shorter one behind it. Passages are shown
    whole, since an answer cites them; only if not even one fits is the best one cut.

    Args:
        passages: best first.
        budget_tokens: tokens of all texts together.
        count_tokens: of the language model that will read them.
    """
    kept = []
    left = budget_tokens
    for passage in passages:
        tokens = count_tokens(passage.text)
        if tokens <= left:
            kept.append(passage)
            left -= tokens
    if passages and not kept:
        text = _beginning(passages[0].text, budget_tokens, count_tokens)
        return [passages[0].model_copy(update={"text": text})] if text else []
    return kept


def _beginning(text: str, budget: int, count_tokens: Callable[[str], int]) -> str:
    """As many words from the beginning as fit, found by halving; then "…"."""
    words = text.split(" ")
    fits, over = 0, len(words)
    while over - fits > 1:
        middle = (fits + over) // 2
        if count_tokens(_cut(words, middle)) <= budget:
            fits = middle
        else:
            over = middle
    return _cut(words, fits) if fits else ""


def _cut(words: list[str], count: int) -> str:
    return " ".join(words[:count]).rstrip() + " …"
