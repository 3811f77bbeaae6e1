"""Notices that a model has been promoted, whoever did it: evaluation's gate or a person.

The model registry is the truth: the alias ``champion`` of every registered model ``twin-*`` is
looked at again and again, and each change is told once to the asset `include.assets.champion`. So
is the alias of every prompt ``twin-*_prompt``: another prompt is rolled out like another model.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from include.runtime import read_runtime, without_credentials

if TYPE_CHECKING:
    import aiohttp

MODEL_PREFIX = "twin-"
#: After a registered model's name: the prompt that it is asked by.
PROMPT_SUFFIX = "_prompt"
#: After a registered model's name: where trainers register what only the gate may take from there
#: (`twin.stores.registry`). Whoever sets an alias in one promotes nothing.
CANDIDATES_SUFFIX = "-candidates"
ALIAS = "champion"
REQUEST_SECONDS = 10
LONGEST_PAUSE_SECONDS = 300.0
MODELS_A_PAGE = "200"
#: Key of the watermark in the asset's state store.
SEEN = "champions"
#: Key of what the registry's webhook has left there (`include.registry_webhook`), and how often it
#: is looked for: a small question to Airflow's database.
HINT = "hint"
HINT_SECONDS = 2.0


class RegistryError(Exception):
    """The model registry did not answer, or answered something else than asked for."""


async def champions(session: "aiohttp.ClientSession", url: str) -> dict[str, str]:
    """Version that bears the alias ``champion``, by registered model.

    Uses MLflow's REST API ``registered-models/search``, of which one page names every alias.

    Raises:
        RegistryError: in one line, without the credentials that the URL may carry.
    """
    return await _aliased(session, url, f"name LIKE '{MODEL_PREFIX}%'")


async def prompt_champions(session: "aiohttp.ClientSession", url: str) -> dict[str, str]:
    """Version that bears the alias ``champion``, by the registered model that the prompt is for.

    Raises:
        RegistryError: as `champions`.
    """
    # MLflow lists prompts where the filter names their tag, and nowhere else.
    prompts = f"name LIKE '{MODEL_PREFIX}%' AND tags.`mlflow.prompt.is_prompt` = 'true'"
    found = await _aliased(session, url, prompts)
    return {
        name.removesuffix(PROMPT_SUFFIX): version
        for name, version in found.items()
        if name.endswith(PROMPT_SUFFIX)
    }


async def _aliased(session: "aiohttp.ClientSession", url: str, wanted: str) -> dict[str, str]:
    """Version that bears the alias, by name, of all that a filter of MLflow's selects."""
    found: dict[str, str] = {}
    page: str | None = None
    while True:
        query = {"filter": wanted, "max_results": MODELS_A_PAGE}
        answer = await _search(session, url, {**query, **({"page_token": page} if page else {})})
        for model in answer.get("registered_models", ()):
            if model["name"].removesuffix(PROMPT_SUFFIX).endswith(CANDIDATES_SUFFIX):
                continue
            for alias in model.get("aliases", ()):
                if alias["alias"] == ALIAS:
                    found[model["name"]] = str(alias["version"])
        page = answer.get("next_page_token")
        if not page:
            return found


async def _search(
    session: "aiohttp.ClientSession", url: str, query: dict[str, str]
) -> dict[str, Any]:
    import aiohttp

    where = f"{url.rstrip('/')}/api/2.0/mlflow/registered-models/search"
    shown = without_credentials(where)
    try:
        async with session.get(
            where, params=query, timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        ) as response:
            if response.status != 200:
                raise RegistryError(f"{shown} answered with HTTP {response.status}")
            answer = await response.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise RegistryError(f"{shown}: {type(error).__name__}") from None
    if not isinstance(answer, dict):
        raise RegistryError(f"{shown} did not answer with a JSON object")
    return cast(dict[str, Any], answer)


def champions_now() -> dict[str, str]:
    """Version that bears the alias ``champion`` now, by registered model.

    Raises:
        RegistryError: the registry could not be asked.
    """

    async def ask() -> dict[str, str]:
        import aiohttp

        async with aiohttp.ClientSession() as session:
            return await champions(session, read_runtime().mlflow_url)

    return asyncio.run(ask())


