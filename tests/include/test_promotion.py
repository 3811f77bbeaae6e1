"""Promotions are noticed, on a real model registry that may go away and come back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from include.promotion import (
    SEEN,
    ChampionTrigger,
    RegistryError,
    champion_of,
    champions,
    champions_and_prompts,
)
from tests import servers


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.mlflow_server(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


class Store(dict[str, Any]):
    """An asset's state store, as the triggerer gives it to a trigger."""

    async def aget(self, key: str) -> Any:
        return self.get(key)

    async def aset(self, key: str, value: Any) -> None:
        self[key] = value


async def promote(url: str, model: str, version: int, prompt: str = "") -> None:
    """Make the version if need be, and move the alias to it, as a person does in the UI.

    With a ``prompt`` it is a version of a prompt, and no model.
    """
    marks = {"mlflow.prompt.is_prompt": "true", "mlflow.prompt.text": prompt} if prompt else {}
    tags = [{"key": key, "value": value} for key, value in marks.items()]
    source = "prompt-template" if prompt else "s3://b/weights"
    api = f"{url}/api/2.0/mlflow"
    async with aiohttp.ClientSession() as session:
        await session.post(
            f"{api}/registered-models/create", json={"name": model, "tags": tags[:1]}
        )
        for _ in range(version):
            answer = await session.get(
                f"{api}/model-versions/get", params={"name": model, "version": str(version)}
            )
            if answer.status == 200:
                break
            answer = await session.post(
                f"{api}/model-versions/create",
                json={"name": model, "source": source, "tags": tags},
            )
            assert answer.status == 200, await answer.text()
        answer = await session.post(
            f"{api}/registered-models/alias",
            json={"name": model, "alias": "champion", "version": str(version)},
        )
        assert answer.status == 200, await answer.text()


@pytest.fixture
def trigger(monkeypatch: pytest.MonkeyPatch, registry: str) -> ChampionTrigger:
    monkeypatch.setenv("AIRFLOW__TWIN__MLFLOW_URL", registry)
    made = ChampionTrigger(poll_seconds=0.1)
    made.asset_state_store = Store()
    return made


async def next_event(events: AsyncIterator[Any], seconds: float = 10) -> dict[str, str]:
    event = await asyncio.wait_for(anext(events), seconds)
    return dict(event.payload)


async def remember_all(store: Store, registry: str) -> None:
    """As a trigger that has told of everything, other tests' champions too."""
    async with aiohttp.ClientSession() as session:
        await store.aset(SEEN, await champions_and_prompts(session, registry))


async def nothing_comes(events: AsyncIterator[Any]) -> None:
    # Shielded and left to run: cancelling it would close the generator.
    waiting = asyncio.ensure_future(anext(events))
    done, _ = await asyncio.wait({waiting}, timeout=1.0)
    assert not done, waiting.result().payload
    waiting.cancel()


def test_each_change_is_told_once(trigger: ChampionTrigger, registry: str) -> None:
    async def scenario() -> None:
        await promote(registry, "twin-told", 1)
        await promote(registry, "stranger", 1)
        events = trigger.run()
        assert await next_event(events) == {
            "recipe": "told",
            "model": "twin-told",
            "version": "1",
        }
        second = asyncio.ensure_future(next_event(events))
        await asyncio.sleep(0.5)
        assert not second.done(), "told twice"
        await promote(registry, "twin-told", 2)
        assert (await second)["version"] == "2"
        # Rolling back is moving the alias back.
        third = asyncio.ensure_future(next_event(events))
        await promote(registry, "twin-told", 1)
        assert (await third)["version"] == "1"
        await nothing_comes(events)

    asyncio.run(scenario())


def test_another_prompt_is_told_as_another_model_is(
    trigger: ChampionTrigger, registry: str
) -> None:
    async def scenario() -> None:
        await promote(registry, "twin-asked_prompt", 1, "early")
        await remember_all(trigger.asset_state_store, registry)
        events = trigger.run()
        await promote(registry, "twin-asked", 1)
        first = await next_event(events)
        assert first == {"recipe": "asked", "model": "twin-asked", "version": "1"}
        await promote(registry, "twin-asked_prompt", 2, "late")
        told = await next_event(events)
        assert told == {
            "recipe": "asked",
            "model": "twin-asked",
            "version": "1",
            "prompt": "2",
        }
        await nothing_comes(events)

    asyncio.run(scenario())


