"""A change of configuration alone goes the way of a version: beside, canary, then full or back."""

import copy

import pytest

from tests.twin.rollout.serve_in_process import Manner
from tests.twin.rollout.test_shift import close_looks, events
from twin.domain.errors import BadDataError
from twin.domain.rollout import application_name
from twin.stores.serve_config import recipe_of

__all__ = ["close_looks"]

CHANGES = {
    "prompt": ("prompt", {"version": 4}),
    "retrieval": ("retrieval", {"min_score": 0.2}),
    "decoding": ("serving", {"temperature": 0.9}),
    "guardrails": ("serving", {"link_hosts": ["ann.example"]}),
    "embedder": ("features", {"chunk_tokens": 99}),
}


def changed(served, section, knobs):
    recipe = {**served.recipe, section: {**served.recipe[section], **knobs}}
    return served.model_copy(update={"recipe": recipe})


def applications(stage):
    return {item["name"]: item for item in stage.serve.config["applications"]}


def untouched(stage, *names):
    """Has every configuration that Serve is told compared with what it was told before."""
    kept = {name: copy.deepcopy(applications(stage)[name]) for name in names}
    seen = []

    def look():
        found = applications(stage)
        seen.append({name: found.get(name) for name in names} == kept)

    stage.serve.on_apply = look
    return seen


@pytest.mark.parametrize("kind", CHANGES)
def test_it_is_proven_beside_what_serves(make_stage, kind):
    stage = make_stage(rollout={"warm_seconds": 600})
    other = changed(stage.one, *CHANGES[kind])
    recipe_of(other)
    name = f"1-{other.configuration}"
    seen = untouched(stage, "twin-tiny-v1", "twin-tiny-v1-engine")
    stage.roll(other)
    assert events(stage)[-4:] == [
        f"{name} {each}" for each in ("starting", "50%", "100%", "serving")
    ]
    assert stage.weights == {name: 100, "1": 0}
    assert len(seen) == 4
    assert all(seen), "nothing of what served was replaced on the way"
    # The same weights: no second engine.
    assert [each for each in applications(stage) if each.endswith("-engine")] == [
        "twin-tiny-v1-engine"
    ]
    body = stage.client.post("/v1/answers", json={"question": "Why?"}).json()
    assert body["model_version"] == name
    last = stage.state().history[-1]
    assert (last.version, last.configuration) == (name, other.configuration)


def test_one_that_is_bad_never_replaces_what_serves(make_stage):
    stage = make_stage(rollout={"smoke": [{"question": "Why pods?", "expect": "sources"}]})
    other = changed(stage.one, "prompt", {"version": 4})
    name = f"1-{other.configuration}"
    seen = untouched(stage, "twin-tiny-v1", "twin-tiny-v1-engine")
    stage.serve.manners[name] = Manner(cites=False)
    with pytest.raises(BadDataError, match="no source supports") as error:
        stage.roll(other)
    assert f"version {name} is not in service (version 1 serves on)" in str(error.value)
    assert stage.weights == {"1": 100}
    assert all(seen)
    assert events(stage)[-1] == f"{name} failed"
    assert application_name("twin-tiny", name) not in applications(stage)
    # Once it is mended, under the same name.
    stage.serve.manners[name] = Manner()
    stage.roll(other)
    assert stage.weights == {name: 100}


def test_a_worse_one_is_ended_by_the_same_analysis(make_stage):
    """Half of the questions are mirrored; the new prompt refuses what the old one answered."""
    import threading

    analysis = [{"metric": "refusals", "count": 40, "fails_above": 0.05, "passes_below": 0.2}]
    stage = make_stage(
        step_seconds=0.1,
        rollout={"shadow_percent": 100, "shadow_seconds": 60, "analysis": analysis},
    )
    other = changed(stage.one, "prompt", {"version": 4})
    name = f"1-{other.configuration}"
    probe = recipe_of(stage.one).serving.probe_question
    stage.serve.manners[name] = Manner(refuses_but=probe)
    ended = threading.Event()

    def ask():
        number = 0
        while not ended.is_set():
            number += 1
            stage.client.post("/v1/answers", json={"question": f"Why {number}?", "stream": True})

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        with pytest.raises(BadDataError, match="answers are worse than those before: refusals"):
            stage.roll(other)
    finally:
        ended.set()
        asking.join()
    assert stage.weights == {"1": 100}
    assert f"{name} 50%" not in events(stage)


def test_going_back_restores_the_former(make_stage):
    stage = make_stage()
    other = changed(stage.one, "retrieval", {"min_score": 0.2})
    stage.roll(other)
    state = stage.state()
    assert state.rollback_target.name == "1"
    assert state.rollback_target.answers_like(stage.one)
    stage.roll(state.rollback_target)
    assert stage.weights == {"1": 100}
    assert stage.state().serving.answers_like(stage.one)
    assert stage.state().rollback_target.answers_like(other)


def test_more_replicas_take_effect_in_their_own_place(make_stage):
    stage = make_stage()
    stage.roll(changed(stage.one, "serving", {"replicas": 4}))
    assert stage.weights == {"1": 100}
    [engine] = applications(stage)["twin-tiny-v1-engine"]["deployments"]
    assert engine["num_replicas"] == 4
    assert "replicas" not in applications(stage)["twin-tiny-v1-engine"]["args"]["serving"]
