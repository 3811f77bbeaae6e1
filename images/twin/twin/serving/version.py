"""The Serve application of one model version: replicas that each hold a chain.

A replica reads no registry: its arguments say all, so it starts and answers while MLflow is down.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from ray import serve  # noqa: TID253 - only Serve imports this module

from twin.domain.rollout import ServedVersion
from twin.job import configure_logging
from twin.rag.query import Query
from twin.recipes import Recipe
from twin.serving.answering import Answering
from twin.settings import Settings, get_settings
from twin.stores.serve_config import recipe_of
from twin.stores.weights import fetch_weights

if TYPE_CHECKING:
    from ray.serve import Application


class Version:
    """A replica."""

    def __init__(self, model: str, served: ServedVersion) -> None:
        from twin.rag.chain import load_chain
        from twin.serving.traces import send_traces

        configure_logging()
        recipe = recipe_of(served)
        settings = _replica_settings(get_settings(), recipe)
        send_traces(settings, experiment=recipe.name)
        weights = fetch_weights(served.weights_uri, served.weights_digest, settings)
        chain = load_chain(recipe, weights, settings, model_name=model, version=served.version)
        chain.warm_up()
        self._answering = Answering(
            chain,
            at_once=recipe.serving.answers_at_once,
            timeout_seconds=recipe.serving.answer_timeout_seconds,
        )

    def check_health(self) -> None:
        """Serve asks now and then, and replaces a replica that raises."""
        self._answering.check_health()

    async def answer(self, query: dict[str, Any]) -> dict[str, Any]:
        """A `Query` to an `Answer`, both as JSON-like data."""
        answer = await self._answering.answer(Query.model_validate(query))
        return answer.model_dump(mode="json")

    async def stream(self, query: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """A `Query` to `AnswerPart`s, as JSON-like data."""
        async for part in self._answering.stream(Query.model_validate(query)):
            yield part.model_dump(mode="json")


def build(args: dict[str, Any]) -> "Application":
    """The application of the version that ``args`` describe (see `twin.stores.serve_config`)."""
    model = args["model"]
    served = ServedVersion.model_validate({k: v for k, v in args.items() if k != "model"})
    # Loading fails for reasons that trying again seldom mends: two more attempts are enough.
    deployment = serve.deployment(name="Version", max_constructor_retry_count=2)(Version)
    return deployment.bind(model, served)


def _replica_settings(settings: Settings, recipe: Recipe) -> Settings:
    """Threads as many as the CPUs that Ray reserves: more only get in each other's way."""
    threads = max(1, round(recipe.serving.cpus_per_replica))
    return settings.model_copy(update={"threads": threads})
