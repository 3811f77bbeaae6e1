"""Sample sets as they are stored: every field comes back, and older files are read too."""

import pyarrow as arrow
import pytest
from pyarrow import parquet

from twin.domain.conversation import Turn
from twin.domain.errors import BadDataError
from twin.domain.sample import InstructSample, Maker, PreferencePair, Split
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
PAIR = PreferencePair(
    id="p",
    split=Split.TRAIN,
    instruction="And two?",
    chosen="No.",
    rejected="Perhaps.",
    rejected_by="m",
    document_id="d",
    revision="r",
    chunk_id="c1",
    history=HISTORY,
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
        rejected_by="m",
        documents={"d": Split.TRAIN},
        counts={},
        **fields,
    )


@pytest.fixture
def sets(settings):
    return SampleSets(open_files(settings), "ann")


def test_every_field_comes_back(sets):
    other = SAMPLE.model_copy(update={"id": "s2", "history": (), "facts": (), "chunk_ids": ()})
    sets.publish(manifest(), [SAMPLE, other], [PAIR], "card")
    assert sets.instruct("v1", Split.TRAIN) == [SAMPLE, other]
    assert sets.preferences("v1", Split.TRAIN) == [PAIR]
    assert sets.instruct("v1", Split.TEST) == []


def test_files_of_before_written_questions_are_read(sets, settings):
    sets.publish(manifest(), [SAMPLE], [], "card")
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
