"""Fitting passages into a budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.domain.answer import Passage
from twin.rag.context import fit_context
from twin.rag.prompt import format_passage


def words(text: str) -> int:
    return len(text.split())


def passages(*lengths: int) -> list[Passage]:
    """Passages that are shown in so many words: those of the text, and the title's one."""
    return [
        Passage(
            rank=rank,
            score=1 / rank,
            chunk_id=f"c{rank}",
            document_id="d",
            revision="r",
            url="https://example.org/d",
            title="D",
            text=" ".join(f"w{n}" for n in range(length - 1)),
        )
        for rank, length in enumerate(lengths, start=1)
    ]


@pytest.mark.parametrize(
    ("lengths", "budget", "ranks"),
    [
        ((10, 10, 10), 30, [1, 2, 3]),
        ((10, 10, 10), 29, [1, 2]),
        ((10, 25, 10), 20, [1, 3]),
        ((30, 10), 20, [2]),
        ((), 20, []),
        ((10, 10), 0, []),
        ((10, 10), -5, []),
    ],
)
def test_the_best_that_fit_are_kept_whole_and_in_order(lengths, budget, ranks):
    found = passages(*lengths)
    assert fit_context(found, budget, words) == [found[rank - 1] for rank in ranks]


def test_where_not_one_fits_the_best_is_cut_between_words():
    [kept] = fit_context(passages(100, 50), 11, words)
    assert kept.rank == 1
    assert kept.text == "w0 w1 w2 w3 w4 w5 w6 w7 w8 …"


@given(st.lists(st.integers(1, 60), max_size=8), st.integers(-3, 120), st.integers(0, 30))
def test_the_prompt_never_shows_more_than_the_budget(lengths, budget, headings):
    path = tuple(f"h{n}" for n in range(headings))
    found = [item.model_copy(update={"headings": path}) for item in passages(*lengths)]
    kept = fit_context(found, budget, words)
    assert sum(words(format_passage(passage)) for passage in kept) <= max(0, budget)
    assert [passage.rank for passage in kept] == sorted(passage.rank for passage in kept)
