"""Backup, loss, restore: with a real warehouse and a real index."""

import gzip
import json
import os
import shutil
import uuid
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from pymongo import MongoClient

from tests.forked_twin import run_twin
from tests.twin.stores.chunks import DIMENSION, SPEC, vector
from tests.twin.stores.chunks import document as indexed
from tests.twin.stores.documents import document
from twin.backup.copies import Backups, create, restore
from twin.backup.drill import drill
from twin.domain.errors import BadDataError, NothingToDo
from twin.domain.result import JobResult
from twin.job import Job
from twin.recipes import Recipe
from twin.settings import Settings
from twin.stores.index import open_index
from twin.stores.streamed_files import open_streams
from twin.stores.warehouse import open_warehouse

RECIPE = Recipe.model_validate(
    {
        "name": "toy",
        "author": {"id": "ann", "name": "Ann"},
        "sources": [{"name": "site", "kind": "folder", "path": "."}],
    }
)
PODS = indexed("pods", ["Every task is a pod of its own.", "A pod ends with an exit code."])
GATE = indexed("gate", ["The gate compares perplexity with the champion."])


def job(settings: Settings, recipe: Recipe = RECIPE) -> Job:
    return Job(recipe, settings, "r1", JobResult(job="backup", recipe=recipe.name, run_id="r1"))


def back_up(settings: Settings, keep: int = 14) -> str:
    done = job(settings)
    create(done, keep=keep)
    return done.result.ids["backup"]


def backups(settings: Settings) -> Backups:
    return Backups(open_streams(settings), "toy")


def records(settings: Settings) -> dict[str, list]:
    with open_warehouse(settings) as warehouse:
        names = ("documents", "revisions", "quarantine", "crawls")
        return {name: list(warehouse.records(name, "ann")) for name in names}


@pytest.fixture
def full(stores_settings: Settings, tmp_path: Path) -> Settings:
    """Stores with two documents, one of them changed once, another author's, and an index."""
    settings = stores_settings.model_copy(update={"files_uri": str(tmp_path / "bucket")})
    with open_warehouse(settings) as warehouse:
        warehouse.prepare()
        warehouse.upsert(document("one", "Old."))
        warehouse.upsert(document("one", "New, with ümlauts and 二."))
        warehouse.upsert(document("two"))
        warehouse.upsert(document("three", author="bob"))
        warehouse.quarantine(
            author_id="ann", source="blog", url="https://ann.example/x", reason="empty"
        )
    with open_index(settings, RECIPE).write(SPEC, DIMENSION) as writer:
        writer.upsert([PODS, GATE])
        writer.publish()
    return settings


@pytest.fixture
def lost(full: Settings, tmp_path: Path) -> Settings:
    """The same file store, and nothing else that there was."""
    return full.model_copy(
        update={"mongo_database": f"twin_{uuid.uuid4().hex[:8]}", "home": tmp_path / "new-home"}
    )


def test_after_a_loss_everything_is_as_it_was(full: Settings, lost: Settings):
    before, state = records(full), open_index(full, RECIPE).state()
    hits = open_index(full, RECIPE).read().search(vector(GATE.chunks[0].text), "gate", 3)
    back_up(full)
    shutil.rmtree(full.home)

    assert open_index(lost, RECIPE).state() is None
    done = job(lost)
    restore(done)

    assert records(lost) == before
    assert [len(before[name]) for name in ("documents", "revisions", "quarantine")] == [2, 3, 1]
    assert open_index(lost, RECIPE).state() == state
    found = open_index(lost, RECIPE).read().search(vector(GATE.chunks[0].text), "gate", 3)
    assert [(hit.chunk, hit.score) for hit in found] == [(hit.chunk, hit.score) for hit in hits]
    assert done.counts.written == 6
    with open_warehouse(lost) as warehouse:
        assert not list(warehouse.summaries("bob")), "a backup is of one author"


