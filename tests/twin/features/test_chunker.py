"""Chunks: none truncated, every word in one, the author's text verbatim."""
# ruff: noqa: RUF001 - letters that look like others are what is tested

import itertools
import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.twin.features.documents import make
from twin.domain.chunk import Chunk
from twin.domain.errors import BadDataError
from twin.features.chunker import Chunker
from twin.features.clean import clean
from twin.models.embedder import load_embedder
from twin.recipes import FeaturesSection
from twin.settings import Settings
from twin.text.personal_data import PersonalDataDetector

EMBEDDER = load_embedder("all-minilm-l6-v2", Settings())
CHUNKER = Chunker(EMBEDDER, 200)


def chunks(content: str, title: str = "A Title", chunker: Chunker = CHUNKER) -> list[Chunk]:
    found = chunker.chunks(make(title, content))
    assert_sound(content, found, chunker)
    return found


def assert_sound(content: str, found: list[Chunk], chunker: Chunker) -> None:
    """What holds for the chunks of any document."""
    text = clean(content)
    assert [chunk.ordinal for chunk in found] == list(range(len(found)))
    for chunk in found:
        assert chunk.token_count == EMBEDDER.count_tokens(chunk.embedded_text) <= chunker.budget
        assert chunk.text in text
        assert re.search(r"[^\W_]", chunk.text)
    for word in set(re.findall(r"[^\W_]+", text)):
        assert any(word in chunk.embedded_text or _cut(word, found) for chunk in found), word


def _cut(word: str, found: list[Chunk]) -> bool:
    """A run of characters over the budget may be cut; its parts are in neighbours."""
    return word in "".join(chunk.text for chunk in found)


PARAGRAPH = "The pod starts, reads the recipe and writes one small result. " * 3


def test_sections_become_chunks_under_their_headings():
    parts = [
        "# A Title",
        PARAGRAPH * 2,
        "## Why pods?",
        PARAGRAPH * 3,
        "## And then?",
        PARAGRAPH * 2,
    ]
    content = "\n\n".join(parts)
    assert [chunk.headings for chunk in chunks(content)] == [(), ("Why pods?",), ("And then?",)]


def test_a_chunk_is_the_authors_text_verbatim():
    content = f"{PARAGRAPH.strip()}\n\n```py\n\tx  =  'it''s'\n```\n\n* it's *all*   [kept](u)\n"
    [chunk] = chunks(content)
    assert chunk.text == content.strip()


def test_the_context_of_a_chunk_is_embedded_with_it():
    first = chunks(f"## Why pods?\n\n{PARAGRAPH}")[0]
    assert first.embedded_text.startswith("A Title > Why pods?\nThe pod starts")


def test_code_and_tables_are_not_cut_while_they_fit():
    code = "```py\n" + "\n".join(f"x{n} = {n}" for n in range(25)) + "\n```"
    table = "| a | b |\n|---|---|\n" + "\n".join(f"| {n} | {n} |" for n in range(15))
    found = chunks("\n\n".join([PARAGRAPH * 2, code, PARAGRAPH * 2, table, PARAGRAPH]))
    for block in (code, table):
        assert sum(block in chunk.text for chunk in found) == 1


def test_a_long_paragraph_is_cut_between_sentences():
    for chunk in chunks(PARAGRAPH * 20):
        assert chunk.text.endswith(".")
        assert chunk.text.startswith("The")


def test_chunks_are_well_filled():
    found = chunks("\n\n".join(PARAGRAPH * (1 + n % 3) for n in range(40)))
    assert sum(chunk.token_count for chunk in found) / len(found) > 120
    assert min(chunk.token_count for chunk in found) > 60


def test_ids_depend_on_document_revision_place_and_chunker():
    document = make("A Title", PARAGRAPH * 20)
    ids = [chunk.id for chunk in CHUNKER.chunks(document)]
    assert ids == [chunk.id for chunk in CHUNKER.chunks(document)]
    changed = CHUNKER.chunks(make("A Title", PARAGRAPH * 21))
    smaller = Chunker(EMBEDDER, 100).chunks(document)
    assert len({*ids, *(c.id for c in changed), *(c.id for c in smaller)}) == (
        len(ids) + len(changed) + len(smaller)
    )


def test_metadata_travels_with_the_chunk():
    document = make("A Title", PARAGRAPH, kind="post", language="en")
    [chunk] = CHUNKER.chunks(document)
    kept = {"revision", "author_id", "url", "kind", "source", "language", "published"}
    assert chunk.model_dump(include=kept) == document.model_dump(include=kept)


@pytest.mark.parametrize(
    "content", ["", "\n\n", "***\n\n---\n", "🙂 🙂\n\n…", "\u200b\u200b", "```\n```"]
)
def test_a_document_without_words_has_no_chunks(content):
    assert chunks(content) == []


