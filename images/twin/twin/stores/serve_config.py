"""The one Serve configuration: engines, an application per model version, the router before them.

Pure functions. What they render is what Ray's REST API takes as ``PUT /api/serve/applications/``
and what KubeRay takes as ``serveConfigV2``
(https://docs.ray.io/en/latest/serve/production-guide/config.html). It is declarative: an
application that is left out is deleted, so it is always rendered from the state of every model.
"""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from twin.domain.errors import BadDataError
from twin.domain.rollout import RolloutState, ServedVersion, application_name
from twin.recipes import Recipe
from twin.settings import Settings
from twin.stores.champion_prompt import warn_of_another_prompt
from twin.stores.chosen_decoding import with_chosen_decoding
from twin.stores.engine_config import (
    SHUTDOWN_MARGIN_SECONDS,
    adapter_name,
    engine_application,
    engine_name,
)
from twin.stores.registry import ModelVersion

ROUTER = "router"
VERSION_IMPORT_PATH = "twin.serving.version:build"
ROUTER_IMPORT_PATH = "twin.serving.router:build"

#: Requests that one router replica holds at a time; they wait for replicas, and cost little.
ROUTER_ONGOING_REQUESTS = 200
#: Requests that one version replica holds at a time: they wait for the engine, on no thread.
VERSION_ONGOING_REQUESTS = 500
#: A version's share of a core: it works for some tens of milliseconds of an answer.
VERSION_CPUS = 0.25

Config = dict[str, Any]


def render(states: Iterable[RolloutState], settings: Settings) -> Config:
    """The configuration that serves exactly these models.

    Raises:
        BadConfigurationError: an engine that cannot run here.
    """
    ordered = sorted(states, key=lambda state: state.model)
    return {
        **_http(settings),
        "applications": [
            _router(ordered, settings),
            *_engines(ordered, settings),
            *(
                _version_application(state.model, served, settings)
                for state in ordered
                for served in state.running
            ),
        ],
    }


def applications_of(model: str, served: ServedVersion) -> set[str]:
    """Names of the applications that answer as this version: its own, and its engine's."""
    engine = engine_name(model, served, recipe_of(served).serving)
    return {application_name(model, served.name), *([engine] if engine else [])}


def engines_alike(one: ServedVersion, other: ServedVersion, settings: Settings) -> bool:
    """Whether merged weights are the same, and written with by the same engine."""
    if "adapter" in (one.weights, other.weights):
        return False
    applications = [
        engine_application("", "", item, recipe_of(item).serving, settings) for item in (one, other)
    ]
    return applications[0] == applications[1]


def routes(states: Iterable[RolloutState]) -> Config:
    """What the router is told: every model's running versions, weights and limits."""
    return {"models": {state.model: _route(state) for state in states if state.running}}


def _http(settings: Settings) -> Config:
    # Fixed when Serve starts; on a cluster every node runs a proxy behind the service.
    address = urlsplit(settings.endpoint_url)
    if settings.ray_service:
        return {"proxy_location": "EveryNode", "http_options": {"host": "0.0.0.0", "port": 8000}}  # noqa: S104 - in a pod
    return {
        "proxy_location": "HeadOnly",
        "http_options": {"host": address.hostname, "port": address.port or 80},
    }


def _router(states: list[RolloutState], settings: Settings) -> Config:
    return {
        "name": ROUTER,
        "route_prefix": "/",
        "import_path": ROUTER_IMPORT_PATH,
        "deployments": [
            {
                "name": "Router",
                "num_replicas": settings.router_replicas,
                "max_ongoing_requests": ROUTER_ONGOING_REQUESTS,
                "graceful_shutdown_timeout_s": _longest_answer(states) + SHUTDOWN_MARGIN_SECONDS,
                # It only waits for others, so it takes no CPU from them.
                "ray_actor_options": {"num_cpus": 0},
                "user_config": routes(states),
            }
        ],
    }


def _longest_answer(states: list[RolloutState]) -> int:
    recipes = [recipe_of(served) for state in states for served in state.running]
    return max((recipe.serving.answer_timeout_seconds for recipe in recipes), default=60)


