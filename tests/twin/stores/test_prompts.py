"""The prompt registry against a real MLflow server, and beside MLflow's own client."""

import uuid

import mlflow
import pytest
from mlflow import MlflowClient
from structlog.testing import capture_logs

from tests import servers
from tests.twin import twins
from twin.domain.errors import BadDataError, TryAgainError
from twin.recipes.prompt import BUILT_IN_TEMPLATE, PromptSection
from twin.stores.champion_prompt import warn_of_another_prompt, with_champion_prompt
from twin.stores.prompts import Prompts, prompt_name
from twin.stores.registry import CHAMPION, PREVIOUS, ModelVersion, Registry
from twin.stores.serve_config import served_version

ONE = "One, {{ author }}: {{ passages }} {{ question }}"
TWO = "Two, {{ author }}: {{ passages }} {{ question }}"


@pytest.fixture
def live(settings, mlflow_url):
    return settings.model_copy(update={"mlflow_tracking_uri": mlflow_url})


@pytest.fixture
def prompts(live):
    with Prompts(live) as prompts:
        yield prompts


@pytest.fixture
def recipe(tmp_path):
    """One that no other test has promoted a prompt of."""
    name = f"r{uuid.uuid4().hex[:8]}"
    return twins.write_recipe(tmp_path / "recipes").model_copy(update={"name": name})


@pytest.fixture
def name(recipe):
    return prompt_name(recipe.model_name)


def test_versions_are_numbered_and_the_same_text_keeps_its_number(prompts, name):
    assert prompts.versions(name) == []
    first, new = prompts.register(name, ONE, "the first")
    assert (first.version, new) == ("1", True)
    again, new = prompts.register(name, ONE, "again")
    assert (again.version, again.message, new) == ("1", "the first", False)
    second, _ = prompts.register(name, TWO)
    assert second.version == "2"
    found = prompts.versions(name)
    assert [(each.version, each.template) for each in found] == [("1", ONE), ("2", TWO)]
    assert prompts.version(name, "2").template == TWO
    with pytest.raises(BadDataError, match="no version 3: there are 1, 2"):
        prompts.version(name, "3")


def test_ten_versions_are_listed_in_their_order(prompts, name):
    for number in range(11):
        prompts.register(name, f"{ONE} {number}")
    assert [each.version for each in prompts.versions(name)] == [str(n) for n in range(1, 12)]


def test_the_champion_before_is_kept_as_previous(prompts, name):
    for template in (ONE, TWO):
        prompts.register(name, template)
    assert prompts.champion(name) is None
    assert prompts.promote(name, "1")
    assert not prompts.promote(name, "1")
    assert prompts.promote(name, "2")
    assert prompts.champion(name).template == TWO
    aliases = {each.version: each.aliases for each in prompts.versions(name)}
    assert aliases == {"1": (PREVIOUS,), "2": (CHAMPION,)}
    with pytest.raises(BadDataError, match="no version 9"):
        prompts.promote(name, "9")


def test_a_bad_template_is_neither_registered_nor_promoted(prompts, name, live):
    with pytest.raises(BadDataError, match=r"not registered.*passages.* 0 times"):
        prompts.register(name, "{{ question }}")
    assert prompts.versions(name) == []
    MlflowClient(live.mlflow_tracking_uri).register_prompt(name, "{{ question }}")
    with pytest.raises(BadDataError, match=r"version 1 can't be served"):
        prompts.promote(name, "1")
    assert prompts.champion(name) is None


def test_mlflows_own_client_reads_them_and_ours_reads_its(prompts, name, live):
    prompts.register(name, ONE, "from us")
    theirs = MlflowClient(live.mlflow_tracking_uri)
    assert theirs.get_prompt_version(name, "1").template == ONE
    assert theirs.get_prompt_version(name, "1").commit_message == "from us"
    theirs.register_prompt(name, TWO, commit_message="from them")
    theirs.set_prompt_alias(name, CHAMPION, 2)
    assert prompts.version(name, "2").message == "from them"
    assert prompts.champion(name).template == TWO
    assert mlflow.__version__


