"""`twin features verify`, `show`, `snapshot` and `restore` against real stores, of both sorts."""

from collections.abc import Iterator
from subprocess import CompletedProcess

import pytest

from tests.forked_twin import run_twin
from tests.twin.features.documents import make
from tests.twin.features.test_build import HELD, RECIPE, WITH_NAMES, command, run, store
from tests.twin.features.test_curation import FOOTER, article
from twin.domain.document import DocumentStatus
from twin.domain.errors import BadDataError, NothingToDo
from twin.domain.result import JobResult
from twin.features.show import show
from twin.features.snapshot import restore, snapshot
from twin.features.verify import verify
from twin.job import Job
from twin.settings import Settings
from twin.stores.embedded.releases import load_shard
from twin.stores.index import Index, open_index
from twin.stores.qdrant_index import QdrantIndex

ARTICLES = [
    make(f"Article {n}", f"## Part\n\n{article(n)}\n\n{FOOTER}", published=None) for n in range(4)
]
COPY = make("Copy", ARTICLES[0].content)


@pytest.fixture(params=["embedded", "server"])
def stores_settings(
    request: pytest.FixtureRequest, stores_settings: Settings
) -> Iterator[Settings]:
    """As every test has them, then with an index on a server."""
    if request.param == "embedded":
        yield stores_settings
        return
    url = request.getfixturevalue("index_url")
    settings = stores_settings.model_copy(update={"index_url": url})
    yield settings
    index = on_server(settings)
    for name in index.collections():
        index.client.delete_collection(name)
    index.client.close()


def on_server(settings: Settings) -> QdrantIndex:
    index = open_index(settings, RECIPE)
    assert isinstance(index, QdrantIndex)
    return index


def job(settings, recipe=RECIPE) -> Job:
    return Job(recipe, settings, "r1", JobResult(job="features", recipe="toy", run_id="r1"))


def gone(document):
    return document.model_copy(update={"status": DocumentStatus.GONE})


def texts(settings) -> str:
    return "\n".join(chunk.text for chunk in open_index(settings, RECIPE).read().chunks())


@pytest.fixture
def built(stores_settings):
    store(stores_settings, *ARTICLES, COPY, make("Empty", "***"))
    run(stores_settings)
    return stores_settings


def test_an_index_just_built_is_what_the_warehouse_says(built):
    verify(job(built))


def test_no_index_and_another_setting_are_told_apart(stores_settings):
    store(stores_settings, ARTICLES[0])
    with pytest.raises(BadDataError, match="no index yet"):
        verify(job(stores_settings))
    run(stores_settings)
    features = RECIPE.features.model_copy(update={"chunk_tokens": 100})
    with pytest.raises(BadDataError, match="other settings"):
        verify(job(stores_settings, RECIPE.model_copy(update={"features": features})))


def test_a_change_that_was_not_built_is_found_and_then_built(built):
    store(
        built,
        make("New", article("new")),
        make("Article 1", "Rewritten in a few words."),
        gone(ARTICLES[2]),
    )
    with pytest.raises(BadDataError) as error:
        verify(job(built))
    for sort in ("1 live documents missing", "1 documents that are not live", "held otherwise"):
        assert sort in str(error.value)
    assert "twin features build --recipe toy" in str(error.value)
    run(built)
    verify(job(built))


def test_chunks_lost_and_left_behind_in_the_store_are_found(built):
    """What a state file says is not believed: the points themselves are compared."""
    lost, changed, *_ = (chunk.id for chunk in open_index(built, RECIPE).read().stored_chunks())
    damage_on_server(built, lost, changed) if built.index_url else damage(built, lost, changed)
    with pytest.raises(BadDataError, match=r"1 recorded chunks missing.*another content"):
        verify(job(built))
    run(built, rebuild=True)
    verify(job(built))


def damage(settings: Settings, lost: str, changed: str) -> None:
    from qdrant_edge import UpdateOperation

    index = open_index(settings, RECIPE)
    shard = load_shard(index.release(index.current()))
    shard.update(UpdateOperation.delete_points([lost]))
    shard.update(UpdateOperation.set_payload([changed], {"text": "Never written."}))
    shard.flush()
    shard.close()


def damage_on_server(settings: Settings, lost: str, changed: str) -> None:
    from qdrant_client import models

    index = on_server(settings)
    name = index.current()
    index.client.delete(name, models.PointIdsList(points=[lost]))
    [point] = index.client.retrieve(name, [changed], with_payload=True, with_vectors=True)
    payload = {**point.payload, "text": "Never written."}
    point = models.PointStruct(id=point.id, vector=point.vector, payload=payload)
    index.client.upsert(name, [point])


def test_recurring_blocks_come_and_go_with_the_documents_that_hold_them(built):
    assert FOOTER not in texts(built)
    before = {id_: s.variant for id_, s in open_index(built, RECIPE).state().documents.items()}
    assert sum(bool(variant) for variant in before.values()) == 4
    result = run_after(built, gone(ARTICLES[2]), gone(ARTICLES[3]))
    assert texts(built).count(FOOTER) == 2  # of two documents: no longer boilerplate
    assert result.detail["documents_removed"] == 2
    assert result.counts.written == 2
    verify(job(built))


