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


TABLE = (
    "Ports are few.\n\n| Door | Port |\n|---|---|\n| web page | 8080 |\n| the twin | 8000 |\n\n"
    "No more."
)
CODE = "Type this.\n\n```sh\ntwin crawl run\ntwin features build --all\n```\n\nThen wait a while."


def cut(text: str, budget: int) -> str:
    [passage] = passages(1)
    [kept] = fit_context([passage.model_copy(update={"text": text})], budget, words)
    assert kept.text != text
    assert words(format_passage(kept)) <= budget
    return kept.text


@pytest.mark.parametrize("budget", range(6, 24))
def test_a_table_is_cut_between_its_rows(budget):
    shown, mark = cut(TABLE, budget).rsplit("…", 1)
    assert mark == ""
    assert TABLE.startswith(shown.rstrip())
    for line in shown.rstrip().split("\n"):
        assert line in TABLE.split("\n") or not line.startswith("|")


@pytest.mark.parametrize("budget", range(6, 16))
def test_code_is_cut_between_its_lines_and_its_fence_is_closed(budget):
    shown = cut(CODE, budget)
    assert shown.count("```") in {0, 2}
    for line in shown.split("\n"):
        assert line in {*CODE.split("\n"), "…"} or line.endswith(" …")
    before, _, code = shown.partition("```sh\n")
    assert before.startswith("Type")
    if code:
        assert set(code.split("\n")) <= {
            *CODE.split("\n"),
            "…",
            "Then …",
            "Then wait …",
            "Then wait a …",
        }


def test_what_fits_is_shown_with_its_table_and_code_whole():
    for text in (TABLE, CODE):
        [passage] = passages(1)
        passage = passage.model_copy(update={"text": text})
        assert fit_context([passage], words(format_passage(passage)), words) == [passage]
