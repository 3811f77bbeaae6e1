"""Figures as chunks of their own: which pictures are described, and where they stand."""
# ruff: noqa: RUF001 - captions of other scripts

import pytest

from tests.twin.features.documents import make
from tests.twin.features.test_chunker import EMBEDDER
from twin.domain.chunk import FIGURE
from twin.features.chunker import Chunker
from twin.recipes import FeaturesSection

PLAIN = Chunker(EMBEDDER, 200)
CHUNKER = Chunker(EMBEDDER, 200, FeaturesSection(figures=True))


def figures(content, chunker=CHUNKER):
    return [each for each in chunker.chunks(make("A Title", content)) if each.kind == FIGURE]


def texts(content):
    return [each.text for each in figures(content)]


PICTURE = "![Boats in the old harbour](a.png)"


@pytest.mark.parametrize(
    "figure",
    [
        PICTURE,
        '![](a.png "Boats in the old harbour")',
        "[![Boats in the old harbour](a.png)](https://x.example)",
        "![Boats in the old harbour][boats]",
        "![Boats in the old harbour](a_(1).png)",
        f"{PICTURE}\nThey wait for the tide.",
        f"{PICTURE}\n\n*They wait for the tide.*",
        f"{PICTURE}\n\n__They wait for the tide.__",
        "![](a.png)\n\nFigure 2: They wait.",
        "![](a.png)\n\n**Fig. 2** They wait.",
        "![](a.png)\n\nAbbildung 2. Sie warten.",
        "![](a.png)\n\nРис. 2. Они ждут.",
        "![](a.png)\n\n图 2 他们在等潮水",
        "![Boats](a.png) ![The old harbour](b.png)",
    ],
)
def test_a_described_picture_is_a_figure_with_its_caption(figure):
    assert texts(f"Before it a text.\n\n{figure}\n\nAfter it a text.") == [figure]


@pytest.mark.parametrize(
    "content",
    [
        "![](a.png)",
        "![Two words](a.png)",
        "![IMG_2034.jpg](a.png)",
        f"Here {PICTURE} is a picture within a sentence.",
        f"{PICTURE} begins a sentence that goes on.",
        f"- {PICTURE}",
        f"```\n{PICTURE}\n```",
        "*Emphasis alone is no figure.*",
        "Figure 2: nothing above it.",
    ],
)
def test_others_are_none(content):
    assert texts(f"A text of its own.\n\n{content}\n\nAnother text.") == []


def test_three_words_describe_a_picture_and_two_do_not():
    assert texts("![one two three](a.png)") and not texts("![one two](a.png)")


def test_text_below_is_a_caption_only_where_it_looks_like_one():
    assert texts(f"{PICTURE}\n\nThe text goes on *here*.") == [PICTURE]
    assert texts(f"{PICTURE}\n\nFigures are rare.") == [PICTURE]
    assert texts(f"{PICTURE}\n\n# Heading\n\n*Emphasised.*") == [PICTURE]


def test_figures_stand_after_the_text_under_their_headings_without_neighbours():
    content = f"# A Title\n\nA text.\n\n## Boats\n\nMore text.\n\n{PICTURE}\n\n## End\n\nThe end."
    plain = PLAIN.chunks(make("A Title", content))
    *own, figure = CHUNKER.chunks(make("A Title", content))
    assert [each.text for each in own] == [each.text for each in plain]
    assert {each.kind for each in own} == {"article"}
    assert figure.headings == ("Boats",) and figure.kind == FIGURE
    assert figure.ordinal == len(own)
    assert figure.token_count == EMBEDDER.count_tokens(figure.embedded_text)
    assert (figure.previous_id, figure.next_id) == (None, None)
    assert figure.section_ids == [figure.id]
    assert own[-1].next_id is None, "no figure is the next passage of the text"
    assert own[0].id != plain[0].id, "an index with figures is another one"


def test_each_of_several_figures_is_alone_and_the_same_one_counts_once():
    other = "![Masts without a sail](b.png)"
    found = figures(f"{PICTURE}\n\nText.\n\n{other}\n\nText again.\n\n{PICTURE}")
    assert [each.text for each in found] == [PICTURE, other]
    assert [(each.previous_id, each.next_id) for each in found] == [(None, None)] * 2


def test_a_document_of_pictures_alone_is_found_by_them():
    [only] = figures(PICTURE)
    assert only.ordinal == 0
    assert PLAIN.chunks(make("A Title", PICTURE)) == []


def test_one_over_the_budget_is_left_to_the_text():
    small = Chunker(EMBEDDER, 64, FeaturesSection(figures=True, chunk_tokens=64))
    long = "![" + "boats and masts " * 40 + "](a.png)"
    assert figures(f"A text.\n\n{long}\n\n{PICTURE}", small)[0].text == PICTURE
    assert len(figures(f"A text.\n\n{long}\n\n{PICTURE}", small)) == 1


def test_thresholds_of_quality_and_personal_data_hold_for_figures_too():
    picture = "![Write to ann@x.example for boats](a.png)"
    [noted] = figures(picture)
    assert noted.personal_data == ("EMAIL_ADDRESS",)
    strict = FeaturesSection(figures=True, quality={"min_words": 50})
    assert figures(picture, Chunker(EMBEDDER, 200, strict)) == []