def champion_of(model: str) -> str | None:
    """Version of the model that bears the alias ``champion`` now, or None.

    Raises:
        RegistryError: the registry could not be asked.
    """
    return champions_now().get(model)


class ChampionTrigger(BaseEventTrigger):
    """Fires ``{"recipe", "model", "version"}`` once for each change of a champion.

    Where it is the model's prompt that has changed, ``prompt`` names the prompt's version. A prompt
    whose model has no champion yet is for the first rollout to take.

    What has been told is kept in the asset's state store, so that a restarted triggerer tells
    only what changed meanwhile. It is kept after the event has gone out: if the triggerer dies
    in between, a change is told twice, and the second rollout finds nothing to do. While the
    registry is away, it is asked at growing intervals. A hint of the registry's webhook ends a
    pause; without one the next look comes all the same.

    Args:
        poll_seconds: pause between two looks at the registry.
    """

    def __init__(self, poll_seconds: float = 15.0) -> None:
        super().__init__()
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What the triggerer makes this trigger from."""
        return "include.promotion.ChampionTrigger", {"poll_seconds": self.poll_seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at the registry for ever."""
        import aiohttp

        seen = await self._seen()
        pause = self.poll_seconds
        async with aiohttp.ClientSession() as session:
            while True:
                # Before the registry: what moves after that look has a hint of its own.
                hint = await self._hint()
                try:
                    now = await champions_and_prompts(session, read_runtime().mlflow_url)
                except RegistryError as error:
                    pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                    self.log.warning(
                        "The model registry cannot be asked, again in %.0f s: %s", pause, error
                    )
                    await self._wait(pause, hint)
                    continue
                pause = self.poll_seconds
                for name in sorted(now):
                    if seen.get(name) != now[name]:
                        self.log.info("%s: version %s is champion", name, now[name])
                        if event := _event(name, now):
                            yield TriggerEvent(event)
                if now != seen:
                    await self._remember(now)
                    seen = now
                await self._wait(pause, hint)

    async def _wait(self, seconds: float, hint: Any) -> None:
        """Wait, but not for longer than until there is another hint than this one."""
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        while (left := end - clock()) > 0:
            await asyncio.sleep(min(left, HINT_SECONDS))
            if await self._hint() != hint:
                self.log.info("The registry says that an alias has moved: looking at it now")
                return

    async def _hint(self) -> Any:
        """The last delivery of the registry's webhook; None where there was none."""
        if self.asset_state_store is None or not read_runtime().registry_webhook_secret:
            return None
        hint = await self.asset_state_store.aget(HINT)
        return hint.get("delivery") if isinstance(hint, dict) else None

    async def _seen(self) -> dict[str, str]:
        if self.asset_state_store is None:
            return {}
        stored = await self.asset_state_store.aget(SEEN)
        return dict(stored) if isinstance(stored, dict) else {}

    async def _remember(self, champions_now: dict[str, str]) -> None:
        if self.asset_state_store is not None:
            await self.asset_state_store.aset(SEEN, champions_now)


async def champions_and_prompts(session: "aiohttp.ClientSession", url: str) -> dict[str, str]:
    """Version of the champions of models and, by their own names, of prompts.

    Raises:
        RegistryError: as `champions`.
    """
    prompts = await prompt_champions(session, url)
    named = {f"{model}{PROMPT_SUFFIX}": version for model, version in prompts.items()}
    return {**await champions(session, url), **named}


def _event(name: str, now: dict[str, str]) -> dict[str, str] | None:
    """What is told of a champion; None of a prompt whose model has none."""
    model = name.removesuffix(PROMPT_SUFFIX)
    if model not in now:
        return None
    prompt = {} if name == model else {"prompt": now[name]}
    recipe = model.removeprefix(MODEL_PREFIX)
    return {"recipe": recipe, "model": model, "version": now[model], **prompt}
