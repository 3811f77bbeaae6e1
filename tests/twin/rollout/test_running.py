"""The jobs of `twin rollout` in this process, on the router of test_shift.py; no registry is there.

As commands, and with a registry: test_commands.py.
"""

import pytest

from tests import servers
from tests.twin.rollout.serve_in_process import MODEL, listening
from tests.twin.rollout.test_shift import close_looks, events
from twin.domain.errors import NothingToDo
from twin.job import Job, JobResult
from twin.rollout import running
from twin.stores.serve_config import recipe_of

__all__ = ["close_looks"]


@pytest.fixture
def stage(make_stage):
    """Version 1 serves, and the router and Serve's REST API are on a port."""
    made = make_stage(rollout={"require_approval": True})
    nowhere = {"mlflow_tracking_uri": f"http://127.0.0.1:{servers.free_port()}"}
    with listening(made.serve, made.settings) as settings:
        made.settings = settings.model_copy(update=nowhere)
        yield made


def job_of(stage):
    result = JobResult(job="rollout", recipe="tiny", run_id="r1")
    return Job(recipe_of(stage.two), stage.settings, "r1", result)


def switch(stage, version):
    job = job_of(stage)
    with running.holding(job) as shift:
        running.switch(job, shift, version, recipe_of(version))
    return job


def test_one_that_waits_is_asked_about_again_with_another_prompt(stage):
    stage.roll(stage.two)
    with pytest.raises(NothingToDo, match="version 2 waits for a person"):
        switch(stage, stage.two)
    prompt = {**stage.two.recipe["prompt"], "version": 7}
    other = stage.two.model_copy(update={"recipe": {**stage.two.recipe, "prompt": prompt}})
    assert other.recipe != stage.two.recipe
    job = switch(stage, other)
    assert job.result.detail["decision"] == "awaiting approval"
    state = stage.state()
    assert (state.awaits, state.version("2")) == ("2", other)
    assert state.weights == {"1": 50, "2": 50}
    assert events(stage)[-1] == "2 waits for approval"
    with pytest.raises(NothingToDo, match="version 2 waits for a person"):
        switch(stage, other)
