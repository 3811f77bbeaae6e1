"""Samples made in shards: the same as without, none made twice, and whole after a kill."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.twin import corpora
from tests.twin.datasets.test_make import said, unlike
from twin.datasets import parts as module
from twin.datasets.make import make_samples, prepare_shard
from twin.datasets.parts import Shard, parts
from twin.datasets.prepared import Prepared
from twin.domain.errors import BadDataError, NothingToDo, TryAgainError
from twin.domain.result import JobResult
from twin.domain.sample import Split
from twin.domain.verdict import Decision
from twin.job import Job
from twin.stores.embedded.reader import EmbeddedReader
from twin.stores.files import FileStore, open_files
from twin.stores.index import open_index
from twin.stores.sample_sets import SampleSets, parts_of
from twin.stores.verdicts import Verdicts

MAIL = "Write to ann@a.example. "


@pytest.fixture(autouse=True)
def without_plots(monkeypatch):
    """They take most of the time of so few samples; tests of the card's page draw them."""
    monkeypatch.setattr("twin.datasets.make.render_page", lambda *_: "")


def chunks(documents=16):
    """Articles of several lengths, with copies, personal data, and what is no passage."""
    made = corpora.corpus(documents, 3) + unlike(5)
    copy = [c.model_copy(update={"id": f"e{c.id}", "document_id": "e"}) for c in made[:3]]
    made[4] = made[4].model_copy(update={"text": MAIL + made[4].text})
    made[7] = made[7].model_copy(update={"text": "Short."})
    made[-1] = made[-1].model_copy(update={"text": MAIL + made[-1].text})
    return [*made, *copy]


@pytest.fixture
def ann(settings, tmp_path):
    settings = settings.model_copy(update={"recipes": tmp_path / "recipes"})
    recipe = corpora.write_recipe(settings.recipes, Path("none"))
    publish(settings, recipe)
    return settings, recipe


def publish(settings, recipe, documents=16):
    by_id = {c.document_id: [] for c in chunks(documents)}
    for chunk in chunks(documents):
        by_id[chunk.document_id].append(chunk)
    whole = [
        c.model_copy(update={"ordinal": place, "id": corpora.chunk_id(
            c.document_id, c.revision, place, corpora.SPEC.chunker)})
        for own in by_id.values()
        for place, c in enumerate(own)
    ]  # fmt: skip
    corpora.publish(whole, recipe, settings)


def run(body, settings, recipe, name="datasets make") -> JobResult:
    job = Job(recipe, settings, "r1", JobResult(job=name, recipe="ann", run_id="r1"))
    body(job)
    return job.result


def shard(settings, recipe, number, of) -> JobResult:
    return run(lambda job: prepare_shard(job, Shard(number, of)), settings, recipe)


def join(settings, recipe, of=1) -> JobResult:
    return run(lambda job: make_samples(job, of), settings, recipe)


def published(settings):
    """Content of the newest samples' files; of the manifest all but when they were dealt."""
    files = open_files(settings)
    sets = SampleSets(files, "ann")
    manifest = sets.latest()
    names = ("instruct/train.parquet", "instruct/validation.parquet", "instruct/test.parquet",
             "README.md")  # fmt: skip
    content = [files.read_bytes(f"{sets.folder(manifest.version)}/{name}") for name in names]
    return [manifest.model_copy(update={"dealt": None}), *content]


def forget_samples(settings):
    open_files(settings).remove("datasets/ann")


def prepared_parts(settings):
    return open_files(settings).names(parts_of("ann"))


def counting(monkeypatch):
    """The chunks that are prepared from now on."""
    seen, add = [], Prepared.add

    def noted(prepared, chunk):
        seen.append(chunk.id)
        add(prepared, chunk)

    monkeypatch.setattr(Prepared, "add", noted)
    return seen


