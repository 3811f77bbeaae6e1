"""GPUs are counted before a version is started; a router in this process tells of them."""

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from tests.twin import twins
from tests.twin.rollout.serve_in_process import MODEL, ServeInProcess, versions
from twin.domain.errors import BadDataError, TryAgainError
from twin.domain.observation import Gpus, RouterReports
from twin.domain.rollout import RolloutState
from twin.rollout.room import check_room
from twin.rollout.transitions import dark, shifted
from twin.serving.access import Keys
from twin.serving.api import create_app
from twin.serving.errors import ApiError
from twin.serving.observing import ObservedBackend
from twin.stores.endpoint import Endpoint


@pytest.fixture
def own(settings, tmp_path):
    return settings.model_copy(
        update={
            "home": tmp_path,
            "recipes": tmp_path / "recipes",
            "api_keys": (SecretStr("key"),),
        }
    )


@pytest.fixture
def served(own):
    """Versions 1, 2 and 3, whose engines reserve GPUs."""
    twins.write_recipe(own.recipes)

    def make(gpus=1, **knobs):
        made = versions(own, "1", "2", "3")
        return [with_serving(item, gpus_per_replica=gpus, **knobs) for item in made]

    return make


def with_serving(item, **knobs):
    serving = {**item.recipe["serving"], **knobs}
    return item.model_copy(update={"recipe": {**item.recipe, "serving": serving}})


def endpoint(own, total, free, asked=None):
    async def report(model, since):
        if asked is not None:
            asked.append(model)
        if total is None:
            raise ApiError.unavailable("router")
        gpus = None if free is None else Gpus(total=total, free=free)
        return RouterReports(replicas=(), gpus=gpus)

    app = create_app(
        ObservedBackend(ServeInProcess(), reporting=report), Keys(own.api_keys), 10_000
    )
    return Endpoint(own, TestClient(app))


def state_of(*items, **more):
    return RolloutState(model=MODEL, versions=items[:1], weights={items[0].name: 100}, **more)


@pytest.mark.parametrize(("total", "free"), [(2, 1), (3, 1), (8, 8)])
def test_a_version_that_fits_is_begun(served, own, total, free):
    one, two, _ = served()
    check_room([state_of(one)], MODEL, two, own, endpoint(own, total, free))


def test_two_that_are_too_many_for_the_cluster_are_told_what_to_do(served, own):
    one, two, _ = served()
    with pytest.raises(BadDataError) as error:
        check_room([state_of(one)], MODEL, two, own, endpoint(own, 1, 0))
    said = str(error.value)
    assert "version 2 of twin-tiny needs 1 GPUs beside what serves, which keeps 1 of 1" in said
    assert "serving.adapters: shared" in said


def test_gpus_that_others_have_are_waited_for(served, own):
    one, two, _ = served()
    with pytest.raises(TryAgainError, match="0 of 2 are free: others have them now"):
        check_room([state_of(one)], MODEL, two, own, endpoint(own, 2, 0))


@pytest.mark.parametrize(("most", "fits"), [(None, False), (1.0, False), (2.0, True)])
def test_a_cluster_that_grows_has_room_for_what_it_may_become(served, own, most, fits):
    one, two, _ = served()
    grows = own.model_copy(update={"ray_most_gpus": most})
    if fits:
        check_room([state_of(one)], MODEL, two, grows, endpoint(own, 1, 0))
    else:
        with pytest.raises(BadDataError):
            check_room([state_of(one)], MODEL, two, grows, endpoint(own, 1, 0))


def test_every_replica_of_an_engine_needs_its_own(served, own):
    one, two, _ = served(gpus=2, replicas=2)
    with pytest.raises(TryAgainError, match="needs 4 GPUs"):
        check_room([state_of(one)], MODEL, two, own, endpoint(own, 8, 3))
    check_room([state_of(one)], MODEL, two, own, endpoint(own, 8, 4))
    scaled = with_serving(two, replicas=None, autoscaling={"least": 0, "most": 5})
    check_room([state_of(one)], MODEL, scaled, own, endpoint(own, 8, 2))
    scaled = with_serving(two, replicas=None, autoscaling={"least": 3, "most": 5})
    with pytest.raises(BadDataError, match="needs 6 GPUs beside what serves, which keeps 4 of 8"):
        check_room([state_of(one)], MODEL, scaled, own, endpoint(own, 8, 4))
    more = with_serving(one, replicas=3)
    with pytest.raises(TryAgainError, match="needs 2 GPUs"):
        check_room([state_of(one)], MODEL, more, own, endpoint(own, 8, 1))


def test_what_a_rollout_that_was_killed_holds_is_given_back(served, own):
    one, two, three = served()
    killed = shifted(dark(state_of(one), two), two, 50)
    check_room([killed], MODEL, three, own, endpoint(own, 2, 0))
    asked = []
    check_room([killed], MODEL, two, own, endpoint(own, 2, 0, asked))
    assert asked == [], "its engine runs already"


def test_what_shares_an_engine_or_needs_no_gpu_asks_nobody(served, own):
    one, two, _ = served(gpus=0)
    asked = []
    check_room([state_of(one)], MODEL, two, own, endpoint(own, 0, 0, asked))
    one, two, _ = served()
    same = two.model_copy(update={"version": "1", "name": "1-0123abcd", "engine": "1"})
    check_room([state_of(one)], MODEL, same, own, endpoint(own, 1, 0, asked))
    warm = state_of(one, warm=two)
    check_room([warm], MODEL, two, own, endpoint(own, 2, 0, asked))
    adapters = [
        with_serving(each, engine="vllm", adapters="shared").model_copy(
            update={"weights": "adapter", "base_uri": "/base", "base_digest": "b"}
        )
        for each in (one, two)
    ]
    check_room([state_of(adapters[0])], MODEL, adapters[1], own, endpoint(own, 1, 0, asked))
    assert asked == []


def test_other_twins_keep_theirs(served, own):
    one, two, _ = served()
    other = state_of(one).model_copy(update={"model": "twin-other"})
    with pytest.raises(BadDataError, match="keeps 2 of 2"):
        check_room([state_of(one), other], MODEL, two, own, endpoint(own, 2, 0))


@pytest.mark.parametrize(("total", "free"), [(None, None), (1, None)])
def test_an_endpoint_that_does_not_say_holds_nothing_up(served, own, total, free):
    one, two, _ = served()
    check_room([state_of(one)], MODEL, two, own, endpoint(own, total, free))