def test_a_document_that_was_damaged_is_put_back_and_newer_ones_stay(full: Settings):
    back_up(full)
    before = records(full)
    with open_warehouse(full) as warehouse:
        damaged = [{**item, "content": "gibberish"} for item in before["documents"]]
        warehouse.restore("documents", damaged)
        warehouse.upsert(document("newer"))
    restore(job(full))
    after = {item["_id"]: item for item in records(full)["documents"]}
    assert len(after) == 3
    for item in before["documents"]:
        assert after[item["_id"]] == item


def test_restoring_again_changes_nothing(full: Settings, lost: Settings):
    back_up(full)
    restore(job(lost))
    first, release = records(lost), open_index(lost, RECIPE).current()
    restore(job(lost))
    assert records(lost) == first
    assert open_index(lost, RECIPE).current() == release


def test_nothing_changed_is_nothing_to_do(full: Settings):
    name = back_up(full)
    with pytest.raises(NothingToDo, match=name):
        back_up(full)
    assert backups(full).names() == [name]


def test_the_newest_are_kept_and_each_can_be_restored(full: Settings, lost: Settings):
    names = [back_up(full)]
    for number in range(3):
        with open_warehouse(full) as warehouse:
            warehouse.upsert(document(f"later-{number}"))
        names.append(back_up(full, keep=2))
    assert sorted(names) == sorted(set(names))
    assert set(backups(full).names()) == set(sorted(names)[-2:])
    older = backups(full).names()[0]
    restore(job(lost), older)
    assert len(records(lost)["documents"]) == backups(full).manifest(older).warehouse["documents"]


def test_an_empty_warehouse_pushes_no_good_backup_out(full: Settings, lost: Settings):
    name = back_up(full)
    with pytest.raises(BadDataError, match="no document of author 'ann'"):
        back_up(lost, keep=1)
    assert backups(lost).names() == [name]


def test_a_backup_without_an_index_restores_the_warehouse(full: Settings, lost: Settings):
    shutil.rmtree(full.home / "index")
    back_up(full)
    restore(job(lost))
    assert len(records(lost)["documents"]) == 2
    assert open_index(lost, RECIPE).state() is None


@pytest.mark.parametrize("file", ["warehouse.jsonl.gz", "index.jsonl.gz"])
def test_a_flipped_byte_is_noticed_before_anything_is_written(full: Settings, lost: Settings, file):
    name = back_up(full)
    path = Path(full.files_root) / "backups" / "toy" / name / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(BadDataError, match="bytes are not those published"):
        restore(job(lost))
    assert not any(records(lost).values())


def test_what_a_killed_backup_left_is_passed_over_and_swept_up(full: Settings, lost: Settings):
    folder = Path(full.files_root) / "backups" / "toy" / "20200101T000000Z-00000000"
    folder.mkdir(parents=True)
    (folder / "warehouse.jsonl.gz").write_bytes(gzip.compress(b"half a"))
    with pytest.raises(BadDataError, match="has no backup"):
        restore(job(lost))
    name = back_up(full)
    assert backups(full).names() == [name] and not folder.exists()


def database_names(settings: Settings) -> list[str]:
    with MongoClient(settings.mongo_uri.get_secret_value()) as client:
        return client.list_database_names()