@pytest.mark.parametrize("of", [2, 3, 7])
def test_samples_of_shards_are_those_of_one_job(ann, monkeypatch, of):
    settings, recipe = ann
    alone = join(settings, recipe)
    expected = published(settings)
    forget_samples(settings)
    seen = counting(monkeypatch)
    for number in range(of, 0, -1):  # in any order
        shard(settings, recipe, number, of)
    assert len(prepared_parts(settings)) == of
    whole = open_index(settings, recipe).state().chunks
    assert len(seen) == len(set(seen)) == whole
    joined = join(settings, recipe, of)
    assert len(seen) == whole, "nothing is prepared twice"
    assert published(settings) == expected
    assert (joined.counts, joined.detail) == (alone.counts, alone.detail)
    assert joined.detail["redacted"] == {"EMAIL_ADDRESS": 2}
    assert prepared_parts(settings) == []


def test_shards_cut_an_index_into_parts_of_equal_size(ann):
    settings, recipe = ann
    state = open_index(settings, recipe).state()
    for of in (1, 2, 3, 5, 200):
        held = parts(state, recipe, of)
        ids = [id_ for part in held for id_ in part.document_ids]
        assert ids == sorted(state.documents)
        assert sum(part.chunks for part in held) == state.chunks
        assert len({part.name for part in held}) == len(held) == min(of, len(ids))
        if of < 6:
            assert max(part.chunks for part in held) - state.chunks / of <= 3


def test_a_part_is_made_once_and_again_only_where_its_documents_changed(ann, monkeypatch):
    settings, recipe = ann
    result = shard(settings, recipe, 1, 2)
    assert result.counts.written == result.counts.read > 20
    assert prepared_parts(settings) == [result.ids["part"]]
    with pytest.raises(NothingToDo, match=result.ids["part"]):
        shard(settings, recipe, 1, 2)
    other = recipe.datasets.model_copy(update={"max_samples": 20, "seed": 5})
    with pytest.raises(NothingToDo, match="is prepared"):
        shard(settings, recipe.model_copy(update={"datasets": other}), 1, 2)
    longer = recipe.datasets.model_copy(update={"min_answer_words": 31})
    again = shard(settings, recipe.model_copy(update={"datasets": longer}), 1, 2)
    assert again.ids["part"] != result.ids["part"]


@pytest.mark.parametrize(
    "change",
    [{"revision": "r2"}, {"metadata": "another title"}, {"variant": "v"}, {"chunks": 9}],
)
def test_a_part_is_named_after_its_documents(ann, change):
    settings, recipe = ann
    state = open_index(settings, recipe).state()
    first, last = parts(state, recipe, 2)
    id_ = first.document_ids[0]
    document = state.documents[id_].model_copy(update=change)
    changed = state.model_copy(update={"documents": {**state.documents, id_: document}})
    assert parts(changed, recipe, 2)[0].name != first.name
    if "chunks" not in change:
        assert parts(changed, recipe, 2)[1].name == last.name


def test_what_no_shard_has_made_the_joining_job_makes(ann, monkeypatch):
    settings, recipe = ann
    join(settings, recipe)
    expected = published(settings)
    forget_samples(settings)
    part = shard(settings, recipe, 2, 3)
    seen = counting(monkeypatch)
    join(settings, recipe, 3)
    assert len(seen) == open_index(settings, recipe).state().chunks - part.counts.read
    assert published(settings) == expected


def test_shards_of_samples_that_are_there_have_nothing_to_do(ann):
    settings, recipe = ann
    version = join(settings, recipe).ids["dataset_version"]
    with pytest.raises(NothingToDo, match=version):
        shard(settings, recipe, 1, 2)
    assert prepared_parts(settings) == []
    publish(settings, recipe, 2)
    with pytest.raises(NothingToDo, match="shard 200 none"):
        shard(settings, recipe, 200, 200)


def test_verdicts_and_splits_of_before_hold_in_shards_too(ann):
    settings, recipe = ann
    files = open_files(settings)
    first = SampleSets(files, "ann").manifest(join(settings, recipe).ids["dataset_version"])
    rejected = SampleSets(files, "ann").instruct(first.version, Split.TRAIN)[0]
    Verdicts(files, "ann").update((), [said(rejected, Decision.REJECT, reason="wrong answer")])
    publish(settings, recipe, 20)
    for number in (1, 2):
        shard(settings, recipe, number, 2)
    join(settings, recipe, 2)
    manifest = SampleSets(files, "ann").latest()
    assert manifest.refused == {"wrong answer": 1}
    assert first.documents.items() <= manifest.documents.items()


