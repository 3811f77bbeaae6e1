"""The folder of a job's work: empty, gone afterwards, and one process's at a time."""

import pytest

from twin.domain.errors import TryAgainError
from twin.training.scratch import scratch_folder


def test_what_a_killed_attempt_left_is_cleared(settings):
    left = settings.home / "work" / "sft-ann" / "old"
    left.mkdir(parents=True)
    with scratch_folder(settings, "sft-ann") as folder:
        assert list(folder.iterdir()) == []
        (folder / "new").touch()
    assert not folder.exists()


def test_a_second_job_is_told_to_try_again_and_deletes_nothing(settings):
    with scratch_folder(settings, "sft-ann") as folder:
        (folder / "work").touch()
        with (
            pytest.raises(TryAgainError, match="another job is at work on sft-ann"),
            scratch_folder(settings, "sft-ann"),
        ):
            pass
        assert (folder / "work").exists()
        with scratch_folder(settings, "dpo-ann"):
            pass
    with scratch_folder(settings, "sft-ann"):
        pass


def test_a_failed_job_leaves_neither_folder_nor_lock(settings):
    with pytest.raises(RuntimeError), scratch_folder(settings, "sft-ann") as folder:
        raise RuntimeError
    assert not folder.exists()
    with scratch_folder(settings, "sft-ann"):
        pass
