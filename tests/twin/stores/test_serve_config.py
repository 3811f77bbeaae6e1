import os

import pytest
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import ServeDeploySchema

from twin.domain.errors import BadDataError
from twin.domain.rollout import RolloutState, ServedVersion
from twin.recipes import ServingSection, load_recipe
from twin.stores.registry import ModelVersion
from twin.stores.serve_config import (
    applications_of,
    engines_alike,
    recipe_of,
    render,
    routes,
    served_version,
)


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
        "twin-handbook-v7-engine",
        "twin-handbook-v8-engine",
        "twin-other-v1-engine",
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
    assert found["twin-handbook-v7-engine"]["route_prefix"] is None


def test_the_router_knows_versions_weights_and_limits(state):
    assert routes([state(v7=90, v8=10)]) == {
        "models": {
            "twin-handbook": {
                "generation": 0,
                "versions": {"7": 90, "8": 10},
                "sticky": "conversation",
                "shadow": 0,
                "mirror": "8",
                "max_question_characters": 4000,
                "answers_kept_days": 30,
                "author": "The Keeper of the Handbook",
                "prompts": {"7": "3", "8": "3"},
                "probe_question": "Why is every job a pod?",
                "notice": "An AI answers here in the manner of The Keeper of the Handbook, from "
                "The Keeper of the Handbook's texts. It can be wrong: check the sources.",
            }
        }
    }
    assert routes([state(v7=0)])["models"]["twin-handbook"]["versions"] == {"7": 0}


def test_a_warm_version_runs_without_traffic(state, settings):
    warm = state(v6=100).versions[0]
    kept = state(v7=100).model_copy(update={"warm": warm, "generation": 9, "shadow": 3})
    config = render([kept], settings)
    assert {"twin-handbook-v6", "twin-handbook-v6-engine"} <= applications(config).keys()
    route = routes([kept])["models"]["twin-handbook"]
    assert route["versions"] == {"7": 100, "6": 0}
    assert (route["generation"], route["shadow"], route["mirror"]) == (9, 3, None)


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


def deployment(config, application):
    [deployment] = applications(config)[application]["deployments"]
    return deployment


def with_serving(state, **knobs):
    """The state with other knobs of serving in each version's recipe."""
    versions = tuple(
        item.model_copy(
            update={"recipe": {**item.recipe, "serving": {**item.recipe["serving"], **knobs}}}
        )
        for item in state.versions
    )
    return state.model_copy(update={"versions": versions})


def shared(state, base="b" * 64):
    """The state with adapters of one base instead of merged weights."""
    versions = tuple(
        item.model_copy(
            update={"weights": "adapter", "base_uri": "/files/base", "base_digest": base}
        )
        for item in state.versions
    )
    return state.model_copy(update={"versions": versions})


def test_the_engine_reserves_the_cores_that_it_uses(state, settings):
    serving = with_serving(state(v7=100), cpus_per_replica=3, replicas=2)
    config = render([serving], settings)
    engine = deployment(config, "twin-handbook-v7-engine")
    assert engine["num_replicas"] == 2
    assert engine["ray_actor_options"] == {"num_cpus": 3, "num_gpus": 0}
    arguments = applications(config)["twin-handbook-v7-engine"]["args"]
    assert arguments["serving"]["cpus_per_replica"] == 3
    assert arguments["weights_uri"] == "/files/models/v7"
    version = deployment(config, "twin-handbook-v7")
    assert version["ray_actor_options"]["num_cpus"] < 1
    assert version["ray_actor_options"]["num_gpus"] == 0


def test_left_open_a_laptop_gives_all_cores_to_one_engine(state, settings):
    open_ = with_serving(state(v7=100), replicas=None, version_replicas=None)
    here = render([open_], settings)
    engine = deployment(here, "twin-handbook-v7-engine")
    assert (engine["num_replicas"], engine["ray_actor_options"]["num_cpus"]) == (1, os.cpu_count())
    assert deployment(here, "twin-handbook-v7")["num_replicas"] == 1
    there = render([open_], settings.model_copy(update={"ray_service": "twin/twin"}))
    engine = deployment(there, "twin-handbook-v7-engine")
    assert (engine["num_replicas"], engine["ray_actor_options"]["num_cpus"]) == (2, 3)
    assert deployment(there, "twin-handbook-v7")["num_replicas"] == 2


def test_a_version_knows_its_engine(state, settings):
    found = applications(render([state(v7=100)], settings))
    arguments = found["twin-handbook-v7"]["args"]
    assert (arguments["engine"], arguments["adapter"]) == ("twin-handbook-v7-engine", None)
    assert arguments["served"]["version"] == "7"