def test_an_index_published_while_a_shard_reads_is_read_again(ann, monkeypatch):
    settings, recipe = ann
    read = EmbeddedReader.chunks

    def read_late(reader, ids=None):
        yield from read(reader, ids)
        publish(settings, recipe, 18)

    monkeypatch.setattr(EmbeddedReader, "chunks", read_late)
    with pytest.raises(TryAgainError, match="index changed while its chunks were read"):
        shard(settings, recipe, 1, 2)
    assert prepared_parts(settings) == []


def test_a_damaged_part_is_named(ann, monkeypatch):
    settings, recipe = ann
    name = shard(settings, recipe, 1, 2).ids["part"]
    monkeypatch.setattr(FileStore, "fetch_folder", lambda files, relative, cache: damaged(files))

    def damaged(files):
        folder = settings.home / "damaged"
        folder.mkdir()
        for file in ("rows.jsonl", "rows.jsonl.ends", "shingles.bin", "shingles.bin.ends"):
            (folder / file).write_bytes(b"")
        return folder

    with pytest.raises(BadDataError, match=f"{name}: damaged: .*delete this folder"):
        join(settings, recipe, 2)
    assert SampleSets(open_files(settings), "ann").find_latest() is None


def killed_at(monkeypatch, call, body):
    """Run in a process that is killed by SIGKILL at its n-th write to the file store."""
    left = iter(range(call))

    def counted(real):
        def change(*arguments, **named):
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        return change

    if (child := os.fork()) == 0:
        for name in ("publish_folder", "write_bytes", "remove"):
            monkeypatch.setattr(FileStore, name, counted(getattr(FileStore, name)))
        monkeypatch.setattr(Prepared, "save", counted(Prepared.save))
        try:
            with suppress(NothingToDo):
                body()
        finally:  # never goes on as a second run of the tests
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_a_kill_in_a_shard_or_in_the_join_loses_nothing(ann, monkeypatch):
    """At each of their writes."""
    settings, recipe = ann
    join(settings, recipe)
    expected = published(settings)
    forget_samples(settings)
    for call in range(10):
        if not killed_at(monkeypatch, call, lambda: shard(settings, recipe, 1, 2)):
            break
        assert prepared_parts(settings) == []
    assert call == 2, "before its files are whole, and before they are published"
    for call in range(10):
        was_killed = killed_at(monkeypatch, call, lambda: join(settings, recipe, 2))
        sets = SampleSets(open_files(settings), "ann")
        if sets.find_latest() is None:
            assert len(prepared_parts(settings)) == 1, "what is prepared stays until it is used"
            assert was_killed
        else:
            assert published(settings) == expected
            break
    assert call > 0
    with suppress(NothingToDo):
        join(settings, recipe, 2)
    assert published(settings) == expected
    assert prepared_parts(settings) == []


@pytest.mark.parametrize("text", ["", "2", "0/4", "5/4", "1/0", "a/b", "1/257", "-1/2", "1/2/3"])
def test_a_shard_is_one_of_so_many(text):
    with pytest.raises(BadDataError, match=r"write I/N, the I-th of N, as in 2/4"):
        Shard.parse(text)


def test_a_shard_is_written_with_a_stroke():
    assert Shard.parse(" 2/4 ") == Shard(2, 4)
    assert Shard.parse(f"1/{module.MOST_SHARDS}") == Shard(1, module.MOST_SHARDS)
    assert Shard.parse("1/1") == Shard(1, 1)


def test_parts_are_not_samples(ann):
    settings, recipe = ann
    shard(settings, recipe, 1, 2)
    sets = SampleSets(open_files(settings), "ann")
    assert sets.versions() == []
    assert sets.find_latest() is None


def test_no_sample_is_made_of_a_figure(ann, monkeypatch):
    settings, recipe = ann
    read = EmbeddedReader.chunks

    def with_a_figure(reader, document_ids=None):
        for place, chunk in enumerate(read(reader, document_ids)):
            yield chunk.model_copy(update={"kind": "figure"}) if place == 2 else chunk

    monkeypatch.setattr(EmbeddedReader, "chunks", with_a_figure)
    seen = counting(monkeypatch)
    join(settings, recipe)
    assert len(seen) == open_index(settings, recipe).state().chunks - 1
