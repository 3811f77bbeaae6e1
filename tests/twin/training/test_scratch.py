"""The folder of a job's work: empty, gone afterwards, and one process's at a time."""

import re

import pytest
import yaml

from twin.domain.errors import TryAgainError
from twin.training.loop import SECONDS_TO_LEAVE
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


@pytest.mark.parametrize("profile", ["gpu-1", "gpu-n"])
def test_pods_have_the_time_that_an_interrupted_training_takes(root, profile):
    """To end a batch and save, then to upload; and Airflow waits longer than they may take."""
    pod = yaml.safe_load((root / "include" / "profiles" / f"{profile}.yaml").read_text("utf-8"))
    grace = pod["spec"]["terminationGracePeriodSeconds"]
    assert grace >= SECONDS_TO_LEAVE + 30
    operator = (root / "include" / "jobs.py").read_text("utf-8")
    (waited,) = re.findall(r"^SECONDS_FOR_AN_OLD_POD_TO_GO = (\d+)$", operator, re.MULTILINE)
    assert int(waited) > grace
