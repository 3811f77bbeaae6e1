"""Sample sets as they are stored: every field comes back, and older files are read too."""

import pyarrow as arrow
import pytest
from pyarrow import parquet

from twin.domain.conversation import Turn
from twin.domain.errors import BadDataError
from twin.domain.sample import InstructSample, Maker, Split
from twin.stores.files import open_files
from twin.stores.sample_sets import SampleSetManifest, SampleSets

HISTORY = (Turn(role="user", content="One?"), Turn(role="assistant", content="Yes."))
SAMPLE = InstructSample(
    id="s",
    split=Split.TRAIN,
    instruction="And two?",
    context=("p1", "p2"),
    answer="No.",
    document_id="d",
    revision="r",
    chunk_id="c1",
    title="T",
    url="u",
    maker=Maker.WRITTEN,
    chunk_ids=("c1", "c2"),
    history=HISTORY,
    kind="follow-up",
    facts=("no",),
)


def manifest(**fields):
    return SampleSetManifest(
        version="v1",
        recipe="ann",
        author_id="ann",
        author_name="Ann",
        index_fingerprint="f",
        recipe_digest="d",
        prompt_version="1",
        documents={"d": Split.TRAIN},
        counts={},
        **fields,
    )


@pytest.fixture
def sets(settings):
    return SampleSets(open_files(settings), "ann")


def test_every_field_comes_back(sets):
    other = SAMPLE.model_copy(update={"id": "s2", "history": (), "facts": (), "chunk_ids": ()})
    sets.publish(manifest(), [SAMPLE, other], "card")
    assert sets.instruct("v1", Split.TRAIN) == [SAMPLE, other]
    assert sets.instruct("v1", Split.TEST) == []


@pytest.mark.parametrize("at_once", [1, 2, 5, 6])
def test_rows_keep_their_order_however_few_are_written_at_once(sets, monkeypatch, at_once):
    monkeypatch.setattr("twin.stores.sample_files.ROWS_AT_ONCE", at_once)
    samples = [
        SAMPLE.model_copy(update={"id": f"s{n}", "split": Split.TEST if n % 3 else Split.TRAIN})
        for n in range(8)
    ]
    rows = [{"reason": "offensive", "id": sample.id} for sample in samples]
    sets.publish(manifest(), iter(samples), "card", rejected=iter(rows))
    for split in (Split.TRAIN, Split.TEST):
        assert sets.instruct("v1", split) == [s for s in samples if s.split is split]
    assert sets.instruct("v1", Split.VALIDATION) == []
    assert sets.rejected("v1") == rows


def test_a_version_that_holds_pairs_of_its_own_is_read(sets, settings):
    """As they were before pairs were written by the model after SFT."""
    sets.publish(manifest(), [SAMPLE], "card")
    files = open_files(settings)
    note = files.read_json("datasets/ann/v1/manifest.json")
    note |= {"rejected_by": "m", "counts": {"instruct": {"train": 1}, "preferences": {"train": 1}}}
    files.write_json("datasets/ann/v1/manifest.json", note)
    files.write_text("datasets/ann/v1/preferences/train.parquet", "of before")
    assert sets.latest().documents == {"d": Split.TRAIN}
    assert sets.instruct("v1", Split.TRAIN) == [SAMPLE]


def test_files_of_before_written_questions_are_read(sets, settings):
    sets.publish(manifest(), [SAMPLE], "card")
    path = (
        open_files(settings).uri("datasets/ann/v1/instruct/train.parquet").removeprefix("file://")
    )
    table = parquet.read_table(path)
    new = ["maker", "chunk_ids", "history", "kind", "facts"]
    parquet.write_table(table.drop_columns(new), path)
    [read] = sets.instruct("v1", Split.TRAIN)
    assert read == SAMPLE.model_copy(
        update={"maker": Maker.PASSAGE, "chunk_ids": (), "history": (), "kind": "", "facts": ()}
    )
    parquet.write_table(arrow.table({"id": ["s"]}), path)
    with pytest.raises(BadDataError, match="damaged"):
        sets.instruct("v1", Split.TRAIN)


def test_a_document_that_left_keeps_its_split_and_a_present_one_counts(sets):
    made = manifest(departed={"gone": Split.TEST, "d": Split.TEST})
    assert made.assigned == {"gone": Split.TEST, "d": Split.TRAIN}
