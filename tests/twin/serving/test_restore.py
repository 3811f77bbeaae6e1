import pytest
from structlog.testing import capture_logs

from tests.twin import twins
from twin.domain.rollout import RolloutState
from twin.serving.restore import states_to_serve
from twin.stores.rollout_states import RolloutStates


@pytest.fixture
def lived(settings, tmp_path):
    """A home in which three models were rolled out."""
    recipe = twins.write_recipe(tmp_path / "recipes")
    for name in ("a", "b", "c"):
        served = twins.served(recipe, "1", f"/w/{name}", "d")
        state = RolloutState(model=f"twin-{name}", versions=(served,), weights={"1": 100})
        RolloutStates(settings).save(state)
    return settings


def test_a_model_that_can_not_be_read_keeps_no_other_from_serving(lived):
    states = RolloutStates(lived)
    (lived.home / "files" / "rollouts" / "twin-a.json").write_text('{"model": ')
    state = states.load("twin-b")
    changed = state.versions[0].model_copy(update={"recipe": {"name": "of an older code"}})
    states.save(state.model_copy(update={"versions": (changed,)}))
    with capture_logs() as logs:
        assert [state.model for state in states_to_serve(lived)] == ["twin-c"]
    said = str(logs)
    assert "twin-a.json is no rollout state" in said
    assert "twin-b" in said
