"""The contract of the index, held to both stores; and what they share."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.twin.stores.chunks import DIMENSION, SPEC, document, vector
from twin.domain.errors import BadDataError, TryAgainError
from twin.settings import Settings
from twin.stores.embedded.releases import load_shard, read_state
from twin.stores.embedded.writer import EmbeddedWriter
from twin.stores.embedded_index import EmbeddedIndex
from twin.stores.index import (
    FILTER_FIELDS,
    ChunkFilter,
    DocumentState,
    Index,
    IndexState,
    open_index,
)
from twin.stores.index_release import chunk_ids
from twin.stores.index_terms import sparse_passage, sparse_question
from twin.stores.qdrant_index import QdrantIndex

PODS = document(
    "pods", ["Every task is a pod of its own.", "A pod ends with an exit code."], kind="post"
)
GATE = document(
    "gate",
    ["The gate compares perplexity with the champion."],
    source="blog", platform="medium", language="de", personal_data=("EMAIL_ADDRESS", "SECRET_KEY"),
)  # fmt: skip


GONE = "00000000-0000-5000-8000-000000000000"


@pytest.fixture(params=["embedded", "server"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Index]:
    if request.param == "embedded":
        yield EmbeddedIndex(tmp_path / "index" / "toy", "toy")
    else:
        yield request.getfixturevalue("on_server")


@pytest.fixture
def on_server(settings: Settings, index_url: str) -> Iterator[QdrantIndex]:
    """An index on a server, by HTTP; nothing of it is left behind."""
    index = QdrantIndex.at(settings.model_copy(update={"index_url": index_url}), "toy")
    yield index
    for name in index.collections():
        index.client.delete_collection(name)
    index.client.close()


@pytest.fixture
def filled(index: Index) -> Index:
    fill(index, PODS, GATE)
    return index


def fill(index: Index, *documents, spec=SPEC, **options) -> str:
    with index.write(spec, DIMENSION, **options) as writer:
        writer.upsert(documents)
        return writer.publish()


def texts(hits) -> list[str]:
    return [hit.chunk.text for hit in hits]


def test_reading_before_anything_is_published_says_what_to_run(index):
    assert index.state() is None
    with pytest.raises(BadDataError, match="twin features build --recipe toy"):
        index.read()


def test_what_was_published_is_read_back_whole(filled):
    reader = filled.read()
    assert list(reader.chunks()) == [*GATE.chunks, *PODS.chunks]
    assert reader.count() == 3
    assert reader.spec == SPEC
    assert filled.state().documents["pods"] == DocumentState(revision="r1", chunks=2)


def test_what_was_found_out_about_the_whole_goes_with_it(filled):
    assert filled.state().min_score is filled.read().min_score is None
    with filled.write(SPEC, DIMENSION) as writer:
        assert writer.work.get([GATE.chunks[0].id, GONE]) == {GATE.chunks[0].id: GATE.chunks[0]}
        assert writer.work.nearest(vector(GATE.chunks[0].text), 1)[0][0] == GATE.chunks[0].id
        writer.note_min_score(0.25)
        assert writer.state.min_score == 0.25
        writer.publish()
    reader = filled.read()
    assert reader.min_score == reader.state.min_score == filled.state().min_score == 0.25
    assert reader.count() == 3
    with filled.write(SPEC, DIMENSION) as writer:  # a later writer leaves it as it is
        writer.delete(["pods"])
        writer.publish()
    assert filled.state().min_score == 0.25
    filled.forget({"gate"})
    assert filled.state().min_score == 0.25


def test_the_dense_arm_finds_the_nearest_vector(filled):
    hits = filled.read().search(vector(GATE.chunks[0].text), None, 2)
    assert hits[0].chunk == GATE.chunks[0]
    assert hits[0].score == pytest.approx(1, abs=1e-3)
    assert len(hits) == 2


def test_the_sparse_arm_finds_words_by_their_stem(filled):
    hits = filled.read().search(None, "comparing", 5)
    assert texts(hits) == [GATE.chunks[0].text]


def test_fusion_is_reciprocal_rank_with_k_60(filled):
    text = GATE.chunks[0].text
    best = filled.read().search(vector(text), text, 3)[0]
    assert best.chunk.text == text
    # First in both arms; ranks count from 0.
    assert best.score == pytest.approx(2 / 60, rel=1e-3)


def test_both_stores_rank_alike(tmp_path, on_server):
    choose = random.Random(7)
    words = ["pod", "gate", "job", "model", "index", "recipe", "chunk", "trace", "alias", "vector"]
    documents = [
        document(f"d{n}", [" ".join(choose.choices(words, range(1, 11), k=6 + n % 17))])
        for n in range(80)
    ]
    found = []
    for index in (EmbeddedIndex(tmp_path / "toy", "toy"), on_server):
        fill(index, *documents)
        reader = index.read()
        hits = reader.search(vector("x"), "the jobs of a pod and its gate", 10)
        found.append([hit.chunk.id for hit in hits])
    assert len(set(found[0]) & set(found[1])) >= 9  # equal BM25 scores may be ordered differently


@pytest.mark.parametrize("question", ["?!… —", "", "🙂🙂", "the of and"])
def test_a_question_without_terms_leaves_the_dense_arm(filled, question):
    reader = filled.read()
    assert reader.search(None, question, 5) == []
    assert len(reader.search(vector("x"), question, 2)) == 2


def test_numbers_are_words():
    assert len(sparse_question("exit code 75").indices) == 3


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("CO₂ in 10² samples", "CO2 in 102 samples"),
        ("№ 5 at \uff12\uff15 ℃", "No 5 at 25 °C"),
        ("ﾃｽﾄ", "テスト"),
    ],
)
def test_words_are_found_however_their_characters_are_set(written, asked):
    assert set(sparse_question(written).indices) == set(sparse_question(asked).indices)
    [passage] = document("d", [written]).chunks
    assert set(sparse_question(asked).indices) <= set(sparse_passage(passage).indices)


def test_languages_without_spaces_have_words():
    whole = set(sparse_question("日本語のテスト").indices)
    assert len(whole) == 6
    assert set(sparse_question("日本語").indices) < whole
    assert len(sparse_question("שלום עולם").indices) == 2


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (ChunkFilter(equal={"document_id": ["gate"]}), {"gate"}),
        (ChunkFilter(equal={"document_id": ["gate", "pods"]}), {"gate", "pods"}),
        (ChunkFilter(equal={"source": ["blog"]}), {"gate"}),
        (ChunkFilter(equal={"author_id": ["ann"]}), {"gate", "pods"}),
        (ChunkFilter(equal={"author_id": ["bob"]}), set()),
        (ChunkFilter(equal={"platform": ["medium"]}), {"gate"}),
        (ChunkFilter(equal={"kind": ["post"]}), {"pods"}),
        (ChunkFilter(equal={"language": ["de", "fr"]}), {"gate"}),
        (ChunkFilter(equal={"source": ["blog"], "document_id": ["pods"]}), set()),
        (ChunkFilter(published_from=datetime(2024, 5, 1, tzinfo=UTC)), {"gate", "pods"}),
        (ChunkFilter(published_before=datetime(2024, 5, 1, tzinfo=UTC)), set()),
        (ChunkFilter(equal={"personal_data": ["SECRET_KEY"]}), {"gate"}),
        (ChunkFilter(equal={"personal_data": ["PERSON"]}), set()),
        (ChunkFilter(without={"personal_data": ["SECRET_KEY", "PERSON"]}), {"pods"}),
        (ChunkFilter(without={"personal_data": ["PERSON"]}), {"gate", "pods"}),
        (ChunkFilter(equal={"kind": ["post"]}, without={"language": ["de"]}), {"pods"}),
        (ChunkFilter(equal={"source": ["blog"]}, without={"language": ["de"]}), set()),
        (ChunkFilter(), {"gate", "pods"}),
    ],
)
def test_filters_hold_for_every_arm(filled, condition, expected):
    reader = filled.read()
    for text in (None, "pod gate champion code"):
        hits = reader.search(vector("x"), text, 10, condition)
        assert {hit.chunk.document_id for hit in hits} == expected


def test_what_can_be_filtered_by_has_a_payload_index(filled):
    named = {"author_id", "platform", "published", "language", "kind", "document_id"}
    assert named | set(FILTER_FIELDS) <= payload_indexes(filled)


def payload_indexes(index: Index) -> set[str]:
    if isinstance(index, EmbeddedIndex):
        shard = load_shard(index.release(index.current()))
        found = set(shard.info().payload_schema)
        shard.close()
        return found
    return set(index.client.get_collection(index.current()).payload_schema)


def test_an_index_from_before_a_field_was_filtered_by_gets_its_payload_index(filled, monkeypatch):
    """And is filtered right until then."""
    older = tuple(name for name in FILTER_FIELDS if name != "personal_data")
    for store in ("embedded.points", "qdrant_index"):
        monkeypatch.setattr(f"twin.stores.{store}.FILTER_FIELDS", older)
    fill(filled, PODS, GATE, rebuild=True)
    assert "personal_data" not in payload_indexes(filled)
    keys = ChunkFilter(equal={"personal_data": ["SECRET_KEY"]})
    assert len(filled.read().search(vector("x"), None, 9, keys)) == 1
    monkeypatch.undo()
    fill(filled, document("more", ["A release later."]))
    assert set(FILTER_FIELDS) <= payload_indexes(filled)
    assert len(filled.read().search(vector("x"), None, 9, keys)) == 1


def test_a_filter_on_an_unknown_field_is_refused():
    for condition in ("equal", "without"):
        with pytest.raises(BadDataError, match=r"colour.*document_id"):
            ChunkFilter(**{condition: {"colour": ["red"]}})


def test_a_new_revision_replaces_all_chunks_of_the_old(filled):
    reader = filled.read()
    before = reader.fingerprint()
    fill(filled, document("pods", ["Pods, rewritten."], revision="r2"))
    assert [chunk.text for chunk in reader.chunks()] == [GATE.chunks[0].text, "Pods, rewritten."]
    assert reader.search(None, "exit code", 5) == []
    assert reader.fingerprint() != before


def test_a_deleted_document_is_found_no_more(filled):
    with filled.write(SPEC, DIMENSION) as writer:
        writer.delete(["pods", "never heard of"])
        writer.publish()
    reader = filled.read()
    assert {hit.chunk.document_id for hit in reader.search(vector("x"), "pod", 9)} == {"gate"}
    assert set(filled.state().documents) == {"gate"}


def test_a_document_without_words_is_remembered_but_never_found(index):
    fill(index, document("empty", []), GATE)
    assert index.state().documents["empty"] == DocumentState(revision="r1", chunks=0)
    assert len(index.read().search(vector("x"), "gate", 9)) == 1


def test_an_empty_index_finds_nothing(index):
    fill(index)
    reader = index.read()
    assert reader.search(vector("x"), "pod", 5) == []
    assert list(reader.chunks()) == []


def test_the_same_document_twice_counts_once(index):
    fill(index, PODS, document("pods", ["Only this."], revision="r2"))
    assert [chunk.text for chunk in index.read().chunks()] == ["Only this."]


def test_the_fingerprint_depends_on_the_chunks_alone(index, tmp_path):
    fill(index, GATE, document("empty", []))
    fill(index, PODS)
    other = EmbeddedIndex(tmp_path / "other", "other")
    fill(other, PODS, GATE)
    assert index.read().fingerprint() == other.read().fingerprint()


def test_vectors_of_another_dimension_are_refused(index):
    wrong = replace(PODS, vectors=[[1.0, 0.0], [0.0, 1.0]])
    with index.write(SPEC, DIMENSION) as writer, pytest.raises(BadDataError, match="length 8"):
        writer.upsert([wrong])


def test_chunks_of_another_revision_are_refused(index):
    with index.write(SPEC, DIMENSION) as writer, pytest.raises(ValueError, match="chunk ids"):
        writer.upsert([replace(PODS, revision="r9")])


@pytest.mark.parametrize("change", [{"chunker": "markdown-2:100"}, {"embedder": "other@2"}])
def test_another_spec_starts_from_nothing_and_is_published_at_one_moment(filled, change):
    spec = SPEC.model_copy(update=change)
    old = filled.read()
    with filled.write(spec, DIMENSION) as writer:
        assert writer.state.documents == {}
        writer.upsert([document("gate", ["Made anew."], spec=spec)])
        assert filled.state().spec == SPEC
        assert old.count() == 3
        writer.publish()
    assert filled.state().spec == spec
    assert [chunk.text for chunk in filled.read().chunks()] == ["Made anew."]


def test_a_reader_never_follows_to_another_embedder(filled, monkeypatch):
    monkeypatch.setattr("twin.stores.qdrant.reader.FOLLOW_SECONDS", 0)
    reader = filled.read()
    spec = SPEC.model_copy(update={"embedder": "other@2"})
    fill(filled, document("gate", ["Made anew."], spec=spec), spec=spec)
    assert reader.spec == SPEC
    assert reader.search(None, "champion", 1)[0].chunk == GATE.chunks[0]


def test_a_reader_follows_to_another_chunker(filled, monkeypatch):
    monkeypatch.setattr("twin.stores.qdrant.reader.FOLLOW_SECONDS", 0)
    reader = filled.read()
    spec = SPEC.model_copy(update={"chunker": "markdown-2:100"})
    fill(filled, document("gate", ["Made anew."], spec=spec), spec=spec)
    assert texts(reader.search(vector("x"), None, 5)) == ["Made anew."]
    assert reader.spec == spec


OTHER = SPEC.model_copy(update={"embedder": "other@2"})


@pytest.fixture
def migrated(filled: Index, monkeypatch: pytest.MonkeyPatch) -> Index:
    """Made anew with another embedder, and then built once more, as every night."""
    monkeypatch.setattr("twin.stores.qdrant.reader.FOLLOW_SECONDS", 0)
    fill(filled, document("gate", ["Made anew."], spec=OTHER), spec=OTHER)
    fill(filled, document("more", ["A night later."], spec=OTHER), spec=OTHER)
    return filled


def test_a_server_that_starts_again_finds_what_its_embedder_made(migrated):
    assert migrated.read().spec == OTHER
    assert migrated.read("other@2").spec == OTHER
    reader = migrated.read(SPEC.embedder)
    assert reader.spec == SPEC
    assert texts(reader.search(None, "champion", 1)) == [GATE.chunks[0].text]
    assert migrated.read("never heard of").spec == OTHER  # its caller refuses it


def test_only_the_embedder_before_is_kept(migrated):
    third = SPEC.model_copy(update={"embedder": "third@3"})
    for _ in range(2):
        fill(migrated, document("gate", ["Of a third."], spec=third), spec=third, rebuild=True)
    assert migrated.read(OTHER.embedder).spec == OTHER
    assert migrated.read(SPEC.embedder).spec == third
    fill(migrated, PODS)
    assert migrated.read().spec == SPEC
    assert migrated.read("third@3").spec == third


def test_the_way_back_to_the_embedder_before_does_again_only_what_changed(migrated):
    with migrated.write(SPEC, DIMENSION) as writer:
        assert set(writer.state.documents) == {"pods", "gate"}


@pytest.mark.parametrize("how", ["forget", "purge"])
def test_what_is_gone_leaves_servers_that_search_the_embedder_before(migrated, how):
    running = migrated.read(SPEC.embedder)
    assert running.count() == 3
    for gone, left in (({"pods"}, {"gate"}), ({"gate"}, set())):
        getattr(migrated, how)(gone)
        for reader in (running, migrated.read(SPEC.embedder)):
            assert {hit.chunk.document_id for hit in reader.search(vector("x"), "pod", 9)} == left
    assert migrated.state().spec == OTHER


def test_a_closed_reader_takes_nothing_from_the_index_and_from_other_readers(filled):
    other = filled.read()
    filled.read().close()
    assert other.count() == 3
    assert filled.state().chunks == 3
    assert filled.kept() == {}


def test_a_rebuild_forgets_what_was_there(filled):
    fill(filled, GATE, rebuild=True)
    assert set(filled.state().documents) == {"gate"}
    assert {chunk.document_id for chunk in filled.read().chunks()} == {"gate"}


def test_many_publications_keep_two_releases(filled):
    for number in range(4):
        fill(filled, document("gate", ["Again."], revision=f"r{number}"), rebuild=True)
    kept = filled.releases() if isinstance(filled, EmbeddedIndex) else filled.collections()
    assert len(kept) == 2


def test_open_index_chooses_by_the_settings(settings, root):
    from twin.recipes import load_recipe

    recipe = load_recipe("handbook", root / "include" / "recipes")
    embedded = open_index(settings, recipe)
    assert isinstance(embedded, EmbeddedIndex)
    assert embedded.folder == settings.index_root / "handbook"
    server = open_index(settings.model_copy(update={"index_url": "http://127.0.0.1:1"}), recipe)
    assert isinstance(server, QdrantIndex)


def fingerprint_of(**documents: tuple[str, int]) -> str:
    states = {
        name: DocumentState(revision=revision, chunks=chunks)
        for name, (revision, chunks) in documents.items()
    }
    return IndexState(spec=SPEC, documents=states).fingerprint


def test_fingerprints_differ_where_chunk_ids_would():
    base = fingerprint_of(a=("r1", 2), b=("r1", 1))
    assert base == fingerprint_of(b=("r1", 1), a=("r1", 2))
    assert base == fingerprint_of(a=("r1", 2), b=("r1", 1), empty=("r1", 0))
    others: list[Callable[[], str]] = [
        lambda: fingerprint_of(a=("r2", 2), b=("r1", 1)),
        lambda: fingerprint_of(a=("r1", 1), b=("r1", 1)),
        lambda: fingerprint_of(a=("r1", 2)),
    ]
    assert all(other() != base for other in others)


def test_documents_are_read_back_whole_with_their_vectors(filled):
    empty = document("empty", [])
    fill(filled, empty)
    found = list(filled.read().documents())
    assert [item.id for item in found] == ["empty", "gate", "pods"]
    for item, put in zip(found, (empty, GATE, PODS), strict=True):
        assert (item.revision, item.chunks) == (put.revision, put.chunks)
        for vector_, put_vector in zip(item.vectors, put.vectors, strict=True):
            assert vector_ == pytest.approx(put_vector, abs=1e-6)


def test_vectors_are_got_by_id_and_unknown_ones_left_out(filled):
    reader = filled.read()
    ids = [chunk.id for chunk in (*PODS.chunks, *GATE.chunks)]
    found = reader.vectors([*ids, "00000000-0000-0000-0000-000000000000"])
    assert set(found) == set(ids)
    for id_, put in zip(ids, (*PODS.vectors, *GATE.vectors), strict=True):
        assert found[id_] == pytest.approx(put, abs=1e-6)
    assert reader.vectors([]) == {}


def test_a_document_that_is_being_replaced_is_not_read_half(on_server):
    index = on_server
    fill(index, PODS, GATE)
    reader = index.read()
    with index.write(SPEC, DIMENSION) as writer:
        writer._record({"pods": DocumentState(revision="", chunks=0)})
        with pytest.raises(TryAgainError, match="document pods is being replaced"):
            list(reader.documents())


def everywhere(index: Index) -> set[str]:
    """Documents in any release or collection that is kept, searched or not."""
    if isinstance(index, EmbeddedIndex):
        states = [read_state(index.release(name)).index for name in index.releases()]
    else:
        states = [index.state_of(name) for name in index.collections()]
    return {id_ for state in states for id_ in state.documents}


def test_forgotten_documents_leave_every_release(filled):
    fill(filled, document("more", ["A release later."]))
    other_spec = SPEC.model_copy(update={"chunker": "other"})
    fill(filled, document("pods", ["Of another chunker."], spec=other_spec), spec=other_spec)
    assert everywhere(filled) == {"pods", "gate", "more"}
    assert filled.forget({"pods", "nobody"}) == 1
    assert "pods" not in everywhere(filled)
    reader = filled.read()
    assert [chunk for chunk in reader.chunks() if chunk.document_id == "pods"] == []
    assert filled.forget({"pods"}) == 0


def test_the_recipes_of_a_store(index: Index, filled: Index) -> None:
    assert filled.recipes() == ["toy"]
    if isinstance(index, QdrantIndex):
        other: Index = QdrantIndex(index.client, "toy-2", "memory")
    else:
        other = EmbeddedIndex(index.folder.parent / "toy-2", "toy-2")
    assert other.recipes() == ["toy"]
    fill(other, PODS)
    assert other.recipes() == filled.recipes() == ["toy", "toy-2"]


def test_forgetting_leaves_the_others_whole(filled):
    before = {item.id: item for item in filled.read().documents()}
    assert filled.forget({"pods"}) == 2
    after = {item.id: item for item in filled.read().documents()}
    assert after == {"gate": before["gate"]}
    assert texts(filled.read().search(None, "compares", 5)) == [GATE.chunks[0].text]
    assert filled.read().search(None, "pod exit", 5) == []


def test_forgetting_what_no_index_holds_does_nothing(index, filled):
    release = filled.state()
    assert filled.forget({"nobody"}) == 0
    assert filled.state() == release


def test_nothing_of_a_forgotten_text_stays_on_disk(tmp_path):
    index = EmbeddedIndex(tmp_path / "toy", "toy")
    fill(index, document("secret", ["The password was marlinspike."]), GATE)
    with index.write(SPEC, DIMENSION) as writer:  # killed after a checkpoint
        writer.upsert([document("more", ["More."])])
        writer.checkpoint()
    assert b"marlinspike" in held_on_disk(tmp_path)
    assert index.forget({"secret"}) == 1
    assert b"marlinspike" not in held_on_disk(tmp_path)
    assert b"perplexity" in held_on_disk(tmp_path)


def held_on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_what_a_killed_writer_was_at_is_forgotten_too(tmp_path):
    index = EmbeddedIndex(tmp_path / "toy", "toy")
    fill(index, GATE)
    writer = EmbeddedWriter(index, SPEC, DIMENSION, rebuild=False)  # never closed, as if killed
    writer.upsert([document("secret", ["The password was marlinspike."])])
    writer._open.flush()
    assert b"marlinspike" in held_on_disk(tmp_path)
    assert index.forget({"secret"}) == 0  # of no release
    assert b"marlinspike" not in held_on_disk(tmp_path)
    assert index.read().count() == 1


@pytest.mark.parametrize("spec", [SPEC, OTHER], ids=["former", "embedder before"])
def test_a_damaged_release_that_is_kept_beside_does_not_stop_forgetting(tmp_path, spec):
    index = EmbeddedIndex(tmp_path / "toy", "toy")
    former = fill(index, document("secret", ["The password was marlinspike."]), GATE)
    fill(index, document("gate", ["Made anew."], spec=spec), spec=spec, rebuild=True)
    (index.release(former) / "state.json").write_text("{")
    assert b"marlinspike" in held_on_disk(tmp_path)
    index.forget({"secret"})
    assert b"marlinspike" not in held_on_disk(tmp_path)
    assert set(index.state().documents) == {"gate"}
    assert index.state().spec == spec


def test_a_release_that_lost_chunks_is_not_published(filled, monkeypatch):
    kinds = {"EmbeddedIndex": "embedded.writer", "QdrantIndex": "qdrant.writer"}
    before = filled.state()
    other = SPEC.model_copy(update={"chunker": "other"})
    with filled.write(other, DIMENSION) as writer:
        writer.upsert([document("gate", ["Made anew.", "And more."], spec=other)])
        store = f"twin.stores.{kinds[type(filled).__name__]}._Work"
        monkeypatch.setattr(f"{store}.count", lambda work: 1)
        with pytest.raises(TryAgainError, match=r"1 chunks instead of 2.*--rebuild"):
            writer.publish()
        monkeypatch.undo()
        monkeypatch.setattr(f"{store}.nearest", lambda work, vector, k: [("other", 0.2)])
        with pytest.raises(TryAgainError, match="not found by its own vector"):
            writer.publish()
    assert filled.state() == before


def test_purged_documents_leave_the_kept_releases_alone(filled):
    fill(filled, document("more", ["A release later."]), rebuild=True)
    assert [set(state.documents) for state in filled.kept().values()] == [{"pods", "gate"}]
    assert filled.purge({"pods", "more"}) == 1
    assert [set(state.documents) for state in filled.kept().values()] == [{"gate"}]
    assert set(filled.state().documents) == {"more"}
    assert filled.purge({"pods"}) == 0


def test_variants_and_duplicates_are_noted_and_exported(filled, tmp_path):
    from twin.stores.index_files import export_index, import_index

    odd = replace(GATE, id="copy", chunks=(), vectors=(), duplicate_of="gate", metadata="m1")
    fill(filled, odd)
    assert filled.state().documents["copy"].duplicate_of == "gate"
    state = export_index(filled.read(), tmp_path / "index.jsonl")
    other = EmbeddedIndex(tmp_path / "other", "other")
    assert import_index(other, tmp_path / "index.jsonl") == state == other.state()
    some = EmbeddedIndex(tmp_path / "some", "some")
    assert set(import_index(some, tmp_path / "index.jsonl", only={"pods"}).documents) == {"pods"}


def test_another_variant_has_other_ids_and_another_fingerprint():
    plain = DocumentState(revision="r1", chunks=2)
    cut = DocumentState(revision="r1", chunks=2, variant="ab12")
    assert not set(chunk_ids("a", plain, SPEC)) & set(chunk_ids("a", cut, SPEC))
    states = [IndexState(spec=SPEC, documents={"a": state}) for state in (plain, cut)]
    assert states[0].fingerprint != states[1].fingerprint


def test_hits_come_with_their_vectors_if_wanted(filled):
    reader = filled.read()
    for dense, text in ((PODS.vectors[0], None), (None, "pod"), (PODS.vectors[0], "pod")):
        assert all(hit.vector is None for hit in reader.search(dense, text, 3))
        for hit in reader.search(dense, text, 3, vectors=True):
            assert list(hit.vector) == pytest.approx(vector(hit.chunk.text), abs=1e-6)


def test_chunks_are_got_by_id_and_unknown_ones_left_out(filled):
    first, second = PODS.chunks
    reader = filled.read()
    unknown = "00000000-0000-0000-0000-000000000000"
    assert reader.get([second.id, unknown]) == {second.id: second}
    assert reader.get([first.id, second.id]).keys() == {first.id, second.id}
    assert reader.get([]) == {}