def test_adapters_of_one_base_share_one_engine(state, settings):
    one, other = shared(state(v7=90, v8=10)), shared(state("twin-other", v1=100))
    config = render([one, other], settings)
    [engine] = [name for name in applications(config) if name.startswith("engine-")]
    assert set(deployment(config, engine)["user_config"]["adapters"]) == {
        "twin-handbook-v7",
        "twin-handbook-v8",
        "twin-other-v1",
    }
    adapter = deployment(config, engine)["user_config"]["adapters"]["twin-handbook-v8"]
    assert adapter == {"uri": "/files/models/v8", "digest": "d" * 64}
    assert applications(config)[engine]["args"]["weights_uri"] == "/files/base"
    arguments = applications(config)["twin-other-v1"]["args"]
    assert (arguments["engine"], arguments["adapter"]) == (engine, "twin-other-v1")
    served = one.versions[0]
    assert applications_of("twin-handbook", served) == {"twin-handbook-v7", engine}


def test_a_further_version_changes_only_the_user_config_of_a_shared_engine(state, settings):
    before = render([shared(state(v7=100))], settings)
    after = render([shared(state(v7=100, v8=0))], settings)
    [engine] = [name for name in applications(before) if name.startswith("engine-")]
    old, new = applications(before)[engine], applications(after)[engine]
    assert old["deployments"][0].pop("user_config") != new["deployments"][0].pop("user_config")
    assert old == new


@pytest.mark.parametrize(
    "knobs",
    [
        {"llama_cpp": {"quantisation": "f16"}},
        {"llama_cpp": {"parallel": 3}},
        {"engine": "vllm"},
        {"cpus_per_replica": 5},
        {"replicas": 7},
    ],
)
def test_other_knobs_or_another_base_make_another_engine(state, settings, knobs):
    def engines(*states):
        config = render(list(states), settings)
        return {name for name in applications(config) if name.startswith("engine-")}

    plain = shared(state(v7=100))
    assert engines(plain) != engines(with_serving(plain, **knobs))
    assert engines(plain) != engines(shared(state(v7=100), base="c" * 64))


def test_a_remote_model_has_no_engine_here(state, settings):
    remote = {"base_url": "https://models.example/v1", "model": "big"}
    served = with_serving(state(v7=100), engine="remote", remote=remote)
    config = render([served], settings)
    assert list(applications(config)) == ["router", "twin-handbook-v7"]
    assert applications(config)["twin-handbook-v7"]["args"]["engine"] is None
    assert applications_of("twin-handbook", served.versions[0]) == {"twin-handbook-v7"}


def test_the_queue_before_the_engine_is_the_recipes(state, settings):
    config = render([with_serving(state(v7=100), max_queued_requests=5)], settings)
    assert deployment(config, "twin-handbook-v7-engine")["max_queued_requests"] == 5


@pytest.mark.parametrize(
    ("knobs", "at_once"),
    [
        ({"engine": "transformers", "answers_at_once": 3}, 3),
        ({"engine": "llama.cpp", "llama_cpp": {"parallel": 5}}, 10),
    ],
)
def test_an_engine_takes_what_it_writes_at_once(state, settings, knobs, at_once):
    config = render([with_serving(state(v7=100), **knobs)], settings)
    assert deployment(config, "twin-handbook-v7-engine")["max_ongoing_requests"] == at_once


def test_vllm_says_itself_what_it_reserves(state, settings):
    config = render([with_serving(state(v7=100), engine="vllm")], settings)
    engine = applications(config)["twin-handbook-v7-engine"]
    assert engine["import_path"] == "twin.serving.vllm_engine:build"
    assert "ray_actor_options" not in engine["deployments"][0]
    ServeDeploySchema.model_validate(config)


def registered(**tags):
    return ModelVersion("twin-a", "7", "/files/models/a", "d" * 64, "r", tags)


def test_a_registered_version_is_served_as_what_it_was_registered_as(root):
    recipe = load_recipe("handbook", root / "include" / "recipes")
    merged = served_version(registered(), recipe)
    assert (merged.version, merged.weights) == ("7", "merged")
    assert merged.model_source == ("/files/models/a", "d" * 64)
    base = {"weights": "adapter", "base_uri": "/files/base", "base_digest": "b" * 64}
    adapter = served_version(registered(**base), recipe)
    assert adapter.model_source == ("/files/base", "b" * 64)
    assert adapter.weights_uri == "/files/models/a"


def test_an_adapter_is_not_given_to_an_engine_that_takes_none(root):
    recipe = load_recipe("handbook", root / "include" / "recipes")
    serving = recipe.serving.model_copy(update={"engine": "transformers"})
    with pytest.raises(BadDataError, match="version 7 is an adapter, and the engine transformers"):
        served_version(
            registered(weights="adapter", base_uri="/b", base_digest="b" * 64),
            recipe.model_copy(update={"serving": serving}),
        )