def test_a_prompt_is_no_model(prompts, name, live):
    prompts.register(name, ONE)
    with Registry(live) as registry:
        assert name not in registry.models()


def test_the_champion_takes_the_place_of_the_recipes_own(prompts, recipe, name, live):
    assert with_champion_prompt(recipe, live) == recipe
    prompts.register(name, ONE)
    assert with_champion_prompt(recipe, live) == recipe, "registered is not promoted"
    prompts.promote(name, "1")
    asked = with_champion_prompt(recipe, live)
    assert asked.prompt == PromptSection(template=ONE, version=1)
    assert asked.model_copy(update={"prompt": recipe.prompt}) == recipe


def test_while_the_registry_is_away_the_last_one_known_holds(prompts, recipe, name, live):
    away = live.model_copy(
        update={"mlflow_tracking_uri": f"http://127.0.0.1:{servers.free_port()}"}
    )
    own = recipe.model_copy(update={"prompt": PromptSection(template=TWO)})
    with capture_logs() as logs:
        assert with_champion_prompt(own, away) == own
    assert "does not answer" in logs[-1]["event"]
    assert logs[-1]["prompt"] == own.prompt.label
    prompts.register(name, ONE)
    prompts.promote(name, "1")
    with_champion_prompt(own, live)
    assert with_champion_prompt(own, away).prompt == PromptSection(template=ONE, version=1)
    # That there is none any more is known as well.
    MlflowClient(live.mlflow_tracking_uri).delete_prompt_alias(name, CHAMPION)
    assert with_champion_prompt(own, live) == own
    assert with_champion_prompt(own, away) == own
    with Prompts(away) as gone, pytest.raises(TryAgainError):
        gone.versions(name)


def test_a_damaged_file_of_the_last_one_known_is_said_and_passed_over(recipe, live):
    away = live.model_copy(
        update={"mlflow_tracking_uri": f"http://127.0.0.1:{servers.free_port()}"}
    )
    from twin.stores.files import open_files

    open_files(live).write_text(f"prompts/{recipe.model_name}.json", '{"prompt": 7}')
    with capture_logs() as logs:
        assert with_champion_prompt(recipe, away) == recipe
    assert any("can't be read" in each["event"] for each in logs)


def version(**tags):
    return ModelVersion(
        name="twin-tiny", version="4", weights_uri="/w", weights_digest="d", run_id="r", tags=tags
    )


@pytest.mark.parametrize(
    ("tags", "prompt", "warned"),
    [
        ({}, PromptSection(template=ONE), False),
        ({"prompt_version": "3"}, PromptSection(), False),
        ({"prompt_version": "3"}, PromptSection(template=BUILT_IN_TEMPLATE, version=1), False),
        ({"prompt_version": "3"}, PromptSection(template=ONE), True),
        ({"prompt_version": "2"}, PromptSection(template=ONE), False),
        (
            {"prompt_version": "registry-1", "prompt_digest": PromptSection(template=ONE).digest},
            PromptSection(template=ONE, version=9),
            False,
        ),
        (
            {"prompt_version": "registry-1", "prompt_digest": PromptSection(template=ONE).digest},
            PromptSection(template=TWO, version=2),
            True,
        ),
    ],
)
def test_another_prompt_than_in_training_is_warned_of(recipe, tags, prompt, warned):
    with capture_logs() as logs:
        assert warn_of_another_prompt(version(**tags), prompt) is warned
        served = served_version(version(**tags), recipe.model_copy(update={"prompt": prompt}))
    events = [each for each in logs if "trained with another prompt" in each["event"]]
    assert len(events) == 2 * warned
    assert all(each["asked"] == prompt.label for each in events)
    assert served.recipe["prompt"] == {"template": prompt.template, "version": prompt.version}


def test_another_prompt_is_another_thing_to_serve(recipe):
    one, two, same = (
        served_version(version(), recipe.model_copy(update={"prompt": prompt}))
        for prompt in (PromptSection(template=ONE), PromptSection(template=TWO),
                       PromptSection(template=ONE))
    )  # fmt: skip
    assert one.serves_like(same)
    assert not one.serves_like(two)
