from datetime import UTC, datetime

import pytest

from tests.twin.rollout.serve_in_process import versions
from twin.domain.rollout import RolloutState, registered_number
from twin.rollout.naming import called, is_as
from twin.rollout.transitions import event, noted, settled

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def seven(settings, tmp_path):
    """Version 7 of the recipe tiny, and others of its configurations by knobs."""
    from tests.twin import twins

    own = settings.model_copy(update={"home": tmp_path, "recipes": tmp_path / "recipes"})
    twins.write_recipe(own.recipes)
    [made] = versions(own, "7")

    def make(section="retrieval", **knobs):
        recipe = {**made.recipe, section: {**made.recipe[section], **knobs}}
        return made.model_copy(update={"recipe": recipe})

    return make


def state_of(*served, **more):
    weights = {served[0].name: 100} if served else {}
    return RolloutState(model="twin-tiny", versions=served, weights=weights, **more)


def test_the_first_configuration_has_the_versions_own_name(seven, settings):
    assert called(state_of(), seven(), settings).name == "7"
    assert called(state_of(), seven(min_score=0.2), settings).name == "7"


def test_another_configuration_has_its_digest_in_its_name(seven, settings):
    first, other = seven(), seven(min_score=0.2)
    found = called(state_of(first), other, settings)
    assert found.name == f"7-{other.configuration}"
    assert registered_number(found.name) == "7"
    assert found.recipe == other.recipe
    third = called(state_of(first, found), seven(min_score=0.3), settings)
    assert len({first.name, found.name, third.name}) == 3


def test_what_is_known_keeps_its_name(seven, settings):
    first = seven()
    other = called(state_of(first), seven(min_score=0.2), settings)
    for state in (
        state_of(first, other),
        state_of(other, previous=first),
        state_of(first, previous=other),
        state_of(first, warm=other, warm_until=NOW),
    ):
        assert called(state, seven(min_score=0.2), settings).name == other.name
        assert called(state, seven(), settings).name == "7"
    # Nothing of it runs any more, but history knows it.
    later = noted(state_of(), event(NOW, "r", "serving", other))
    assert called(later, seven(min_score=0.2), settings).name == other.name
    assert called(later, seven(), settings).name == f"7-{first.configuration}"
    past = noted(later, event(NOW, "r", "serving", first))
    assert called(past, seven(), settings).name == "7"


def test_other_versions_names_are_no_concern(seven, settings):
    eight = seven(min_score=0.2).model_copy(update={"version": "8", "name": "8", "engine": "8"})
    state = noted(state_of(eight, previous=eight), event(NOW, "r", "serving", eight))
    assert called(state, seven(), settings).name == "7"
    seventy = eight.model_copy(update={"version": "77", "name": "77"})
    assert called(state_of(seventy), seven(), settings).name == "7"


def test_an_engine_is_shared_by_who_wants_the_same_of_it(seven, settings):
    first = seven()
    prompt = called(state_of(first), seven(min_score=0.2), settings)
    assert prompt.engine == "7"
    decoding = called(state_of(first), seven("serving", temperature=0.9), settings)
    assert decoding.engine == "7", "how one draws is told with each request"
    knobs = called(state_of(first), seven("serving", cpus_per_replica=2), settings)
    assert knobs.engine == knobs.name != "7"
    # Once more: what runs with the first one's engine is known by that, too.
    after = settled(state_of(first, prompt), prompt, NOW)
    assert called(after, seven(min_score=0.3), settings).engine == "7"


def test_a_state_of_older_code_is_read_as_this_one_writes_it(seven, settings):
    old = seven()
    recipe = {**old.recipe, "retrieval": {"k_of_old": 3}}
    recipe["serving"] = {k: v for k, v in old.recipe["serving"].items() if k != "drafts"}
    older = old.model_copy(update={"recipe": recipe})
    assert is_as(older, old)
    assert called(state_of(older), old, settings).name == "7"
    # Gone back to, it keeps its name, and is written as recipes are now.
    back = called(state_of(seven(min_score=0.2), previous=older), older, settings)
    assert (back.name, back.configuration) == ("7", old.configuration)
    assert not is_as(older, seven(min_score=0.2))
    assert not is_as(None, old)
    # One that nobody can read can't be gone back to, and stops nothing.
    broken = old.model_copy(update={"recipe": {"name": 7}})
    state = state_of(previous=broken)
    assert called(state, seven(), settings).name == "7"


def test_more_replicas_are_the_same_configuration(seven, settings):
    assert called(state_of(seven()), seven("serving", replicas=4), settings).name == "7"