@pytest.mark.parametrize(
    "content",
    [
        "# Only a heading",
        "word",
        "```\n" + "call(a, b)\n" * 400 + "```",
        "```\n" + "call(a, b)\n" * 400,
        "שלום עולם. " * 200 + "\n\n" + "مرحبا بالعالم؟ " * 200,
        "这是一个很长的段落，没有空格。" * 200,
        "长" * 5_000,
        "x" * 5_000,
        "- item\n" * 2_000,
        "\n".join(f"{'  ' * (n % 12)}- nested {n}" for n in range(400)),
        "# " + "very long heading " * 200 + "\n\nText under it.",
        "\n\n".join(f"{'#' * (1 + n % 6)} Heading {n}" for n in range(300)),
        "\n\n".join(f"{'#' * (1 + n % 6)} H {n}\n\nshort {n}." for n in range(300)),
        "\\" * 999 + "[" * 999 + "(" * 999 + "a",
        "> " * 500 + "deep",
        "<table>" + "<tr><td>cell</td></tr>" * 500 + "</table>",
        "[ref]: https://example.org/" + "a" * 3_000 + "\n\ntext",
    ],
)
def test_odd_documents_make_sound_chunks(content):
    assert chunks(content)


@pytest.mark.parametrize("title", ["", "title " * 500, "长" * 2_000, "\u200b", "# > * `x`"])
def test_odd_titles_leave_room_for_the_text(title):
    assert PARAGRAPH.strip() in " ".join(chunk.text for chunk in chunks(PARAGRAPH, title))


@pytest.mark.parametrize("budget", [32, 64, 256])
def test_any_budget_is_kept(budget):
    chunker = Chunker(EMBEDDER, budget)
    assert chunks(f"# Head\n\n{PARAGRAPH * 5}\n\n" + "- item\n" * 50, chunker=chunker)


def test_a_budget_over_the_embedders_is_refused():
    with pytest.raises(BadDataError, match=r"chunk_tokens = 300: .* at most 256"):
        Chunker(EMBEDDER, 300)


def test_one_line_of_a_megabyte_takes_seconds():
    started = time.process_time()
    found = CHUNKER.chunks(make("Long", "word and another word, " * 45_000))
    assert time.process_time() - started < 30
    assert all(chunk.token_count <= 200 for chunk in found)
    assert sum(chunk.text.count("another") for chunk in found) == 45_000


BLOCKS = st.sampled_from(
    ["# Head one\n\n", "## Two\n\n", "### Three three\n\n", f"{PARAGRAPH}\n\n", "Short.\n\n",
     f"{PARAGRAPH * 5}\n\n", "- item\n- item\n\n", "- " + "long item " * 90 + "\n\n", "---\n\n",
     "```\ncode()\n```\n\n", "```\n" + "line()\n" * 90 + "```\n\n", "长" * 300 + "\n\n",
     "| a | b |\n|---|---|\n| 1 | 2 |\n\n", "> quote\n\n", "[r]: http://e.org\n\n",
     "y" * 300 + "\n\n"]
)  # fmt: skip


@example("# Head one\n\n---\n\n", 40)
@settings(max_examples=60, deadline=None)
@given(st.lists(BLOCKS, max_size=14).map("".join), st.sampled_from([40, 120, 200]))
def test_no_chunk_is_truncated_and_no_word_is_lost(content, budget):
    found = Chunker(EMBEDDER, budget).chunks(make("A Title", content))
    assert_sound(content, found, Chunker(EMBEDDER, budget))


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=600))
def test_any_text_makes_sound_chunks(content):
    for chunk in CHUNKER.chunks(make("A Title", content)):
        assert chunk.token_count <= 200


def test_neighbours_and_sections_are_known_by_id():
    found = chunks(f"## A\n\n{PARAGRAPH * 14}\n\n## B\n\n{PARAGRAPH * 3}")
    assert len(found) > 3
    ids = [chunk.id for chunk in found]
    assert [chunk.previous_id for chunk in found] == [None, *ids[:-1]]
    assert [chunk.next_id for chunk in found] == [*ids[1:], None]
    for chunk in found:
        same = [other.id for other in found if other.headings == chunk.headings]
        assert chunk.section_ids == same


@settings(max_examples=30, deadline=None)
@given(st.lists(BLOCKS, max_size=10).map("".join), st.sampled_from([120, 200]))
def test_with_overlap_no_chunk_is_truncated_and_no_word_is_lost(content, budget):
    chunker = Chunker(EMBEDDER, budget, FeaturesSection(overlap_tokens=40))
    assert_sound(content, chunker.chunks(make("A Title", content)), chunker)


