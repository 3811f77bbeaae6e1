from hypothesis import given
from hypothesis import strategies as st

from tests.twin.stores.chunks import document
from twin.rag.neighbours import join, widened
from twin.stores.index import Hit

CHUNKS = [
    chunk.model_copy(update={"headings": ("One",) if chunk.ordinal < 3 else ("Two",)})
    for chunk in document("d", ["zero", "one", "two", "three", "four", "five"]).chunks
]
BY_ID = {chunk.id: chunk for chunk in CHUNKS}


def get(ids):
    return {id_: BY_ID[id_] for id_ in ids if id_ in BY_ID}


def hits(*places):
    return [Hit(CHUNKS[place], 1 - rank / 10) for rank, place in enumerate(places)]


def test_neighbours_are_joined_in_order():
    [shown] = widened(hits(1), 1, get, within_section=False)
    assert shown.chunk.text == "zero\n\none\n\ntwo"
    assert shown.chunk.id == CHUNKS[1].id
    assert shown.joined == (CHUNKS[0].id, CHUNKS[2].id)


def test_a_section_ends_where_its_headings_do():
    [shown] = widened(hits(4), 1, get, within_section=True)
    assert shown.chunk.text == "three\n\nfour\n\nfive"
    assert shown.chunk.headings == ("Two",)


def test_another_sections_words_come_with_their_heading():
    [shown] = widened(hits(3), 1, get, within_section=False)
    assert shown.chunk.text == "One\n\ntwo\n\nTwo\n\nthree\n\nfour"
    assert shown.chunk.headings == ()


def test_hits_whose_surroundings_touch_are_shown_once():
    shown = widened(hits(0, 5, 2), 1, get, within_section=False)
    texts = "\n".join(one.chunk.text for one in shown)
    assert all(texts.count(chunk.text) == 1 for chunk in CHUNKS)
    assert [one.chunk.id for one in shown] == [CHUNKS[0].id]


def test_one_that_closes_the_gap_between_two_joins_all_three():
    shown = widened(hits(0, 4, 2), 0, get, within_section=False)
    assert len(shown) == 3
    shown = widened(hits(0, 2, 1), 0, get, within_section=False)
    assert [one.chunk.text for one in shown] == ["zero\n\none\n\ntwo"]


def test_hits_of_two_documents_stay_apart():
    [other] = document("e", ["elsewhere"]).chunks
    shown = widened([*hits(0), Hit(other, 0.1)], 1, get, within_section=False)
    assert [one.chunk.text for one in shown] == ["zero\n\none", "elsewhere"]


def test_what_overlaps_is_said_once():
    assert join("one two three four five", "three four five six") == "one two three four five six"
    assert join("all of it is here", "is here") == "all of it is here"
    assert join("pods", "sail") == "pods\n\nsail"


@given(st.text(min_size=30, max_size=60), st.integers(12, 25))
def test_a_text_cut_with_an_overlap_is_whole_again_or_longer(text, overlap):
    middle = len(text) // 2
    joined = join(text[:middle], text[max(0, middle - overlap) :])
    assert joined.startswith(text[:middle])
    assert joined.endswith(text[middle:])
