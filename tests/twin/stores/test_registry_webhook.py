"""The registry's webhook against a real MLflow server."""

import httpx
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from twin.domain.errors import BadDataError, ExitCode, NothingToDo, TryAgainError
from twin.rollout.commands import app
from twin.settings import get_settings
from twin.stores.registry_webhook import NAME, RegistryWebhook

#: MLflow takes public addresses only; nothing is sent while no alias moves.
URL = "https://93.184.215.14/twin/registry-webhook"
SECRET = SecretStr("s" * 32)


@pytest.fixture
def live(settings, mlflow_url):
    yield settings.model_copy(update={"mlflow_tracking_uri": mlflow_url})
    for each in webhooks(mlflow_url):
        path = f"{mlflow_url}/api/2.0/mlflow/webhooks/{each['webhook_id']}"
        httpx.delete(path).raise_for_status()


def webhooks(url):
    found = httpx.get(f"{url}/api/2.0/mlflow/webhooks").raise_for_status().json()
    return found.get("webhooks", [])


def test_it_is_made_once_and_changed_when_something_else_is_wanted(live, mlflow_url):
    with RegistryWebhook(live) as hook:
        first = hook.ensure(URL, SECRET)
        with pytest.raises(NothingToDo):
            hook.ensure(URL, SECRET)
        (made,) = webhooks(mlflow_url)
        assert (made["name"], made["url"], made["status"]) == (NAME, URL, "ACTIVE")
        assert {(each["entity"], each["action"]) for each in made["events"]} == {
            ("MODEL_VERSION_ALIAS", "CREATED"),
            ("MODEL_VERSION_ALIAS", "DELETED"),
            ("PROMPT_ALIAS", "CREATED"),
            ("PROMPT_ALIAS", "DELETED"),
        }
        assert "sss" not in str(made)
        assert hook.ensure(f"{URL}/2", SECRET) == first
        assert hook.ensure(f"{URL}/2", SecretStr("t" * 32)) == first, "another secret"
        changed = {"status": "DISABLED", "events": made["events"][:1]}
        path = f"{mlflow_url}/api/2.0/mlflow/webhooks/{first}"
        httpx.patch(path, json=changed).raise_for_status()
        assert hook.ensure(f"{URL}/2", SecretStr("t" * 32)) == first, "a person disabled it"
        (made,) = webhooks(mlflow_url)
        assert (made["url"], made["status"], len(made["events"])) == (f"{URL}/2", "ACTIVE", 4)


def test_the_webhooks_of_others_are_left_alone(live, mlflow_url):
    other = {"name": "other", "url": URL, "events": [{"entity": "PROMPT", "action": "CREATED"}]}
    path = f"{mlflow_url}/api/2.0/mlflow/webhooks"
    for _ in range(2):
        httpx.post(path, json=other).raise_for_status()
    with RegistryWebhook(live) as hook:
        hook.ensure(URL, SECRET)
    assert sorted(each["name"] for each in webhooks(mlflow_url)) == [NAME, "other", "other"]


def test_an_address_that_mlflow_takes_not_is_bad_data(live, mlflow_url):
    with RegistryWebhook(live) as hook:
        for url in ("http://93.184.215.14/x", "https://127.0.0.1/x", "nothing"):
            with pytest.raises(BadDataError, match="MLflow refuses"):
                hook.ensure(url, SECRET)
    assert webhooks(mlflow_url) == []


def test_without_mlflow_it_is_tried_again(settings):
    with RegistryWebhook(settings) as hook, pytest.raises(TryAgainError):
        hook.ensure(URL, SECRET)


def test_the_command_asks_for_a_secret_and_tells_what_it_did(live, mlflow_url, monkeypatch):
    monkeypatch.setenv("TWIN_MLFLOW_TRACKING_URI", mlflow_url)
    monkeypatch.delenv("TWIN_REGISTRY_WEBHOOK_SECRET", raising=False)
    get_settings.cache_clear()
    try:
        refused = CliRunner().invoke(app, ["webhook", URL])
        assert refused.exit_code == ExitCode.BAD_CONFIGURATION
        assert webhooks(mlflow_url) == []
        monkeypatch.setenv("TWIN_REGISTRY_WEBHOOK_SECRET", "s" * 32)
        get_settings.cache_clear()
        done = CliRunner().invoke(app, ["webhook", URL])
        assert (done.exit_code, URL in done.output) == (0, True)
        again = CliRunner().invoke(app, ["webhook", URL])
        assert again.exit_code == ExitCode.NOTHING_TO_DO
    finally:
        get_settings.cache_clear()
