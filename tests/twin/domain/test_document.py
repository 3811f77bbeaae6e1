"""Identity of documents and revisions."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from twin.domain.chunk import chunk_id
from twin.domain.document import document_id, normalise, revision_of

TEXT = st.text(max_size=200)


@given(TEXT, TEXT)
def test_a_document_id_is_a_stable_uuid5(author: str, url: str) -> None:
    found = document_id(author, url)
    assert found == document_id(author, url)
    assert uuid.UUID(found).version == 5


def test_authors_under_one_url_have_documents_of_their_own() -> None:
    assert document_id("ada", "https://x/") != document_id("bob", "https://x/")


@given(TEXT)
def test_normalising_twice_changes_nothing(content: str) -> None:
    assert normalise(normalise(content)) == normalise(content)


@given(st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20), max_size=8))
def test_line_ends_and_trailing_blanks_make_no_revision(lines: list[str]) -> None:
    unix = "\n".join(lines)
    windows = "\r\n".join(f"{line}  " for line in lines)
    assert revision_of("t", unix) == revision_of("t", windows)


def test_a_changed_word_or_title_makes_a_revision() -> None:
    revisions = {
        revision_of("t", "one word"),
        revision_of("t", "two word"),
        revision_of("u", "one word"),
    }
    assert len(revisions) == 3


@given(st.integers(0, 5), st.integers(0, 5))
def test_chunk_ids_differ_by_ordinal_and_chunker(one: int, other: int) -> None:
    same = chunk_id("d", "r", one, "c1") == chunk_id("d", "r", other, "c1")
    assert same == (one == other)
    assert chunk_id("d", "r", one, "c1") != chunk_id("d", "r", one, "c2")