def test_a_prompt_of_no_champion_is_not_told(trigger: ChampionTrigger, registry: str) -> None:
    async def scenario() -> None:
        async with aiohttp.ClientSession() as session:
            seen = await champions(session, registry)
            await trigger.asset_state_store.aset(SEEN, seen)
            await promote(registry, "twin-lonely_prompt", 1, "lonely")
            assert "twin-lonely_prompt" not in await champions(session, registry)
        events = trigger.run()
        async for event in _within(events, 1.0):
            assert event["model"] != "twin-lonely"

    asyncio.run(scenario())


async def _within(events: AsyncIterator[Any], seconds: float) -> AsyncIterator[dict[str, str]]:
    """What is told within so many seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for event in events:
                yield dict(event.payload)


def test_a_restarted_triggerer_tells_only_what_changed(
    trigger: ChampionTrigger, registry: str
) -> None:
    async def scenario() -> None:
        await promote(registry, "twin-restart", 1)
        store = trigger.asset_state_store
        await remember_all(store, registry)
        await nothing_comes(trigger.run())
        await promote(registry, "twin-restart", 2)
        again = ChampionTrigger(poll_seconds=0.1)
        again.asset_state_store = store
        events = again.run()
        assert await next_event(events) == {
            "recipe": "restart",
            "model": "twin-restart",
            "version": "2",
        }
        await nothing_comes(events)
        # Kept after the event went out, so that none is lost.
        assert store[SEEN]["twin-restart"] == "2"

    asyncio.run(scenario())


def test_a_registry_that_is_away_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = servers.free_port()
    url = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("AIRFLOW__TWIN__MLFLOW_URL", url)

    async def scenario() -> None:
        trigger = ChampionTrigger(poll_seconds=0.1)
        trigger.asset_state_store = Store()
        waiting = asyncio.ensure_future(next_event(trigger.run(), 60))
        await asyncio.sleep(1)
        assert not waiting.done(), "it gave up"
        with servers.mlflow_server(tmp_path / "mlflow", port):
            await promote(url, "twin-late", 1)
            assert (await waiting)["model"] == "twin-late"

    asyncio.run(scenario())


def test_all_pages_are_read(registry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.promotion.MODELS_A_PAGE", "1")

    async def scenario() -> dict[str, str]:
        for name in ("twin-page-one", "twin-page-two", "twin-page-three"):
            await promote(registry, name, 1)
        async with aiohttp.ClientSession() as session:
            return await champions(session, registry)

    found = asyncio.run(scenario())
    assert {"twin-page-one", "twin-page-two", "twin-page-three"} <= found.keys()


def test_an_alias_in_a_model_of_candidates_promotes_nothing(registry: str) -> None:
    """There trainers may do as they like."""

    async def scenario() -> dict[str, str]:
        await promote(registry, "twin-own", 1)
        await promote(registry, "twin-own-candidates", 1)
        async with aiohttp.ClientSession() as session:
            return await champions(session, registry)

    found = asyncio.run(scenario())
    assert found["twin-own"] == "1" and "twin-own-candidates" not in found


def test_the_champion_of_one_model(registry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__TWIN__MLFLOW_URL", registry)
    asyncio.run(promote(registry, "twin-one", 2))
    assert champion_of("twin-one") == "2"
    assert champion_of("twin-none") is None


def test_errors_are_one_line_without_the_password(tmp_path: Path, root: Path) -> None:
    async def ask(url: str) -> None:
        async with aiohttp.ClientSession() as session:
            await champions(session, url)

    with pytest.raises(RegistryError) as caught:
        asyncio.run(ask("http://user:secret@127.0.0.1:1"))
    assert "secret" not in str(caught.value)
    assert "http://127.0.0.1:1/api" in str(caught.value)
    # Something else than MLflow answers there.
    with servers.web_server(tmp_path) as url, pytest.raises(RegistryError, match="HTTP 404"):
        asyncio.run(ask(url))


def test_what_the_triggerer_makes_it_from() -> None:
    path, arguments = ChampionTrigger(poll_seconds=3).serialize()
    module, _, name = path.rpartition(".")
    made = getattr(__import__(module, fromlist=[name]), name)(**arguments)
    assert isinstance(made, ChampionTrigger)
    assert made.poll_seconds == 3
