"""The hint of the model registry: signed by a real MLflow, checked, and noticed by the trigger."""

import asyncio
import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import uvicorn
from airflow.models.asset import AssetModel
from airflow.models.asset_state_store import AssetStateStoreModel
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from fastapi.testclient import TestClient
from sqlalchemy import delete, select

from include import promotion
from include.promotion import HINT, ChampionTrigger
from include.registry_webhook import (
    DELIVERY,
    GOOD_FOR,
    MOST_BYTES,
    SIGNATURE,
    TIMESTAMP,
    RefusedHintError,
    with_delivery,
)
from include.twin_page.app import app
from tests import servers
from tests.include.test_promotion import Store, next_event, promote, remember_all

SECRET = "s" * 40
MOVED = {
    "entity": "model_version_alias",
    "action": "created",
    "timestamp": "2026-01-01T00:00:00+00:00",
    "data": {"name": "twin-handbook", "alias": "champion", "version": "2"},
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A model registry whose webhooks may reach this machine."""
    with servers.mlflow_server(
        tmp_path_factory.mktemp("mlflow"),
        MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS="true",
        MLFLOW_WEBHOOK_ALLOWED_SCHEMES="http,https",
    ) as url:
        yield url


def signed(
    body: bytes, secret: str = SECRET, at: float | str | None = None, delivery: str = "d1"
) -> dict[str, str]:
    """Headers as MLflow makes them."""
    timestamp = str(int(time.time())) if at is None else str(at)
    digest = hmac.new(secret.encode(), f"{delivery}.{timestamp}.".encode() + body, hashlib.sha256)
    signature = f"v1,{base64.b64encode(digest.digest()).decode()}"
    return {SIGNATURE: signature, TIMESTAMP: timestamp, DELIVERY: delivery}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The application of the plugin, on Airflow's database with the asset in it."""
    initdb()
    monkeypatch.setenv("AIRFLOW__TWIN__REGISTRY_WEBHOOK_SECRET", SECRET)
    with create_session() as session:
        session.execute(delete(AssetStateStoreModel))
        if session.scalar(select(AssetModel).where(AssetModel.name == "champion")) is None:
            session.add(AssetModel(name="champion", uri="x-twin://champion"))
    yield TestClient(app)


def hint() -> dict[str, Any] | None:
    with create_session() as session:
        kept = session.scalar(
            select(AssetStateStoreModel.value).where(AssetStateStoreModel.key == HINT)
        )
    return json.loads(kept) if kept else None


def post(
    client: TestClient, event: Any = MOVED, headers: dict[str, Any] | None = None, **how: Any
) -> httpx.Response:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    given = signed(body, **how) if headers is None else headers
    answer: httpx.Response = client.post("/registry-webhook", content=body, headers=given)
    return answer


def test_a_signed_hint_is_left_for_the_trigger_once(client: TestClient) -> None:
    answer = post(client)
    assert (answer.status_code, answer.json()["detail"]) == (200, "the registry is looked at now")
    left = hint()
    assert left is not None
    assert left["delivery"] == "d1"
    again = post(client)
    assert again.status_code == 409
    assert "'d1' has come already: nothing is done" in again.json()["detail"]
    assert hint() == left
    assert post(client, delivery="d2").status_code == 200
    assert post(client, delivery="d1").status_code == 409, "also after another one"
    after = hint()
    assert after is not None
    assert after["delivery"] == "d2"


@pytest.mark.parametrize("lacking", [SIGNATURE, TIMESTAMP, DELIVERY])
def test_one_that_is_not_signed_is_refused(client: TestClient, lacking: str) -> None:
    headers = signed(json.dumps(MOVED).encode())
    del headers[lacking]
    answer = post(client, headers=headers)
    assert answer.status_code == 401
    assert "not signed" in answer.json()["detail"]
    assert hint() is None


def test_one_that_is_signed_by_somebody_else_is_refused(client: TestClient) -> None:
    body = json.dumps(MOVED).encode()
    other = signed(json.dumps(MOVED | {"action": "deleted"}).encode())
    moved = {**signed(body), DELIVERY: "d9"}
    later = {**signed(body), TIMESTAMP: str(int(time.time()) + 60)}
    no_word = {**signed(body), SIGNATURE: b"v1,\xfc"}
    for headers in (signed(body, secret="t" * 40), other, moved, later, no_word):
        answer = post(client, headers=headers)
        assert answer.status_code == 401
        assert "another secret" in answer.json()["detail"]
    assert hint() is None


@pytest.mark.parametrize("way", [-1, 1])
def test_one_of_another_time_is_refused(client: TestClient, way: int) -> None:
    limit = GOOD_FOR.total_seconds()
    assert post(client, at=int(time.time() + way * (limit + 5))).status_code == 401
    assert hint() is None
    assert post(client, at=int(time.time() + way * (limit - 20))).status_code == 200
    assert post(client, at="soon", delivery="d2").json()["detail"].startswith(TIMESTAMP)
    assert post(client, at="9" * 30, delivery="d2").status_code == 401


def test_what_no_champion_is_moves_nothing(client: TestClient) -> None:
    for event in (
        MOVED | {"data": MOVED["data"] | {"alias": "candidate"}},  # type: ignore[operator]
        MOVED | {"data": MOVED["data"] | {"name": "others"}},  # type: ignore[operator]
        MOVED | {"entity": "model_version_tag"},
    ):
        answer = post(client, event)
        assert answer.status_code == 200
        assert "nothing is done" in answer.json()["detail"]
    for junk in (b"", b"[]", b'{"entity": "model_version_alias"}', b'{"data": 3}', b"\xff"):
        assert post(client, junk).status_code == 400
    assert hint() is None
    prompt = MOVED | {"entity": "prompt_alias"}
    assert post(client, prompt | {"action": "deleted"}).status_code == 200
    assert hint() is not None


def test_a_body_of_any_length_is_not_read(client: TestClient) -> None:
    assert post(client, b" " * (MOST_BYTES + 1)).status_code == 413
    assert post(client, b" " * MOST_BYTES).status_code == 400


def test_without_a_secret_none_is_taken(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW__TWIN__REGISTRY_WEBHOOK_SECRET")
    answer = post(client)
    assert answer.status_code == 404
    assert "REGISTRY_WEBHOOK_SECRET is not set" in answer.json()["detail"]


def test_before_the_dags_are_read_the_registry_is_asked_to_come_again(client: TestClient) -> None:
    with create_session() as session:
        session.execute(delete(AssetModel).where(AssetModel.name == "champion"))
    assert post(client).status_code == 503, "MLflow tries again"


def test_deliveries_are_remembered_for_as_long_as_they_are_good() -> None:
    now = datetime.now(UTC)
    kept = with_delivery({}, "a", now)
    with pytest.raises(RefusedHintError):
        with_delivery(kept, "a", now + 2 * GOOD_FOR)
    later = with_delivery(kept, "b", now + 2 * GOOD_FOR + timedelta(seconds=1))
    assert set(later["seen"]) == {"b"}


def test_what_a_real_mlflow_signs_is_taken(client: TestClient, registry: str) -> None:
    port = servers.free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        servers.wait_until(lambda: server.started, "the application")
        hook = {
            "name": "rollout",
            "url": f"http://127.0.0.1:{port}/registry-webhook",
            "events": [{"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"}],
            "secret": SECRET,
        }
        httpx.post(f"{registry}/api/2.0/mlflow/webhooks", json=hook).raise_for_status()
        assert hint() is None
        asyncio.run(promote(registry, "twin-told", 1))
        servers.wait_until(lambda: hint() is not None, "the hint")
    finally:
        server.should_exit = True
        thread.join()


def test_a_hint_makes_the_trigger_look_at_once(
    registry: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__TWIN__MLFLOW_URL", registry)
    monkeypatch.setenv("AIRFLOW__TWIN__REGISTRY_WEBHOOK_SECRET", SECRET)
    monkeypatch.setattr(promotion, "HINT_SECONDS", 0.1)
    trigger, store = ChampionTrigger(poll_seconds=600), Store()
    trigger.asset_state_store = store

    async def scenario() -> None:
        await promote(registry, "twin-hinted", 1)
        await remember_all(store, registry)
        store[HINT] = {"delivery": "old"}
        event = asyncio.ensure_future(next_event(trigger.run(), 20))
        await asyncio.sleep(1)
        await promote(registry, "twin-hinted", 2)
        await asyncio.sleep(1)
        assert not event.done(), "the pause is ten minutes"
        store[HINT] = {"delivery": "new"}
        assert (await event)["version"] == "2"

    asyncio.run(scenario())


def test_a_hint_while_the_registry_is_away_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may well come from a registry that has just begun again."""
    monkeypatch.setenv("AIRFLOW__TWIN__MLFLOW_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AIRFLOW__TWIN__REGISTRY_WEBHOOK_SECRET", SECRET)
    monkeypatch.setattr(promotion, "HINT_SECONDS", 0.05)
    trigger, store, looks = ChampionTrigger(poll_seconds=600), Store(), []

    async def look(*_: Any) -> dict[str, str]:
        looks.append(1)
        if len(looks) == 1:
            store[HINT] = {"delivery": "during the look"}
            raise promotion.RegistryError("away")
        return {"twin-a": "1"}

    monkeypatch.setattr(promotion, "champions_and_prompts", look)
    trigger.asset_state_store = store
    assert asyncio.run(next_event(trigger.run(), 10))["model"] == "twin-a"


def test_without_a_secret_the_trigger_looks_for_no_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    trigger, store = ChampionTrigger(), Store()
    trigger.asset_state_store = store
    store[HINT] = {"delivery": "d"}
    assert asyncio.run(trigger._hint()) is None
    monkeypatch.setenv("AIRFLOW__TWIN__REGISTRY_WEBHOOK_SECRET", SECRET)
    assert asyncio.run(trigger._hint()) == "d"
