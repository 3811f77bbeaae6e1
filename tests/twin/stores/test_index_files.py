"""The index as a file: from either store into either."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.twin.stores.chunks import DIMENSION, SPEC, document, vector
from twin.domain.errors import BadDataError
from twin.stores.embedded_index import EmbeddedIndex
from twin.stores.index import Index
from twin.stores.index_files import export_index, import_index
from twin.stores.qdrant_index import QdrantIndex

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")

PODS = document("pods", ["Every task is a pod of its own.", "A pod ends with an exit code."])
GATE = document("gate", ["The gate compares perplexity with the champion.", "Größe: 二"])
EMPTY = document("empty", [])
HELD = replace(
    document("held", ["Write to ann@example.org."], personal_data=("EMAIL_ADDRESS",)),
    personal_data={"EMAIL_ADDRESS": 1},
)


def make(kind: str, folder: Path) -> Index:
    if kind == "embedded":
        return EmbeddedIndex(folder, "toy")
    from qdrant_client import QdrantClient

    return QdrantIndex(QdrantClient(":memory:"), "toy", "memory")


@pytest.fixture(params=["embedded", "server"])
def source(request, tmp_path) -> Index:
    index = make(request.param, tmp_path / "source")
    with index.write(SPEC, DIMENSION) as writer:
        writer.upsert([PODS, GATE, EMPTY, HELD])
        writer.note_min_score(0.25)
        writer.publish()
    return index


@pytest.fixture(params=["embedded", "server"])
def target(request, tmp_path) -> Index:
    return make(request.param, tmp_path / "target")


@pytest.fixture
def file(source, tmp_path) -> Path:
    path = tmp_path / "index.jsonl"
    export_index(source.read(), path)
    return path


def test_what_was_exported_is_found_again(source, target, file):
    assert import_index(target, file) == source.state()
    assert target.state() == source.state()
    assert target.state().min_score == 0.25
    ours, theirs = target.read(), source.read()
    assert list(ours.chunks()) == list(theirs.chunks())
    text = PODS.chunks[1].text
    hits, wanted = (reader.search(vector(text), text, 3) for reader in (ours, theirs))
    assert [hit.chunk for hit in hits] == [hit.chunk for hit in wanted]
    assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in wanted], rel=1e-3)
    assert ours.search(None, "champion", 1)[0].chunk.text == GATE.chunks[0].text


def test_importing_again_changes_nothing(target, file):
    import_index(target, file)
    name = target.current()
    import_index(target, file)
    assert target.current() == name


def test_what_the_file_does_not_have_is_gone_afterwards(target, file):
    with target.write(SPEC, DIMENSION) as writer:
        writer.upsert([document("newer", ["Written after the backup."])])
        writer.publish()
    import_index(target, file)
    assert set(target.state().documents) == {"pods", "gate", "empty", "held"}


def test_the_same_index_makes_the_same_file(source, file, tmp_path):
    again = tmp_path / "again.jsonl"
    export_index(source.read(), again)
    assert again.read_bytes() == file.read_bytes()


DAMAGE = {
    "cut off": lambda lines: lines[:-2],
    "without an end": lambda lines: lines[:-1],
    "a line twice": lambda lines: [*lines, lines[1]],
    "half a line": lambda lines: [*lines[:2], lines[2][:50], *lines[3:]],
    "a vector too many": lambda lines: [
        line.replace('"vectors": [', '"vectors": ["AAAA", ') for line in lines
    ],
    "another format": lambda lines: [lines[0].replace("llm-twin-index", "other"), *lines[1:]],
    "a version to come": lambda lines: [lines[0].replace('"version":1', '"version":9'), *lines[1:]],
    "empty": lambda lines: [],
}  # fmt: skip


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_file_is_refused_before_anything_is_written(target, file, how):
    damaged = DAMAGE[how](file.read_text().splitlines())
    assert damaged != file.read_text().splitlines()
    file.write_text("\n".join(damaged))
    with pytest.raises(BadDataError, match=r"index\.jsonl, line \d+: "):
        import_index(target, file)
    assert target.state() is None