def run_after(settings, *documents) -> JobResult:
    store(settings, *documents)
    return run(settings)


def test_the_copy_comes_back_when_the_original_goes(built):
    state = open_index(built, RECIPE).state()
    original, copy = sorted((ARTICLES[0], COPY), key=lambda item: item.id)
    assert state.documents[copy.id].duplicate_of == original.id
    assert state.documents[copy.id].chunks == 0
    run_after(built, gone(original))
    state = open_index(built, RECIPE).state()
    assert state.documents[copy.id].duplicate_of is None
    assert state.documents[copy.id].chunks > 0
    verify(job(built))


def test_only_documents_with_a_new_decision_are_worked_on_again(stores_settings):
    others = [make(f"Other {n}", article(f"o{n}")) for n in range(3)]
    store(stores_settings, *(o.model_copy(update={"source": "b"}) for o in others), *ARTICLES[:2])
    run(stores_settings)
    assert FOOTER in texts(stores_settings)
    result = run_after(stores_settings, ARTICLES[2])
    assert (result.counts.written, result.counts.skipped) == (3, 3)
    assert FOOTER not in texts(stores_settings)


def test_a_gone_document_leaves_the_kept_release_too(built):
    run(built, rebuild=True)
    index = open_index(built, RECIPE)
    [(name, state)] = index.kept().items()
    assert ARTICLES[1].id in state.documents
    assert ARTICLES[1].id in stored_in(index, name)
    run_after(built, make("New", article("new")), gone(ARTICLES[1]))
    for name, state in index.kept().items():
        assert ARTICLES[1].id not in state.documents
        assert ARTICLES[3].id in stored_in(index, name)
        assert ARTICLES[1].id not in stored_in(index, name)
    verify(job(built))


def stored_in(index: Index, name: str) -> set[str]:
    """Documents of the points that a release or collection really holds."""
    if isinstance(index, QdrantIndex):
        points, _ = index.client.scroll(name, limit=1000, with_payload=True)
        points = [point for point in points if point.payload["record"] == "chunk"]
    else:
        from qdrant_edge import ScrollRequest

        shard = load_shard(index.release(name))
        points, _ = shard.scroll(ScrollRequest(limit=1000, with_payload=True))
        shard.close()
    return {point.payload["document_id"] for point in points}


def test_changed_metadata_reaches_the_chunks(built):
    store(built, ARTICLES[1].model_copy(update={"kind": "post", "language": "de-AT"}))
    run(built)
    found = [
        c for c in open_index(built, RECIPE).read().chunks() if c.document_id == ARTICLES[1].id
    ]
    assert {chunk.kind for chunk in found} == {"post"}
    # Passages of random words may look like any language; what is too short takes the document's.
    assert "de" in {chunk.language for chunk in found}
    verify(job(built))


def test_show_says_what_was_changed_left_out_and_cut(built):
    shown = show(RECIPE, built, ARTICLES[1].url)
    assert shown.left_out == [FOOTER]
    assert FOOTER in shown.before
    assert FOOTER not in shown.after
    assert all(0 < chunk.tokens <= shown.budget == 200 for chunk in shown.chunks)
    copy = max((ARTICLES[0], COPY), key=lambda item: item.id)
    assert show(RECIPE, built, copy.url).duplicate_of != copy.url
    with pytest.raises(BadDataError, match="twin warehouse list"):
        show(RECIPE, built, "https://example.org/never")


def test_show_says_what_personal_data_is_there(built):
    store(built, HELD)
    shown = show(WITH_NAMES, built, HELD.url)
    assert shown.personal_data == {"EMAIL_ADDRESS": 2, "PERSON": 1}
    [chunk] = shown.chunks
    assert chunk.personal_data == ("EMAIL_ADDRESS", "EMAIL_ADDRESS", "PERSON")
    assert show(WITH_NAMES, built, ARTICLES[1].url).personal_data == {}


def test_a_snapshot_is_restored_without_what_is_gone(built):
    snapshot(job(built))
    with pytest.raises(NothingToDo, match="holds the same"):
        snapshot(job(built))
    before = texts(built)
    run_after(built, make("New", article("new")))
    restore(job(built))
    assert texts(built) == before
    run_after(built, gone(ARTICLES[1]))
    restore(job(built))
    assert ARTICLES[1].id not in open_index(built, RECIPE).state().documents
    with pytest.raises(BadDataError, match="no snapshot 'x'"):
        restore(job(built), "x")


def test_the_commands_say_it_in_one_line_and_by_exit_code(built, tmp_path):
    line, environment = command(built, tmp_path)

    def twin(*arguments: str) -> CompletedProcess[str]:
        return run_twin("features", *arguments, "--recipe", line[4], env=environment)

    assert twin("verify").returncode == 0
    shown = twin("show", ARTICLES[1].url)
    assert shown.returncode == 0
    assert "Left out, other documents hold it too:\nThanks for reading!" in shown.stdout
    store(built, HELD)
    held = twin("show", HELD.url).stdout
    assert "\nPersonal data: 2 EMAIL_ADDRESS\n" in held
    assert "no language, holds 2 EMAIL_ADDRESS: Held\n" in held
    found = twin("verify")
    assert found.returncode == 65
    assert "1 live documents missing" in found.stderr