def test_replicas_come_and_go_where_the_recipe_says_so(state, settings):
    scaled = with_serving(
        state(v7=100), replicas=None, autoscaling={"least": 0, "most": 3, "idle_seconds": 60}
    )
    engine = deployment(render([scaled], settings), "twin-handbook-v7-engine")
    assert "num_replicas" not in engine
    parsed = ServeDeploySchema.model_validate(render([scaled], settings))
    [ours] = [app for app in parsed.applications if app.name == "twin-handbook-v7-engine"]
    scaling = ours.deployments[0].autoscaling_config
    parallel = recipe_of(scaled.versions[0]).serving.llama_cpp.parallel
    assert scaling == {
        "min_replicas": 0,
        "initial_replicas": 1,
        "max_replicas": 3,
        "target_ongoing_requests": parallel,
        "upscale_delay_s": 5,
        "downscale_delay_s": 60,
    }
    AutoscalingConfig.model_validate(scaling)
    busier = with_serving(
        state(v7=100),
        replicas=None,
        autoscaling={"least": 2, "most": 3, "ongoing_requests": 9},
    )
    scaling = deployment(render([busier], settings), "twin-handbook-v7-engine")[
        "autoscaling_config"
    ]
    assert (scaling["min_replicas"], scaling["initial_replicas"]) == (2, 2)
    assert scaling["target_ongoing_requests"] == 9


def test_replicas_are_said_once_and_the_least_is_least(state):
    for serving, why in (
        ({"replicas": 2, "autoscaling": {"most": 3}}, "leave out one"),
        ({"replicas": None, "autoscaling": {"least": 4, "most": 3}}, "more than most"),
        ({"replicas": None, "autoscaling": {"most": 0}}, "greater than 0"),
    ):
        with pytest.raises(BadDataError, match=why):
            recipe_of(with_serving(state(v7=100), **serving).versions[0])


def test_adapters_of_other_scaling_are_in_another_engine(state, settings):
    names = set()
    for serving in ({}, {"autoscaling": {"most": 2}}, {"autoscaling": {"most": 3}}):
        scaled = with_serving(shared(state(v7=100)), replicas=None, **serving)
        names |= {name for name in applications(render([scaled], settings)) if "engine" in name}
    assert len(names) == 3


def test_two_configurations_of_one_version_share_its_engine(state, settings):
    first = state(v7=100).versions[0]
    retrieval = {**first.recipe["retrieval"], "min_score": 0.3}
    other = first.model_copy(
        update={"name": "7-0123abcd", "recipe": {**first.recipe, "retrieval": retrieval}}
    )
    both = state(v7=100).model_copy(update={"versions": (first, other)})
    config = render([both], settings)
    assert list(applications(config)) == [
        "router",
        "twin-handbook-v7-engine",
        "twin-handbook-v7",
        "twin-handbook-v7-0123abcd",
    ]
    assert applications(config)["twin-handbook-v7-0123abcd"]["args"]["engine"] == (
        "twin-handbook-v7-engine"
    )
    alone = render([both.model_copy(update={"versions": (other,), "weights": {}})], settings)
    for name in ("twin-handbook-v7-engine", "twin-handbook-v7-0123abcd"):
        assert applications(config)[name] == applications(alone)[name]
    assert engines_alike(first, other, settings)
    knobs = {**first.recipe["serving"], "cpus_per_replica": 9}
    another = first.model_copy(update={"recipe": {**first.recipe, "serving": knobs}})
    assert not engines_alike(first, another, settings)
    assert not engines_alike(first, first.model_copy(update={"weights_digest": "e"}), settings)
    adapters = shared(both).versions
    assert not engines_alike(adapters[0], adapters[1], settings)
    assert not engines_alike(first, adapters[1], settings)


@pytest.mark.parametrize(
    "knobs",
    [
        {"probe_question": "Why?"},
        {"temperature": 0.9},
        {"replicas": 5},
        {"max_queued_requests": 5},
        {"notice": "An AI."},
        {"rollout": {"shadow_percent": 5}},
    ],
)
def test_an_engines_arguments_hold_only_what_it_reads(state, settings, knobs):
    """Whatever else changes would replace its replicas."""
    engine = "twin-handbook-v7-engine"
    before, after = (
        applications(render([each], settings))[engine]["args"]
        for each in (state(v7=100), with_serving(state(v7=100), **knobs))
    )
    assert before == after


@pytest.mark.parametrize(
    ("engine", "knobs"),
    [
        ("llama.cpp", {"llama_cpp": {"parallel": 3}}),
        ("llama.cpp", {"cpus_per_replica": 3}),
        ("transformers", {"answers_at_once": 3}),
        ("transformers", {"gpus_per_replica": 1}),
        ("vllm", {"vllm": {"options": {"max_num_seqs": 3}}}),
        ("vllm", {"repetition_penalty": 1.3}),
        ("vllm", {"answer_timeout_seconds": 33}),
        ("vllm", {"replicas": 3}),
        ("vllm", {"adapters": "shared"}),
    ],
)
def test_an_engines_arguments_hold_what_it_reads(state, settings, engine, knobs):
    found = with_serving(state(v7=100), engine=engine, **knobs)
    serving = recipe_of(found.versions[0]).serving
    arguments = applications(render([found], settings))["twin-handbook-v7-engine"]["args"]
    read = ServingSection.model_validate(arguments["serving"])
    assert read.engine_kind == engine
    for key in knobs:
        assert getattr(read, key) == getattr(serving, key)