def _engines(states: list[RolloutState], settings: Settings) -> list[Config]:
    """Each engine once, with the adapters of all versions that share it."""
    engines: dict[str, Config] = {}
    for model, served in ((state.model, item) for state in states for item in state.running):
        serving = recipe_of(served).serving
        name = engine_name(model, served, serving)
        if name is None:
            continue
        application = engine_application(name, model, served, serving, settings)
        if name not in engines:
            engines[name] = application
            continue
        adapters = application["deployments"][0]["user_config"]["adapters"]
        engines[name]["deployments"][0]["user_config"]["adapters"].update(adapters)
    return list(engines.values())


def _version_application(model: str, served: ServedVersion, settings: Settings) -> Config:
    serving = recipe_of(served).serving
    return {
        "name": application_name(model, served.name),
        "route_prefix": None,
        "import_path": VERSION_IMPORT_PATH,
        "args": {
            "model": model,
            "served": served.model_dump(mode="json"),
            "engine": engine_name(model, served, serving),
            "adapter": adapter_name(model, served),
        },
        "deployments": [
            {
                "name": "Version",
                "num_replicas": serving.version_replicas or (2 if settings.ray_service else 1),
                "max_ongoing_requests": VERSION_ONGOING_REQUESTS,
                "max_queued_requests": serving.max_queued_requests,
                "graceful_shutdown_timeout_s": (
                    serving.answer_timeout_seconds + SHUTDOWN_MARGIN_SECONDS
                ),
                "ray_actor_options": {"num_cpus": VERSION_CPUS, "num_gpus": 0},
            }
        ],
    }


def _route(state: RolloutState) -> Config:
    recipe = recipe_of(state.serving or state.running[-1])
    brought = state.versions[-1].name if len(state.versions) > 1 else None
    return {
        "generation": state.generation,
        "versions": state.shares,
        "sticky": recipe.serving.rollout.sticky,
        "shadow": state.shadow,
        "mirror": brought,
        "max_question_characters": recipe.serving.max_question_characters,
        "answers_kept_days": recipe.serving.answers_kept_days,
        "author": recipe.author.name,
        "probe_question": recipe.serving.probe_question,
        "prompts": {item.name: recipe_of(item).prompt.label for item in state.versions},
        "notice": recipe.serving.notice.replace("{author}", recipe.author.name),
    }


def served_version(found: ModelVersion, recipe: Recipe) -> ServedVersion:
    """A registered version as a rollout writes it down, to be served with this recipe and, where
    a study has chosen another one for it, with its own decoding.

    Raises:
        BadDataError: it is an adapter, and the recipe's engine takes none; or its decoding is none
            that this engine has.
    """
    recipe = with_chosen_decoding(recipe, found.version, found.tags)
    warn_of_another_prompt(found, recipe.prompt)
    adapter = found.tags.get("weights") == "adapter"
    kind = recipe.serving.engine_kind
    if adapter and kind not in ("llama.cpp", "vllm"):
        raise BadDataError(
            f"{found.name} version {found.version} is an adapter, and the engine {kind} takes "
            "none: set serving.engine to llama.cpp or vllm, or set serving.adapters to merged and "
            "run `twin training package` again"
        )
    return ServedVersion(
        version=found.version,
        weights_uri=found.weights_uri,
        weights_digest=found.weights_digest,
        weights="adapter" if adapter else "merged",
        base_uri=found.tags.get("base_uri") if adapter else None,
        base_digest=found.tags.get("base_digest") if adapter else None,
        recipe=recipe.model_dump(mode="json"),
    )


def as_written_now(served: ServedVersion) -> ServedVersion:
    """A version as this code writes it down: a key that newer recipes have by default, and its own
    has not, makes it no other configuration.

    Raises:
        BadDataError: as `recipe_of`.
    """
    return served.model_copy(update={"recipe": recipe_of(served).model_dump(mode="json")})


def recipe_of(served: ServedVersion) -> Recipe:
    """The recipe that a version is served with; keys that this code has no more are left out.

    It may have been written down by older code, which no upgrade should lock out.

    Raises:
        BadDataError: a value of it is none that this code takes.
    """
    try:
        return Recipe.model_validate(served.recipe, extra="ignore")
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise BadDataError(
            f"version {served.version} was rolled out with a recipe that this code can't read "
            f"({key}: {first['msg']}): delete its file in rollouts/ of the file store, then run "
            "`twin rollout start` with today's"
        ) from None
