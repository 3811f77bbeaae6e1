"""Checkpoints in the store: whole, few, the newest and the best, and patient while it is away."""

import shutil
import time
from types import SimpleNamespace

import pytest

from twin.domain.errors import BadConfigurationError, TryAgainError
from twin.stores.files import FileStore, open_files
from twin.training import checkpoints as module
from twin.training.checkpoints import Checkpoints

FOLDER = "training/ann/x/checkpoints"


class Trainer:
    """Saves as the trainer does: a folder a checkpoint, of which it keeps the newest only."""

    def __init__(self, folder, made):
        self.folder = folder
        self.made = made

    def save(self, step, best=None):
        for old in self.folder.glob("checkpoint-*"):
            shutil.rmtree(old)
        made = self.folder / f"checkpoint-{step}"
        made.mkdir(parents=True)
        (made / "weights").write_text(f"of step {step}")
        state = SimpleNamespace(global_step=step, best_global_step=best, is_world_process_zero=True)
        self.made.on_save(SimpleNamespace(output_dir=str(self.folder)), state, None)


class Store(FileStore):
    """A real store in a folder, which can be away or refuse."""

    error: Exception | None = None

    def publish_folder(self, *args, **kwargs):
        if self.error is not None:
            raise self.error
        return super().publish_folder(*args, **kwargs)


@pytest.fixture
def store(settings):
    return Store(settings.files_root)


@pytest.fixture
def make(store, tmp_path):
    def made(kept=1):
        return Checkpoints(store, FOLDER, tmp_path / "publishing", kept)

    return made


def wait(checkpoints):
    """Until what was handed over has been tried."""
    checkpoints._at_work.exception()


def kept(store):
    return [n for n in store.names(FOLDER) if store.is_published(f"{FOLDER}/{n}")]


def test_the_newest_is_kept_and_can_be_gone_on_from(make, store, tmp_path):
    checkpoints = make()
    assert checkpoints.newest(tmp_path) is None
    trainer = Trainer(tmp_path / "trainer", checkpoints)
    for step in (2, 4, 10):
        trainer.save(step)
        wait(checkpoints)
        assert kept(store) == [f"checkpoint-{step}"]
    checkpoints.finish()
    newest = make().newest(tmp_path / "fetched")
    assert newest.name == "checkpoint-10"
    assert (newest / "weights").read_text() == "of step 10"
    assert list((tmp_path / "publishing").iterdir()) == []


def test_as_many_are_kept_as_the_recipe_says_and_the_best(make, store, tmp_path):
    checkpoints = make(kept=2)
    trainer = Trainer(tmp_path / "trainer", checkpoints)
    for step, best in [(2, None), (4, 4), (6, 4), (8, 4), (10, 4)]:
        trainer.save(step, best)
        wait(checkpoints)
    assert kept(store) == ["checkpoint-10", "checkpoint-4", "checkpoint-8"]
    checkpoints.finish()
    again = make()
    again.fetch_best(4, tmp_path / "elsewhere", tmp_path / "fetched")
    assert (tmp_path / "elsewhere" / "checkpoint-4" / "weights").read_text() == "of step 4"
    again.fetch_best(3, tmp_path / "elsewhere", tmp_path / "fetched")
    assert not (tmp_path / "elsewhere" / "checkpoint-3").exists()


def test_a_half_written_one_is_not_gone_on_from_and_goes_with_the_next(make, store, tmp_path):
    store.write_text(f"{FOLDER}/checkpoint-7/weights", "half")
    checkpoints = make()
    assert checkpoints.newest(tmp_path) is None
    Trainer(tmp_path / "trainer", checkpoints).save(8)
    checkpoints.finish()
    assert store.names(FOLDER) == ["checkpoint-8"]


def test_while_the_store_is_away_training_goes_on_and_the_newest_waits(make, store, tmp_path):
    checkpoints = make()
    trainer = Trainer(tmp_path / "trainer", checkpoints)
    store.error = TryAgainError("the store does not answer")
    for step in (2, 4):
        trainer.save(step)
        wait(checkpoints)
    assert kept(store) == []
    assert [p.name for p in (tmp_path / "publishing").iterdir()] == ["checkpoint-4"]
    store.error = None
    trainer.save(6)
    checkpoints.finish()
    assert kept(store) == ["checkpoint-6"]


def test_the_best_waits_too(make, store, tmp_path):
    checkpoints = make()
    trainer = Trainer(tmp_path / "trainer", checkpoints)
    store.error = TryAgainError("the store does not answer")
    for step in (2, 4, 6):
        trainer.save(step, best=2)
        wait(checkpoints)
    store.error = None
    checkpoints.finish()
    assert kept(store) == ["checkpoint-2", "checkpoint-6"]


def test_at_the_end_an_outage_is_waited_out(make, store, tmp_path, monkeypatch):
    checkpoints = make()
    store.error = TryAgainError("the store does not answer")
    Trainer(tmp_path / "trainer", checkpoints).save(2)

    def come_back(_seconds):
        store.error = None

    clock = SimpleNamespace(monotonic=time.monotonic, sleep=come_back)
    monkeypatch.setattr("twin.training.patience.time", clock)
    checkpoints.finish(patience=60)
    assert kept(store) == ["checkpoint-2"]


def test_an_outage_that_lasts_is_try_again(make, store, tmp_path):
    checkpoints = make()
    store.error = TryAgainError("the store does not answer")
    Trainer(tmp_path / "trainer", checkpoints).save(2)
    with pytest.raises(TryAgainError, match="does not answer"):
        checkpoints.finish(patience=0)


def test_a_store_that_refuses_ends_the_training_at_the_next_checkpoint(make, store, tmp_path):
    checkpoints = make()
    trainer = Trainer(tmp_path / "trainer", checkpoints)
    store.error = BadConfigurationError("access refused")
    trainer.save(2)
    wait(checkpoints)
    with pytest.raises(BadConfigurationError, match="access refused"):
        trainer.save(4)


def test_other_processes_of_a_training_publish_nothing(make, store, tmp_path):
    checkpoints = make()
    state = SimpleNamespace(global_step=2, best_global_step=None, is_world_process_zero=False)
    checkpoints.on_save(SimpleNamespace(output_dir=str(tmp_path)), state, None)
    checkpoints.finish()
    assert store.names(FOLDER) == []


def test_it_publishes_to_the_store_of_the_settings(settings, tmp_path):
    """The store of these tests is a real one in all but its outages."""
    made = module.Checkpoints(open_files(settings), FOLDER, tmp_path / "publishing", 1)
    Trainer(tmp_path / "trainer", made).save(2)
    made.finish()
    assert kept(open_files(settings)) == ["checkpoint-2"]
