"""`twin serving prompts`, against a real MLflow."""

import json
import uuid
from collections.abc import Iterator

import pytest
import yaml
from structlog.testing import capture_logs
from typer.testing import CliRunner

from tests.twin import twins
from twin.cli import app
from twin.domain.errors import ExitCode
from twin.recipes.prompt import BUILT_IN_TEMPLATE
from twin.settings import Settings, get_settings
from twin.stores.audit import Audit
from twin.stores.registry import CHAMPION, Registry
from twin.stores.tracking import tracking_run
from twin.stores.warehouse import open_warehouse

OTHER = "{{ author }} says: {{ passages }} {{ question }}\n"


@pytest.fixture
def settings(stores_settings, mlflow_url, tmp_path, monkeypatch) -> Iterator[Settings]:
    monkeypatch.setenv("TWIN_HOME", str(stores_settings.home))
    monkeypatch.setenv("TWIN_RECIPES", str(tmp_path / "recipes"))
    monkeypatch.setenv("TWIN_MONGO_URI", stores_settings.mongo_uri.get_secret_value())
    monkeypatch.setenv("TWIN_MONGO_DATABASE", stores_settings.mongo_database)
    monkeypatch.setenv("TWIN_MLFLOW_TRACKING_URI", mlflow_url)
    monkeypatch.setenv("TWIN_ACTOR", "ada")
    get_settings.cache_clear()
    yield get_settings()
    get_settings.cache_clear()


@pytest.fixture
def recipe(settings, tmp_path):
    """The name of one that no other test knows."""
    name = f"r{uuid.uuid4().hex[:8]}"
    twins.write_recipe(settings.recipes)
    text = yaml.safe_load((settings.recipes / "tiny.yaml").read_text()) | {"name": name}
    (settings.recipes / f"{name}.yaml").write_text(yaml.safe_dump(text))
    return name


@pytest.fixture
def prompts(recipe):
    def run(command, *arguments, expected=ExitCode.DONE):
        words = ["serving", "prompts", command, *arguments, "--recipe", recipe]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == expected, done.output
        return done

    return run


@pytest.fixture
def other(tmp_path):
    path = tmp_path / "other.txt"
    path.write_text(OTHER)
    return str(path)


def test_from_the_recipes_own_to_another_and_back(prompts, settings, recipe, other):
    assert json.loads(prompts("show", "--json").stdout)["version"] == "3"
    assert f"twin-{recipe}_prompt version 1" in prompts("register", "-m", "as it was").stdout
    assert "version 2" in prompts("register", other, "-m", "shorter").stdout
    again = prompts("register", other, expected=ExitCode.NOTHING_TO_DO)
    assert "version 2 is this template" in again.stderr
    prompts("promote", "1")
    prompts("promote", "2")
    listed = json.loads(prompts("list", "--json").stdout)
    assert [(each["version"], each["message"], each["aliases"]) for each in listed] == [
        ("1", "as it was", ["previous"]),
        ("2", "shorter", ["champion"]),
    ]
    assert listed[0]["template"] == BUILT_IN_TEMPLATE
    table = prompts("list").stdout
    assert "champion" in table and f"2 versions of twin-{recipe}_prompt" in table
    now = json.loads(prompts("show", "--json").stdout)
    assert now == {"version": "registry-2", "template": OTHER}
    assert BUILT_IN_TEMPLATE in prompts("show", "1").stdout
    prompts("promote", "2", expected=ExitCode.NOTHING_TO_DO)
    with open_warehouse(settings) as warehouse:
        entries = [
            (entry.action, entry.subject.rpartition(" ")[2], entry.actor)
            for entry in Audit(warehouse).entries(99)
            if recipe in entry.subject
        ]
    assert entries == [
        ("prompt registered", "1", "ada"),
        ("prompt registered", "2", "ada"),
        ("prompt promoted", "1", "ada"),
        ("prompt promoted", "2", "ada"),
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{{ question }}", "{{ passages }} 0 times"),
        (b"\xff\xfe", "it is not UTF-8"),
        (b"x" * 100_001, "more than 100,000 bytes"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_no_template_is_refused(prompts, tmp_path, content, why):
    path = tmp_path / "bad.txt"
    if content is not None:
        path.write_bytes(content)
    done = prompts("register", str(path), expected=ExitCode.BAD_DATA)
    assert why in done.stderr
    assert "0 versions" in prompts("list").stdout


def test_versions_that_are_not_there_are_named(prompts, other):
    prompts("register", other)
    for command in ("show", "promote"):
        done = prompts(command, "7", expected=ExitCode.BAD_DATA)
        assert "no version 7: there are 1" in done.stderr


def test_promoting_warns_of_a_champion_that_was_trained_with_another(
    prompts, settings, recipe, other
):
    model = f"twin-{recipe}"
    with (
        tracking_run(settings, experiment=recipe, name="package", tags={}) as run,
        Registry(settings) as registry,
    ):
        registry.register(
            model, weights_uri="/w", weights_digest="d", run_id=run.id,
            tags={"prompt_version": "3"},
        )  # fmt: skip
        registry.promote(model, "1")
        assert registry.by_alias(model, CHAMPION) is not None
    prompts("register")
    prompts("register", other)
    with capture_logs() as logs:
        prompts("promote", "1")
    assert not [each for each in logs if "trained with another" in each["event"]]
    with capture_logs() as logs:
        prompts("promote", "2")
    [warned] = [each for each in logs if "trained with another" in each["event"]]
    assert (warned["trained"], warned["asked"]) == ("3", "registry-2")


def test_samples_are_exported_as_the_champion_asks(prompts, settings, recipe, other, tmp_path):
    from tests.twin.datasets.sets import FIRST, publish

    publish(settings, "v1", FIRST, [], recipe=recipe)
    prompts("register", other)
    prompts("promote", "1")
    words = ["datasets", "export", str(tmp_path / "out"), "--recipe", recipe, "--form", "openai"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    lines = (tmp_path / "out" / "instruct" / "train.jsonl").read_text().splitlines()
    asked = [json.loads(line)["messages"][-2]["content"] for line in lines]
    assert asked and all("Ann says: " in text for text in asked)
