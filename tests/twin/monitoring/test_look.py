"""What a look compares with; tests/twin/monitoring/test_run.py has whole looks."""

from tests.twin import twins
from tests.twin.datasets import sets
from tests.twin.monitoring.seen import NOW
from twin.domain.monitoring import MonitoringState
from twin.domain.result import JobResult
from twin.domain.sample import Split
from twin.job import Job
from twin.monitoring.look import Look
from twin.stores.registry import ModelVersion


def test_what_a_version_learnt_is_of_its_own_samples_and_not_of_the_newest(settings, tmp_path):
    recipe = twins.write_recipe(tmp_path / "recipes")
    for version, split in (("v1", Split.TRAIN), ("v2", Split.TEST)):
        sets.publish(settings, version, [sets.sample("a", split)], recipe="tiny").make_latest(
            version
        )
    job = Job(recipe, settings, "r", JobResult(job="look", recipe="tiny", run_id="r"))
    look = Look(job, MonitoringState(recipe="tiny"), NOW)

    def learnt(**tags):
        return list(look._learnt(ModelVersion("twin-tiny", "1", "u", "d", "r", tags)))

    assert learnt(dataset_version="v1") == ["d-train"]
    assert learnt(dataset_version="gone") == learnt() == []
