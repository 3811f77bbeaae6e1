"""Nothing that is needed is garbage, and a collection that is killed leaves nothing half there."""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest

from tests.twin.monitoring.lineages import LEAST_AGE, NOW, Lineage, digest, generated
from twin.monitoring.garbage import Kind, find_garbage
from twin.stores.files import FileStore
from twin.stores.job_runs import JobRun
from twin.stores.registry import ModelVersion
from twin.stores.stored_file import StoredFile
from twin.stores.stored_tree import StoredTree

SEEDS = range(25)


class Killed(BaseException):
    """What a kill is to the process."""


_left = [-1]


def _kill(event: str, _arguments: object) -> None:
    if event in ("os.remove", "os.rmdir") and _left[0] >= 0:
        if _left[0] == 0:
            raise Killed
        _left[0] -= 1


sys.addaudithook(_kill)


@contextmanager
def killed_after(removals: int) -> Iterator[list[bool]]:
    """Ends its block as a kill would, when so many files or folders are gone; says whether."""
    was: list[bool] = []
    _left[0] = removals
    try:
        yield was
    except Killed:
        was.append(True)
    finally:
        _left[0] = -1


def made_by(seed: int, folder, files: FileStore | None = None) -> Lineage:
    return generated(files or FileStore(str(folder / "files")), folder, random.Random(seed))


def is_gone(place: str, garbage) -> bool:
    return any(f"{place}/".startswith(f"{each.place}/") for each in garbage)


@pytest.mark.parametrize("seed", SEEDS)
def test_all_is_garbage_but_what_something_needed_leads_to(seed, tmp_path):
    made = made_by(seed, tmp_path)
    garbage = find_garbage(made.known())
    needed = made.reachable()
    wrong = {
        place: place in needed
        for place in made.edges
        if place in made.known().tree and is_gone(place, garbage) == (place in needed)
    }
    assert wrong == {}
    assert [each.kind for each in garbage] == sorted(
        (each.kind for each in garbage), key=list(Kind).index
    )
    assert all(each.bytes > 0 for each in garbage)


def test_the_seeds_have_garbage_of_every_kind_and_keep_some_of_every_kind(tmp_path):
    found, kept = set(), set()
    for seed in SEEDS:
        made = made_by(seed, tmp_path / str(seed))
        garbage = find_garbage(made.known())
        found |= {each.kind for each in garbage}
        kept |= {place.split("/")[0] for place in made.edges if not is_gone(place, garbage)}
    assert found == set(Kind)
    assert {"models", "training", "datasets", "pairs", "rerankers", "snapshots"} <= kept


def assert_whole(made: Lineage) -> None:
    """What is there is whole, and has what it needs."""
    files = made.files
    for place in made.edges:
        if files.is_published(place):
            for name, entry in files.published_listing(place).items():
                assert len(files.read_bytes(f"{place}/{name}")) == entry["size"], place
            samples = {each for each in made.edges[place] if each.startswith("datasets/")}
            assert all(files.is_published(each) for each in samples), place
    for place in made.reachable():
        if place in made.known().tree and files.exists(f"{place}/a.bin"):
            assert files.is_published(place), place


@pytest.mark.parametrize(
    "seed", [3, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in (8, 21))]
)
def test_a_kill_anywhere_leaves_nothing_half_there_and_the_next_run_finishes(seed, tmp_path):
    whole = made_by(seed, tmp_path / "whole")
    places = [each.place for each in find_garbage(whole.known())]
    assert len(places) >= 4
    for place in places:
        whole.files.remove(place)
    left = [file.name for file in whole.files.listing()]
    for point in count():
        made = made_by(seed, tmp_path / str(point))
        needed = {each: made.files.exists(each) for each in made.reachable()}
        with killed_after(point) as was_killed:
            for each in find_garbage(made.known()):
                made.files.remove(each.place)
        assert_whole(made)
        assert {each: made.files.exists(each) for each in made.reachable()} == needed
        for each in find_garbage(made.known()):
            made.files.remove(each.place)
        assert [file.name for file in made.files.listing()] == left
        if not was_killed:
            break
    assert point > 2 * len(places)