def test_overlap_repeats_whole_sentences_within_a_section():
    sentences = [f"Sentence number {n} says what it has to say." for n in range(60)]
    content = f"{' '.join(sentences)}\n\n## Next\n\n{PARAGRAPH * 2}"
    chunker = Chunker(EMBEDDER, 200, FeaturesSection(overlap_tokens=40))
    found = chunks(content, chunker=chunker)
    body = [chunk for chunk in found if not chunk.headings]
    for before, after in itertools.pairwise(body):
        shared = [s for s in sentences if s in before.text and s in after.text]
        assert 1 <= len(shared) <= 4  # of ten tokens each
        assert after.text.startswith(shared[0])
    assert not any(s in found[-1].text for s in sentences)


def test_each_kind_has_its_own_budget():
    knobs = FeaturesSection.model_validate({"kinds": {"post": {"chunk_tokens": 64}}})
    chunker = Chunker(EMBEDDER, 200, knobs)
    long = chunker.chunks(make("A Title", PARAGRAPH * 10))
    short = chunker.chunks(make("A Title", PARAGRAPH * 10, kind="post"))
    assert max(chunk.token_count for chunk in short) <= 64
    assert max(chunk.token_count for chunk in long) > 120
    assert chunker.version != CHUNKER.version
    with pytest.raises(BadDataError, match=r"kinds.post.chunk_tokens = 999"):
        Chunker(EMBEDDER, 200, FeaturesSection(kinds={"post": {"chunk_tokens": 999}}))


def test_a_chunk_says_its_own_language():
    german = "Jede Aufgabe läuft in einem eigenen Behälter und schreibt ein kleines Ergebnis. " * 8
    found = chunks(f"## One\n\n{PARAGRAPH * 3}\n\n## Zwei\n\n{german}")
    assert {chunk.headings[0]: chunk.language for chunk in found} == {"One": "en", "Zwei": "de"}
    [given] = CHUNKER.chunks(make("A Title", "Short.", language="pt-BR"))
    assert given.language == "pt"


def test_a_chunk_says_what_personal_data_it_holds():
    content = (
        f"## One\n\n{PARAGRAPH * 3}\n\n## Mail bob@example.org\n\n{PARAGRAPH}"
        "Bob Miller has eve@example.org and ghp_" + "a1B2" * 9 + "."
    )
    document = make("Of people", content)
    chunker = Chunker(EMBEDDER, 200, detector=PersonalDataDetector(("Bob Miller",), "Ann"))
    cut = chunker.cut(document)
    assert [chunk.personal_data for chunk in cut.chunks] == [
        (),
        ("EMAIL_ADDRESS", "EMAIL_ADDRESS", "PERSON", "SECRET_KEY"),
    ]
    assert cut.personal_data == {"EMAIL_ADDRESS": 2, "PERSON": 1, "SECRET_KEY": 1}
    # It is noted beside them: texts and ids are as they were.
    plain = CHUNKER.cut(document)
    assert [(c.id, c.text) for c in plain.chunks] == [(c.id, c.text) for c in cut.chunks]
    assert "PERSON" not in plain.personal_data


def test_a_title_with_an_address_is_shown_with_every_chunk():
    content = f"## One\n\n{PARAGRAPH * 3}\n\n## Two\n\n{PARAGRAPH * 3}"
    cut = CHUNKER.cut(make("Write to ann@example.org", content))
    assert [chunk.personal_data for chunk in cut.chunks] == [("EMAIL_ADDRESS",)] * 2
    assert cut.personal_data == {"EMAIL_ADDRESS": 1}


def test_a_passage_that_nobody_looked_through_says_so():
    [chunk] = CHUNKER.chunks(make("A Title", "Short."))
    assert chunk.personal_data == ()
    old = chunk.model_dump(mode="json", exclude={"personal_data"})
    assert Chunk.model_validate(old).personal_data is None


def test_only_a_recipe_leaves_passages_out_by_quality():
    noise = "\n".join(f"| {n} | ==== | ---- | **** |" for n in range(8))
    content = f"## One\n\n{PARAGRAPH * 3}\n\n## Noise\n\n|a|b|c|d|\n|---|---|---|---|\n{noise}"
    assert len(chunks(content)) == 2
    knobs = FeaturesSection.model_validate({"quality": {"max_symbol_share": 0.5}})
    cut = Chunker(EMBEDDER, 200, knobs).cut(make("A Title", content))
    assert [chunk.headings for chunk in cut.chunks] == [("One",)]
    assert cut.refused[0][1] == "more symbols than quality.max_symbol_share"
    assert [chunk.ordinal for chunk in cut.chunks] == [0]