class TestDrill:
    def test_what_is_restored_is_what_was_saved(self, full: Settings) -> None:
        name = back_up(full)
        before, state = records(full), open_index(full, RECIPE).state()
        with open_warehouse(full) as warehouse:
            warehouse.upsert(document("newer"))
        done = job(full)
        drill(done)
        assert done.result.ids["backup"] == name
        assert done.result.detail["records"]["documents"] == len(before["documents"]) == 2
        assert done.result.detail["digests"] == backups(full).manifest(name).digests
        assert set(done.result.detail["digests"]) == {"warehouse.jsonl", "index.jsonl"}
        assert done.counts.read == 6
        assert len(records(full)["documents"]) == 3, "the warehouse itself was left alone"
        assert open_index(full, RECIPE).state() == state

    def test_it_leaves_nothing_and_clears_what_a_killed_one_left(self, full: Settings) -> None:
        back_up(full)
        scratch = full.model_copy(update={"mongo_database": f"{full.mongo_database}_drill_toy"})
        with open_warehouse(scratch) as warehouse:
            warehouse.upsert(document("left"))
        assert scratch.mongo_database in database_names(full)
        drill(job(full))
        assert not [name for name in database_names(full) if "_drill_" in name]

    @pytest.mark.parametrize("file", ["warehouse.jsonl", "index.jsonl"])
    def test_other_content_fails(self, full: Settings, tmp_path: Path, file: str) -> None:
        name = back_up(full)
        folder = Path(full.files_root) / "backups" / "toy" / name
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["digests"][file] = "0" * 64
        other = shutil.copytree(folder, tmp_path / "other")
        (other / "manifest.json").write_text(json.dumps(manifest))
        open_streams(full).publish_folder(other, f"backups/toy/{name}", replace=True)
        with pytest.raises(BadDataError, match=f"restored of {file} is not what was saved"):
            drill(job(full))
        assert not [name for name in database_names(full) if "_drill_" in name]

    def test_other_counts_fail(self, full: Settings, tmp_path: Path) -> None:
        name = back_up(full)
        folder = Path(full.files_root) / "backups" / "toy" / name
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["warehouse"]["documents"] = 3
        other = shutil.copytree(folder, tmp_path / "other")
        (other / "manifest.json").write_text(json.dumps(manifest))
        open_streams(full).publish_folder(other, f"backups/toy/{name}", replace=True)
        with pytest.raises(BadDataError, match="documents: 2 for 3"):
            drill(job(full))

    def test_a_name_with_a_dot_is_no_hindrance(self, full: Settings) -> None:
        dotted = RECIPE.model_copy(update={"name": "toy-1.5"})
        create(job(full, dotted), keep=1)
        done = job(full, dotted)
        drill(done)
        assert done.result.detail["records"]["documents"] == 2

    def test_without_a_backup_there_is_nothing_to_drill(self, full: Settings) -> None:
        with pytest.raises(BadDataError, match="recipe toy has no backup"):
            drill(job(full))


def test_another_authors_backup_is_refused(full: Settings, lost: Settings):
    back_up(full)
    other = RECIPE.model_copy(update={"author": RECIPE.author.model_copy(update={"id": "bob"})})
    with pytest.raises(BadDataError, match="of author 'ann', recipe toy of 'bob'"):
        restore(job(lost, other))


def test_an_unknown_name_says_which_there_are(full: Settings, lost: Settings):
    name = back_up(full)
    with pytest.raises(BadDataError, match=f"no backup 'x' in .*: there are {name}"):
        restore(job(lost), "x")


def test_on_the_command_line(full: Settings, lost: Settings, tmp_path: Path):
    recipe = tmp_path / "toy.yaml"
    recipe.write_text(json.dumps(RECIPE.model_dump(mode="json", exclude_defaults=True)))

    def twin(settings: Settings, *arguments: str) -> CompletedProcess[str]:
        environment = {
            **os.environ,
            "TWIN_HOME": str(settings.home),
            "TWIN_FILES_URI": settings.files_root,
            "TWIN_MONGO_URI": settings.mongo_uri.get_secret_value(),
            "TWIN_MONGO_DATABASE": settings.mongo_database,
        }
        return run_twin("backup", *arguments, "--recipe", recipe, env=environment, timeout=200)

    result = tmp_path / "result.json"
    assert twin(full, "create", "--result", str(result)).returncode == 0
    written = json.loads(result.read_text())
    name = written["ids"]["backup"]
    assert written["uris"]["backup"].endswith(f"backups/toy/{name}")
    assert twin(full, "create").returncode == 99
    listed = twin(full, "list").stdout
    assert listed.startswith(f"{name}  3 revisions, 2 documents, 1 quarantine, 0 crawls, ")
    assert ", 0 forgotten, 0 pages, 0 changes, index " in listed
    assert twin(lost, "restore").returncode == 0
    assert records(lost) == records(full)
    assert twin(lost, "restore", "--name", "x").returncode == 65