def test_what_has_changed_lately_stays_to_the_second(tmp_path):
    made = Lineage(FileStore(str(tmp_path / "files")), tmp_path)
    made.publish("models/twin-tiny/" + digest(4, 1))
    known = made.known()
    place = f"models/twin-tiny/{digest(4, 1)}"
    written = known.tree.changed(place)
    assert [each.place for each in find_garbage(replace(known, now=written + LEAST_AGE))] == [place]
    earlier = written + LEAST_AGE - timedelta(seconds=1)
    assert find_garbage(replace(known, now=earlier)) == []


def test_where_the_store_does_not_say_how_old_a_thing_is_it_stays(tmp_path):
    made = Lineage(FileStore(str(tmp_path / "files")), tmp_path)
    tree = StoredTree([StoredFile("models/twin-tiny/0123456789abcdef/w", "w", 5, "v")])
    assert find_garbage(replace(made.known(), tree=tree)) == []
    files = [StoredFile("models/twin-tiny/0123456789abcdef/w", "w", 5, "v", NOW - LEAST_AGE)]
    assert len(find_garbage(replace(made.known(), tree=StoredTree(files)))) == 1
    files.append(StoredFile("models/twin-tiny/0123456789abcdef/v", "v", 5, "v"))
    assert find_garbage(replace(made.known(), tree=StoredTree(files))) == []


def test_what_other_names_than_digests_have_is_left_alone(tmp_path):
    made = Lineage(FileStore(str(tmp_path / "files")), tmp_path)
    for place in ("datasets/tiny/replies", "datasets/tiny/parts", "rerankers/tiny/latest.json",
                  "datasets/tiny/latest.json", "pairs/tiny/0123456789ab/latest.json"):  # fmt: skip
        made.write(place)
    made.publish("datasets/tiny/0123456789ab")
    made.newest_pairs = {}
    known = replace(made.known(), latest="0123456789ab")
    assert find_garbage(known) == []


def test_another_recipes_things_are_left_alone(tmp_path):
    made = made_by(1, tmp_path)
    other = replace(made.known(), recipe="other", model="twin-other", versions=[], places={})
    assert {each.kind for each in find_garbage(other)} <= {Kind.TRANSCRIPT}


@pytest.mark.parametrize(("days", "stays"), [(6.9, True), (7.1, False)])
def test_a_run_that_has_not_ended_in_a_week_was_killed(days, stays, tmp_path):
    made = Lineage(FileStore(str(tmp_path / "files")), tmp_path)
    training = f"training/tiny/{digest(3, 1)}"
    made.publish(f"{training}/sft/adapter")
    made.publish(f"{training}/sft/checkpoints")
    began = NOW - timedelta(days=days)
    made.runs = [JobRun(key=f"{training}/sft", dataset_version="s", began=began, is_running=True)]
    assert [each.place for each in find_garbage(made.known())] == ([] if stays else [training])
    ended = [each.model_copy(update={"is_running": False}) for each in made.runs]
    made.runs = ended
    assert len(find_garbage(made.known())) == 1


def test_weights_elsewhere_keep_their_samples(tmp_path):
    made = Lineage(FileStore(str(tmp_path / "files")), tmp_path)
    samples = digest(1, 1)
    made.publish(f"datasets/tiny/{samples}")
    tags = {"dataset_version": samples}
    version = ModelVersion("twin-tiny", "1", "s3://elsewhere/models/x", "d", "r", tags)
    known = replace(made.known(), versions=[version], places={"1": None})
    assert find_garbage(known) == []
    gone = replace(known, places={"1": "models/twin-tiny/0123456789abcdef"})
    [garbage] = find_garbage(gone)
    assert (garbage.kind, garbage.of) == (Kind.SAMPLES, ("1",))
