import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from twin.serving.errors import ApiError
from twin.serving.routing import RoutingTable


def table(**models):
    return RoutingTable.model_validate(
        {
            "models": {
                name.replace("_", "-"): {"versions": versions, "max_question_characters": 4000}
                for name, versions in models.items()
            }
        }
    )


def test_all_traffic_goes_to_the_version_with_all_the_weight():
    routes = table(twin_handbook={"7": 100, "8": 0})
    assert {routes.target("twin-handbook", draw=d / 10).version for d in range(10)} == {"7"}


def test_a_version_without_weight_answers_those_who_pin_it():
    target = table(twin_handbook={"7": 100, "8": 0}).target("twin-handbook-v8")
    assert (target.model, target.version) == ("twin-handbook", "8")
    assert target.application == "twin-handbook-v8"


def test_a_configuration_is_pinned_by_its_digest_and_a_number_by_the_first():
    routes = table(twin_a={"7": 0, "7-0123abcd": 60, "7-89abcdef": 40, "8": 0})
    for name in ("7", "7-0123abcd", "7-89abcdef"):
        target = routes.target(f"twin-a-v{name}")
        assert (target.model, target.version, target.pinned) == ("twin-a", name, True)
        assert target.application == f"twin-a-v{name}"
    assert routes.only(frozenset({"twin-a"})).target("twin-a-v7-89abcdef").version == "7-89abcdef"
    later = table(twin_a={"7-89abcdef": 40, "7-0123abcd": 60, "8": 0})
    assert later.target("twin-a-v7").version == "7-0123abcd"
    for unknown in ("7-0123abce", "7-0123abcdx", "7-", "9"):
        with pytest.raises(ApiError, match="twin-a"):
            later.target(f"twin-a-v{unknown}")


@given(st.integers(0, 100), st.floats(0, 1, exclude_max=True))
def test_a_draw_falls_to_a_version_by_its_weight(weight, draw):
    routes = table(twin_a={"1": 100 - weight, "2": weight})
    assert routes.target("twin-a", draw=draw).version == ("1" if draw * 100 < 100 - weight else "2")


def test_traffic_follows_the_weights():
    routes = table(twin_a={"1": 90, "2": 10})
    hits = sum(routes.target("twin-a").version == "2" for _ in range(5_000))
    assert 350 < hits < 650  # six standard deviations around 500


def test_a_model_whose_name_looks_pinned_is_itself_first():
    routes = table(twin_foo={"2": 100}, twin_foo_v2={"1": 100})
    assert routes.target("twin-foo-v2").model == "twin-foo-v2"
    assert routes.target("twin-foo-v2-v1").version == "1"


@pytest.mark.parametrize(("draw", "version"), [(0.0, "1"), (0.74, "1"), (0.75, "2"), (0.99, "2")])
def test_weights_need_not_add_up_to_a_hundred(draw, version):
    """As while a rollout shifts them one by one."""
    assert table(twin_a={"1": 30, "2": 10, "3": 0}).target("twin-a", draw=draw).version == version


@pytest.mark.parametrize(
    "name", ["twin-b", "twin-a-v9", "twin-a-v", "-v1", "", "twin-a-v1-v1", "twin-a-v1x"]
)
def test_an_unknown_model_is_a_404_that_names_what_there_is(name):
    with pytest.raises(ApiError, match="twin-a") as error:
        table(twin_a={"1": 100}).target(name)
    assert error.value.status == 404


def test_a_model_without_weights_is_not_in_service_but_its_versions_are():
    routes = table(twin_a={"1": 0})
    assert routes.names() == ["twin-a-v1"]
    with pytest.raises(ApiError, match="no model"):
        routes.target("twin-a")


def test_names_are_models_with_traffic_and_all_versions_in_order():
    routes = table(twin_b={"9": 0, "2": 100}, twin_a={"1": 100}, twin_c={"4": 0})
    assert routes.names() == [
        "twin-a", "twin-a-v1", "twin-b", "twin-b-v2", "twin-b-v9", "twin-c-v4",
    ]  # fmt: skip
    assert routes.applications() == {"twin-a-v1", "twin-b-v2", "twin-b-v9", "twin-c-v4"}


def test_the_model_may_be_left_out_while_there_is_one():
    assert table(twin_a={"1": 100}).target(None).model == "twin-a"
    with pytest.raises(ApiError, match="name one: twin-a, twin-b") as error:
        table(twin_a={"1": 100}, twin_b={"1": 100}).target(None)
    assert error.value.status == 400
    with pytest.raises(ApiError, match="none yet"):
        RoutingTable.empty().target(None)


def test_a_target_says_how_long_its_answers_are_kept():
    data = table(twin_a={"1": 100}).model_dump()
    assert RoutingTable.model_validate(data).target("twin-a-v1").answers_kept_days == 30
    data["models"]["twin-a"]["answers_kept_days"] = 0
    assert RoutingTable.model_validate(data).target("twin-a-v1").answers_kept_days == 0


def test_a_table_that_older_code_has_written_is_read():
    old = {"models": {"twin-a": {"versions": {"1": 100}, "max_question_characters": 9}}}
    route = RoutingTable.model_validate(old).models["twin-a"]
    assert (route.author, route.notice) == ("", "")


@pytest.mark.parametrize("weight", [-1, 101])
def test_a_weight_out_of_range_is_refused(weight):
    with pytest.raises(ValidationError):
        table(twin_a={"1": weight})


def test_who_may_ask_for_some_models_sees_those_alone():
    routes = table(twin_a={"1": 100, "2": 0}, twin_b={"1": 100}).only(frozenset({"twin-a"}))
    assert routes.names() == ["twin-a", "twin-a-v1", "twin-a-v2"]
    assert routes.applications() == {"twin-a-v1", "twin-a-v2"}
    assert routes.target(None).model == routes.target("twin-a-v2").model == "twin-a"
    with pytest.raises(ApiError, match=r"there is twin-a$") as unknown:
        routes.target("twin-a-v3")
    assert unknown.value.status == 404


@pytest.mark.parametrize(
    "name", ["twin-b", "twin-b-v1", "twin-c", "", "twin-a-v1x", "twin-a-v1-v1"]
)
def test_what_is_not_among_them_is_a_403_whether_it_is_there_or_not(name):
    routes = table(twin_a={"1": 100}, twin_b={"1": 100}).only(frozenset({"twin-a"}))
    with pytest.raises(ApiError) as error:
        routes.target(name)
    assert (error.value.status, error.value.param) == (403, "model")


def test_who_may_ask_for_nothing_sees_nothing_and_who_may_for_all_sees_all():
    routes = table(twin_a={"1": 100})
    assert routes.only(frozenset()).names() == []
    assert routes.only(None) is routes


def test_what_may_be_asked_for_and_is_not_in_service_is_a_404():
    with pytest.raises(ApiError) as error:
        table(twin_a={"1": 100}).only(frozenset({"twin-z"})).target("twin-z")
    assert error.value.status == 404


def test_a_version_is_known_with_the_prompt_that_it_is_asked_by():
    route = {
        "versions": {"1": 90, "2": 10},
        "max_question_characters": 9,
        "prompts": {"1": "3", "2": "registry-7"},
    }
    routes = RoutingTable.model_validate({"models": {"twin-a": route}})
    assert routes.target("twin-a", draw=0).prompt == "3"
    assert routes.target("twin-a-v2").prompt == "registry-7"
    # Of a table that older code has written nobody knows.
    assert table(twin_a={"1": 100}).target("twin-a").prompt == ""
