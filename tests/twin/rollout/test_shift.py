"""What a rollout does at each step, on a router in this process."""

import threading

import pytest

from tests import servers
from tests.twin.rollout.serve_in_process import MODEL, SAID, UNANSWERABLE, Manner, listening
from twin.domain.errors import BadDataError, NothingToDo
from twin.rollout import shift as shift_module
from twin.rollout import waiting
from twin.rollout.steering import is_under_way, resume, wish
from twin.stores.rollout_states import RolloutStates
from twin.stores.serve_config import render


@pytest.fixture(autouse=True)
def close_looks(monkeypatch):
    for module in (shift_module, waiting):
        monkeypatch.setattr(module, "POLL_SECONDS", 0.1)


def events(stage):
    return [f"{item.version} {item.event}" for item in stage.state().history]


def test_a_version_goes_by_the_steps(stage):
    stage.roll(stage.two)
    assert events(stage)[-4:] == ["2 starting", "2 50%", "2 100%", "2 serving"]
    assert stage.weights == {"2": 100}
    state = stage.state()
    assert (state.previous.version, state.lease, state.progress) == ("1", None, None)


BAD_BEFORE_TRAFFIC = {
    "can't load": (Manner(loads=False), "is DEPLOY_FAILED"),
    "says nothing": (Manner(text=""), "with nothing"),
    "is another version": (Manner(version="1"), "answered as version 1, not 2"),
    "fails": (Manner(fails_after=0), "failed: HTTP 503"),
    "answers what it can't know": (Manner(answers_all=True), "should have refused"),
    "cites nothing": (Manner(cites=False), "no source supports a sentence"),
    "refuses all": (Manner(refuses=True), "gave no answer"),
}
SMOKE = [
    {"question": "Why pods?", "expect": "sources"},
    {"question": UNANSWERABLE, "expect": "refusal"},
]


@pytest.mark.parametrize("kind", BAD_BEFORE_TRAFFIC)
def test_what_is_bad_at_once_gets_no_traffic(make_stage, kind):
    manner, reason = BAD_BEFORE_TRAFFIC[kind]
    stage = make_stage(rollout={"smoke": SMOKE})
    stage.serve.manners["2"] = manner
    with pytest.raises(Exception, match=reason) as error:
        stage.roll(stage.two)
    assert "version 1 serves on" in str(error.value)
    assert stage.weights == {"1": 100}
    # A version that does not answer may do so later; what it answers will not change.
    ending = "interrupted" if kind == "fails" else "failed"
    assert events(stage)[-1] == f"2 {ending}"
    assert reason in stage.state().history[-1].message
    assert not [item for item in events(stage) if item.startswith("2 5")]
    assert stage.serve.config == render([stage.state()], stage.settings)


def test_weights_that_are_not_those_registered_are_never_started(stage):
    other = stage.two.model_copy(update={"weights_digest": "0" * 64})
    with pytest.raises(BadDataError, match="not the weights that were registered"):
        stage.roll(other)
    nowhere = stage.two.model_copy(update={"weights_uri": f"{stage.two.weights_uri}9"})
    with pytest.raises(BadDataError, match="no weights at"):
        stage.roll(nowhere)
    assert [item for item in events(stage) if item == "2 starting"] == []


def questions(settings, stop, tally, number=1):
    """Ask one question after another, each a conversation of its own, half of them by streams."""
    import httpx

    headers = {"Authorization": "Bearer key"}
    with httpx.Client(base_url=settings.endpoint_url, headers=headers, timeout=20) as client:
        while not stop.is_set():
            number += 2
            body = {"question": f"Question {number}?", "stream": bool(number % 4 == 1)}
            try:
                response = client.post("/v1/answers", json=body)
                tally.append(response.status_code)
            except httpx.HTTPError as error:
                tally.append(repr(error))


@pytest.fixture
def under_load(make_stage):
    """Bring version 2 in while callers ask; returns the stage, and the statuses they got."""

    def run(manner, serving, during=lambda stage: None):
        stage = make_stage(**serving)
        stage.serve.manners["2"] = manner
        stop, tally = threading.Event(), []
        with listening(stage.serve, stage.settings) as settings:
            callers = [
                threading.Thread(target=questions, args=(settings, stop, tally, number))
                for number in range(2)
            ]
            for caller in callers:
                caller.start()
            act = threading.Thread(target=during, args=(stage,))
            act.start()
            try:
                with_port = stage.__class__(**{**stage.__dict__, "settings": settings})
                with_port.client = None
                with_port.roll(stage.two)
            except BadDataError as error:
                stage.error = str(error)
            finally:
                stop.set()
                for thread in (*callers, act):
                    thread.join(20)
        return stage, tally

    return run


CANARY = {
    "traffic_steps": [20, 100],
    "step_seconds": 0.5,
    "rollout": {"analysis_seconds": 30, "analysis": [{"metric": "errors"}]},
}
WORSE = {
    "errors": Manner(fails_after=5),
    "first_token": Manner(first_seconds=0.1),
    "guardrails": Manner(text="Write to [removed]."),
    "grounded": Manner(cites=False),
    "refusals": Manner(refuses=True),
}


@pytest.mark.parametrize("metric", WORSE)
def test_what_shows_under_traffic_ends_at_the_canary(under_load, metric):
    knobs = {**CANARY, "rollout": {"analysis_seconds": 60, "analysis": [{"metric": metric}]}}
    stage, _ = under_load(WORSE[metric], knobs)
    assert f"{metric}: failed" in stage.error
    assert stage.weights == {"1": 100}
    assert events(stage)[-2:] == ["2 20%", "2 failed"]


