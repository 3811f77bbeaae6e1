import pytest
from ray.serve.schema import ServeDeploySchema

from twin.domain.errors import BadDataError
from twin.domain.rollout import RolloutState, ServedVersion
from twin.recipes import load_recipe
from twin.stores.serve_config import recipe_of, render, routes


@pytest.fixture
def recipe(root):
    return load_recipe("handbook", root / "include" / "recipes").model_dump(mode="json")


@pytest.fixture
def state(recipe):
    def make(model="twin-handbook", **weights):
        versions = tuple(
            ServedVersion(
                version=version[1:],
                weights_uri=f"/files/models/{version}",
                weights_digest="d" * 64,
                recipe=recipe,
            )
            for version in weights
        )
        shares = {version[1:]: weight for version, weight in weights.items() if weight}
        return RolloutState(model=model, versions=versions, weights=shares)

    return make


def applications(config):
    return {item["name"]: item for item in config["applications"]}


def test_ray_accepts_it(state, settings):
    config = render([state(v7=90, v8=10), state("twin-other", v1=100)], settings)
    parsed = ServeDeploySchema.model_validate(config)
    assert [app.name for app in parsed.applications] == [
        "router",
        "twin-handbook-v7",
        "twin-handbook-v8",
        "twin-other-v1",
    ]


def test_with_nothing_in_service_there_is_the_router(settings):
    config = render([], settings)
    assert list(applications(config)) == ["router"]
    ServeDeploySchema.model_validate(config)


def test_callers_reach_the_router_only(state, settings):
    found = applications(render([state(v7=100)], settings))
    assert found["router"]["route_prefix"] == "/"
    assert found["twin-handbook-v7"]["route_prefix"] is None


def test_the_router_knows_versions_weights_and_limits(state):
    assert routes([state(v7=90, v8=10)]) == {
        "models": {
            "twin-handbook": {"versions": {"7": 90, "8": 10}, "max_question_characters": 4000}
        }
    }
    assert routes([state(v7=0)])["models"]["twin-handbook"]["versions"] == {"7": 0}


def test_a_change_of_weights_changes_nothing_but_the_routers_user_config(state, settings):
    before = render([state(v7=100, v8=0)], settings)
    after = render([state(v7=50, v8=50)], settings)
    routers = [applications(config).pop("router") for config in (before, after)]
    assert before["applications"][1:] == after["applications"][1:]
    for router in routers:
        del router["deployments"][0]["user_config"]
    assert routers[0] == routers[1]


def test_the_order_of_models_does_not_matter(state, settings):
    one, two = state(v7=100), state("twin-other", v1=100)
    assert render([one, two], settings) == render([two, one], settings)


def test_an_answer_under_way_may_end_before_its_replica_does(state, settings, recipe):
    limit = recipe["serving"]["answer_timeout_seconds"]
    for item in render([state(v7=100)], settings)["applications"]:
        assert item["deployments"][0]["graceful_shutdown_timeout_s"] > limit


def test_no_secret_is_in_it(state, settings):
    keyed = settings.model_validate({**settings.model_dump(), "api_keys": "topsecret"})
    assert "topsecret" not in str(render([state(v7=100)], keyed))


def test_serve_listens_where_the_endpoint_is_said_to_be(settings):
    here = settings.model_copy(update={"endpoint_url": "http://127.0.0.1:8123"})
    assert render([], here)["http_options"] == {"host": "127.0.0.1", "port": 8123}


def test_keys_that_this_code_has_no_more_lock_nobody_out(state, settings):
    served = state(v7=100).versions[0]
    serving = {**served.recipe["serving"], "gone": 1}
    old = served.model_copy(update={"recipe": {**served.recipe, "gone": 1, "serving": serving}})
    assert recipe_of(old) == recipe_of(served)
    lived = state(v7=100).model_copy(update={"versions": (old,)})
    assert "twin-handbook-v7" in applications(render([lived], settings))


def test_a_value_that_this_code_does_not_take_is_refused_in_one_line(state):
    served = state(v7=100).versions[0]
    serving = {**served.recipe["serving"], "replicas": "many"}
    old = served.model_copy(update={"recipe": {**served.recipe, "serving": serving}})
    with pytest.raises(BadDataError, match=r"version 7 .*serving\.replicas"):
        recipe_of(old)
