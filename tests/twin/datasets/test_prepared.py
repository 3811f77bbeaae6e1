"""What is made of each chunk by itself, and of parts joined."""

from collections import Counter

import pytest

from tests.twin import corpora
from twin.datasets.keyphrases import phrases
from twin.datasets.passages import passage_of
from twin.datasets.prepared import ENDS, ROWS, SHINGLES, Passages, Prepared, prepare
from twin.recipes import DatasetsSection
from twin.text.shingles import number_of, shingle_array
from twin.text.words import words

KNOBS = DatasetsSection()
SHORT = corpora.document("short", 1)[0].model_copy(update={"text": "Too short."})
HEADED = corpora.document("headed", 1)[0].model_copy(
    update={"text": f"A few words.\n\n## Heading\n\n{corpora.passage('x')}\n\n## Last\n\nNo."}
)
CHUNKS = [*corpora.corpus(3), HEADED, SHORT]


def test_each_row_holds_what_is_made_of_its_chunk():
    prepared = prepare(reversed(CHUNKS), KNOBS)
    assert list(prepared.chunks()) == sorted(CHUNKS, key=lambda c: (c.document_id, c.ordinal))
    for place, row in enumerate(prepared.rows):
        found = passage_of(row.chunk, KNOBS)
        runs = prepared.shingles[place]
        if isinstance(found, str):
            assert (row.reason, row.answer, row.phrases) == (found, "", ())
            assert len(runs) == 0
            continue
        assert (row.reason, row.answer) == ("", found.answer)
        assert prepared.passage(place).answer == found.answer
        assert prepared.passage(place).place == place
        assert row.phrases == tuple(phrases(found.answer))
        assert row.words == number_of(" ".join(words(found.answer.lower())))
        assert runs.tolist() == shingle_array(found.answer).tolist()
    assert prepared.rows[-2].answer == corpora.passage("x")


def test_documents_are_counted_in_order():
    skipped = Counter()
    documents = prepare(CHUNKS, KNOBS).documents(skipped)
    assert documents.ids == ["d0", "d1", "d2", "headed", "short"]
    assert documents.of_row.tolist() == [*[0] * 4, *[1] * 4, *[2] * 4, 3, 4]
    assert documents.tokens.tolist() == [240, 240, 240, 60, 60]
    assert documents.usable.tolist() == list(range(13))
    assert skipped == {"shorter than min_answer_words": 1}


def test_parts_in_order_are_the_whole(tmp_path):
    whole = prepare(CHUNKS, KNOBS)
    joined = Prepared(KNOBS)
    for name, chunks in (("a", CHUNKS[:5]), ("b", []), ("c", CHUNKS[5:])):
        (tmp_path / name).mkdir()
        part = Prepared(KNOBS, tmp_path / name)
        for chunk in chunks:
            part.add(chunk)
        part.save()
        part.close()
        joined.extend(tmp_path / name)
    assert joined.rows == whole.rows
    assert [each.tolist() for each in joined.shingles] == [each.tolist() for each in whole.shingles]


def test_files_of_two_parts_are_refused(tmp_path):
    for name, count in (("a", 2), ("b", 3)):
        (tmp_path / name).mkdir()
        part = Prepared(KNOBS, tmp_path / name)
        for chunk in CHUNKS[:count]:
            part.add(chunk)
        part.save()
        part.close()
    for name in (SHINGLES, SHINGLES + ENDS):
        (tmp_path / "b" / name).rename(tmp_path / "a" / name)
    with pytest.raises(ValueError, match="not of the same chunks"):
        Prepared(KNOBS).extend(tmp_path / "a")
    (tmp_path / "a" / ROWS).write_bytes(b"")
    with pytest.raises(ValueError, match="does not hold"):
        Prepared(KNOBS).extend(tmp_path / "a")


def test_a_part_without_a_folder_is_not_saved():
    with pytest.raises(ValueError, match="no folder"):
        Prepared(KNOBS).save()


def test_passages_of_some_rows_are_read_as_they_are_asked_for():
    prepared = prepare(CHUNKS, KNOBS)
    some = Passages(prepared, [1, 4, 9])
    assert len(some) == 3
    assert [each.place for each in some] == [1, 4, 9]
    assert some[1] == prepared.passage(4)
    assert [each.place for each in some[1:]] == [4, 9]