def test_a_good_version_passes_and_nobody_is_lost(under_load):
    stage, tally = under_load(Manner(), CANARY)
    assert stage.weights == {"2": 100}
    assert set(tally) == {200}
    assert len(tally) > 20


def test_mirrored_answers_decide_before_anyone_gets_one(under_load):
    knobs = {
        "traffic_steps": [50, 100],
        "step_seconds": 0,
        "rollout": {
            "shadow_percent": 100,
            "shadow_seconds": 60,
            "analysis": [{"metric": "errors"}],
        },
    }
    stage, tally = under_load(Manner(fails_after=1), knobs)
    assert "errors: failed" in stage.error
    assert events(stage)[-2:] == ["2 shadow", "2 failed"]
    assert set(tally) == {200}, "no caller has met it"
    assert stage.state().shadow == 0


def test_a_pause_holds_the_share_and_promote_goes_on(under_load):
    shares = []

    def steer(stage):
        servers.wait_until(lambda: "2 20%" in events(stage), "the canary", 20)
        wish(stage.states, MODEL, "pause")
        # A step is written down before the router has it.
        servers.wait_until(lambda: stage.weights.get("2") == 20, "its share", 20)
        shares.append(dict(stage.weights))
        with pytest.raises(NothingToDo, match="already"):
            wish(stage.states, MODEL, "pause")
        resume(stage.states, MODEL)
        wish(stage.states, MODEL, "promote")

    never = {"metric": "feedback", "inconclusive": "abort"}
    knobs = {**CANARY, "step_seconds": 60, "rollout": {"analysis": [never]}}
    stage, tally = under_load(Manner(), knobs, steer)
    assert shares == [{"1": 80, "2": 20}]
    assert stage.weights == {"2": 100}
    assert set(tally) == {200}


def test_an_end_by_hand_puts_the_weights_back(under_load):
    def steer(stage):
        servers.wait_until(lambda: "2 20%" in events(stage), "the canary", 20)
        wish(stage.states, MODEL, "pause")
        wish(stage.states, MODEL, "abort")

    stage, _ = under_load(Manner(), {**CANARY, "step_seconds": 60}, steer)
    assert "ended by hand" in stage.error
    assert stage.weights == {"1": 100}


def test_what_stays_undecided_is_as_the_recipe_says(make_stage):
    undecided = {"metric": "feedback", "inconclusive": "abort"}
    stage = make_stage(rollout={"analysis": [undecided]})
    with pytest.raises(BadDataError, match="undecided, and the recipe says abort: feedback"):
        stage.roll(stage.two)
    stage = make_stage("proceeds", rollout={"analysis": [{"metric": "feedback"}]})
    stage.roll(stage.two)
    assert stage.weights == {"2": 100}


class Overtaken(RolloutStates):
    """States in which a person wishes for something while the rollout is about to pause itself."""

    def __init__(self, settings, what):
        super().__init__(settings)
        self.plain = RolloutStates(settings)
        self.what = what

    def change(self, model, change):
        def pausing(state):
            after = change(state)
            if self.what and (state.wish, after.wish) == (None, "pause"):
                what, self.what = self.what, None
                wish(self.plain, model, what)
            return after

        return super().change(model, pausing)


@pytest.mark.parametrize("what", ["promote", "abort"])
def test_a_pause_does_not_take_the_place_of_what_a_person_wishes(make_stage, what):
    undecided = {"metric": "feedback", "inconclusive": "pause"}
    stage = make_stage(rollout={"analysis": [undecided]})
    stage.states = Overtaken(stage.settings, what)
    # A rollout that paused all the same would wait for ever.
    late = threading.Timer(20, lambda: resume(stage.states, MODEL))
    late.start()
    try:
        if what == "promote":
            stage.roll(stage.two)
        else:
            with pytest.raises(BadDataError, match="ended by hand"):
                stage.roll(stage.two)
        assert late.is_alive()
    finally:
        late.cancel()
    assert stage.states.what is None
    assert stage.weights == ({"2": 100} if what == "promote" else {"1": 100})


def test_nothing_is_asked_of_a_rollout_that_is_not_there(stage):
    for act in (lambda: wish(stage.states, MODEL, "abort"), lambda: resume(stage.states, MODEL)):
        with pytest.raises(NothingToDo, match="no rollout of twin-tiny is under way"):
            act()
    assert not is_under_way(stage.state())


def test_the_version_before_is_kept_warm(make_stage):
    stage = make_stage(rollout={"warm_seconds": 600})
    stage.roll(stage.two)
    assert stage.weights == {"2": 100, "1": 0}
    assert "twin-tiny-v1" in stage.serve.applications()
    asked = stage.client.post("/v1/answers", json={"question": "Why?", "model": "twin-tiny-v1"})
    assert asked.json()["model_version"] == "1"
    started = stage.serve.config
    stage.roll(stage.one)
    assert stage.weights == {"1": 100, "2": 0}
    names = {item["name"]: item for item in stage.serve.config["applications"]}
    before = {item["name"]: item for item in started["applications"]}
    assert names["twin-tiny-v1"] == before["twin-tiny-v1"], "it was not started anew"
    stage.roll(stage.three)
    assert "twin-tiny-v2" not in stage.serve.applications(), "one is kept, not all"


def test_an_answer_says_which_version_it_is_of(stage):
    stage.roll(stage.two)
    body = stage.client.post("/v1/answers", json={"question": "Why?"}).json()
    assert (body["model_version"], body["answer"]) == ("2", SAID)
