"""The jobs of `twin rollout` in this process, on the router of test_shift.py; no registry is there.

As commands, and with a registry: test_commands.py.
"""

import contextlib
import threading
from datetime import UTC, datetime

import pytest

from tests import servers
from tests.twin.rollout.serve_in_process import MODEL, listening
from tests.twin.rollout.test_shift import close_looks, events
from twin.domain.errors import BadDataError, NothingToDo, TryAgainError
from twin.domain.rollout import RolloutState
from twin.job import Job, JobResult
from twin.rollout import running
from twin.rollout.lease import Owner
from twin.rollout.transitions import baseline, dark, settled, shifted
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
    name = f"2-{other.configuration}"
    assert (state.awaits, state.version(name).recipe) == (name, other.recipe)
    assert state.weights == {"1": 50, name: 50}
    assert events(stage)[-1] == f"{name} waits for approval"
    assert job.result.ids["model_version"] == name
    assert job.result.ids["configuration"] == other.configuration
    with pytest.raises(NothingToDo, match=f"version {name} waits for a person"):
        switch(stage, other)


def test_a_rollback_goes_to_the_very_name_before_any_other_configuration_of_its_version(stage):
    other = stage.one.model_copy(update={"name": "1-0123abcd"})
    one_of_two = RolloutState(
        model=MODEL, versions=(stage.one,), weights={"1": 100}, previous=other
    )
    stage.states.save(one_of_two)
    assert one_of_two.rollback_target == other
    assert running.rollback_target(job_of(stage), "1") == stage.one
    assert running.rollback_target(job_of(stage), "1-0123abcd") == other


@pytest.mark.parametrize("name", ["1-ffffffff", "9-zzz", "newest", ""])
def test_a_rollback_to_what_never_served_says_so_without_the_registry(stage, name):
    with pytest.raises(BadDataError, match=r"no version .* of twin-tiny has served.*history"):
        running.rollback_target(job_of(stage), name)


def test_only_the_version_that_a_person_was_shown_is_promoted(stage):
    def promote(version):
        running.promote(job_of(stage), version, only_waiting=True)

    with pytest.raises(NothingToDo, match="no version of twin-tiny waits for approval"):
        promote("2")
    stage.roll(stage.two)
    with pytest.raises(NothingToDo, match="version 3 of twin-tiny waits no more: 2 does"):
        promote("3")
    assert stage.weights == {"1": 50, "2": 50}
    # Whoever looks after a version that waits holds the lease for a moment: the answer waits.
    with meanwhile(stage, lambda owner: owner.change(lambda state: state)):
        promote("2")
    assert stage.weights == {"2": 100}


@pytest.mark.parametrize("act", [running.promote, running.abort])
def test_an_old_answer_touches_no_rollout_under_way(stage, act):
    """Version 2 is brought in again, after a person was asked about it for the first time."""
    with Owner(stage.states, MODEL, "again") as owner:
        owner.change(lambda state: shifted(dark(state, stage.two), stage.two, 20))
        with pytest.raises(NothingToDo, match="no version of twin-tiny waits for approval"):
            act(job_of(stage), "2", only_waiting=True)
        assert owner.state().wish is None


@pytest.mark.parametrize("act", [running.promote, running.abort])
def test_an_answer_that_another_one_has_overtaken_does_nothing(stage, act):
    stage.roll(stage.two)
    now = datetime.now(UTC)
    with (
        meanwhile(stage, lambda owner: owner.change(lambda state: settled(state, stage.two, now))),
        pytest.raises(NothingToDo, match="no version of twin-tiny waits for approval"),
    ):
        act(job_of(stage), "2", only_waiting=True)
    assert stage.state().serving.version == "2"


@contextlib.contextmanager
def meanwhile(stage, act):
    """Somebody else holds the lease at first, and does something before giving it back."""
    with contextlib.ExitStack() as held:
        owner = held.enter_context(Owner(stage.states, MODEL, "other"))

        def end():
            act(owner)
            held.close()

        timer = threading.Timer(1, end)
        timer.start()
        yield
        timer.join()


def test_an_end_that_comes_too_late_says_so(stage):
    """The rollout has ended while its end was waited for."""
    now = datetime.now(UTC)
    stage.roll(stage.two)
    with (
        meanwhile(stage, lambda owner: owner.change(lambda state: settled(state, stage.two, now))),
        pytest.raises(NothingToDo, match=r"version 2 has ended meanwhile.* `twin rollout rollback"),
    ):
        running.abort(job_of(stage))
    assert stage.state().weights == {"2": 100}
    assert "failed" not in events(stage)[-1]


def test_only_the_version_that_is_named_is_ended(stage):
    stage.roll(stage.two)

    def overtake(owner):
        owner.change(lambda state: shifted(dark(state, stage.three), stage.three, 20))
        owner.change(lambda state: state.model_copy(update={"progress": None, "awaits": "3"}))

    with meanwhile(stage, overtake), pytest.raises(NothingToDo, match="version 2 of twin-tiny"):
        running.abort(job_of(stage), "2")
    assert stage.state().weights == {"1": 80, "3": 20}


def test_an_end_asked_for_is_done_by_the_rollout_itself(stage):
    """What served before is no version that has failed."""
    stage.roll(stage.two)
    with meanwhile(stage, lambda owner: owner.change(baseline)):
        running.abort(job_of(stage), "2")
    assert stage.state().weights == {"1": 100}
    assert not [item for item in events(stage) if item == "1 failed"]


def test_an_end_that_is_not_in_force_is_no_success(stage, monkeypatch):
    stage.roll(stage.two)

    def away():
        raise TryAgainError("Serve does not answer")

    job = job_of(stage)
    with running.holding(job) as shift, monkeypatch.context() as during:
        during.setattr(shift._deployments, "apply", lambda render: away())
        with pytest.raises(TryAgainError, match=r"not backed out.*Serve does not answer"):
            shift.back_out(BadDataError("ended by hand"))
    assert stage.state().weights == {"1": 100}
