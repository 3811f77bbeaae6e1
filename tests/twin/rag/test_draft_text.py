import pytest

from twin.domain.draft import DraftKind
from twin.rag.draft_text import fitting, laid_out, post_characters, whole_sentences

PAIRS = [("One", "First text."), ("Two", "Second text.")]


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("One is done. Two is cut in the mid", "One is done."),
        ("One is done. Two is done.", "One is done. Two is done."),
        ("never ends", "never ends"),
        ("He said “it ends.” And th", "He said “it ends.”"),
        ("一つ目です。二つ目は", "一つ目です。"),
        ("Run it:\n\n```sh\nmake\n```\nand th", "Run it:\n\n```sh\nmake\n```"),
    ],
)
def test_a_text_that_was_cut_ends_with_its_last_whole_sentence(text, whole):
    assert whole_sentences(text) == whole


def test_a_post_has_as_many_whole_sentences_as_fit():
    text = "One is here. Two is here."
    assert fitting(text, len(text)) == text
    assert fitting(text, len(text) - 1) == "One is here."
    assert fitting(text, 12) == "One is here."
    assert fitting(text, 11) == "One is…"
    assert fitting("abcdef", 4) == "abc…"
    assert fitting("a\n\nb", 9) == "a b"


def test_a_number_takes_its_room_from_a_post():
    assert post_characters(1, 5) == 276
    assert post_characters(10, 12) == 274


@pytest.mark.parametrize(
    ("kind", "whole"),
    [
        (DraftKind.POST, "First text.\n\nSecond text."),
        (DraftKind.THREAD, "1/2 First text.\n\n2/2 Second text."),
        (DraftKind.SECTION, "## Pods\n\n### One\n\nFirst text.\n\n### Two\n\nSecond text."),
        (DraftKind.NEWSLETTER, "# Pods\n\n## One\n\nFirst text.\n\n## Two\n\nSecond text."),
    ],
)
def test_sections_are_laid_out_by_the_kind_of_draft(kind, whole):
    text, starts = laid_out(kind, "Pods", PAIRS)
    assert text == whole
    assert [text[start : start + 5] for start in starts] == ["First", "Secon"]
