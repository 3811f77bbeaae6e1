"""The Serve application that callers reach: HTTP in front, model versions behind."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import ray  # noqa: TID253 - only Serve imports this module
from grpc import RpcError
from ray import serve  # noqa: TID253 - only Serve imports this module
from ray.exceptions import RayActorError, RayError, RayTaskError  # noqa: TID253
from ray.serve.exceptions import (  # noqa: TID253
    BackPressureError,
    DeploymentUnavailableError,
    RayServeException,
)

from twin.domain.answer import Answer
from twin.domain.errors import BadDataError, OverloadedError, TryAgainError, TwinError
from twin.domain.observation import Gpus, RouterReports
from twin.job import configure_logging
from twin.rag.query import AnswerPart, EmbeddedTexts, FoundPassages, Query, TextsQuery
from twin.serving.access import Keys, default_limits
from twin.serving.answer_book import AnswerBook
from twin.serving.api import create_app
from twin.serving.caller_limits import CallerLimits
from twin.serving.errors import ApiError
from twin.serving.handles import local_handle
from twin.serving.key_follower import KeyFollower
from twin.serving.observing import Observations, ObservedBackend
from twin.serving.ray_metrics import RayMetrics
from twin.serving.replica_process import keep_to_loopback
from twin.serving.routing import RoutingTable, Target
from twin.serving.sticky import UNIT, draw_of
from twin.settings import get_settings
from twin.stores.caller_counts import SharedCounts
from twin.stores.serve_config import ROUTER

if TYPE_CHECKING:
    from fastapi import FastAPI
    from ray.serve import Application
    from ray.serve.handle import DeploymentHandle

#: An application that a rollout has just taken away: no replica has seen the question, so it goes
#: to the version that has the traffic now. A replica that was dead before the question reached it
#: Serve itself passes over. A replica that dies afterwards may have died of the question, which
#: therefore is not asked again.
NEVER_BEGUN = (DeploymentUnavailableError, RayServeException)
#: How an answer that was begun breaks off: Ray's exceptions, and those of its channels.
BROKEN_OFF = (RayError, RpcError)
ATTEMPTS = 3
SECONDS_BETWEEN_ATTEMPTS = 0.3
#: A replica tells what it knows in milliseconds.
REPORT_SECONDS = 10.0


class RayBackend:
    """`twin.serving.backend.Backend` over the handles of version applications."""

    def __init__(self) -> None:
        self.table = RoutingTable.empty()
        self._handles: dict[str, DeploymentHandle] = {}

    def follow(self, table: RoutingTable) -> None:
        """Route by this table from now on; requests under way end where they are."""
        self.table = table
        gone = set(self._handles) - table.applications()
        for application in gone:
            del self._handles[application]

    async def answer(self, target: Target, query: Query) -> Answer:
        """Answer in one piece; see `Backend.answer`."""
        data = _plain(query)

        async def ask(handle: "DeploymentHandle") -> Any:
            return await handle.answer.remote(data)

        return Answer.model_validate(await self._try(target, ask))

    async def stream(self, target: Target, query: Query) -> AsyncIterator[AnswerPart]:
        """Answer piece by piece; see `Backend.stream`."""
        data = _plain(query)

        async def begin(handle: "DeploymentHandle") -> tuple[Any, Any]:
            parts = handle.options(stream=True).stream.remote(data)
            return await anext(parts), parts

        first, parts = await self._try(target, begin)
        try:
            yield AnswerPart.model_validate(first)
            async for part in parts:
                yield AnswerPart.model_validate(part)
        except (*BROKEN_OFF, TwinError) as error:
            raise _told(error, target) from error
        finally:
            # Nobody listens any more, or it has ended, where this does nothing.
            parts.cancel()

    async def search(self, target: Target, query: Query) -> FoundPassages:
        """Search; see `Backend.search`."""
        data = _plain(query)

        async def ask(handle: "DeploymentHandle") -> Any:
            return await handle.search.remote(data)

        return FoundPassages.model_validate(await self._try(target, ask))

    async def embed(self, target: Target, query: TextsQuery) -> EmbeddedTexts:
        """Embed texts; see `Backend.embed`."""
        data = _plain(query)

        async def ask(handle: "DeploymentHandle") -> Any:
            return await handle.embed.remote(data)

        return EmbeddedTexts.model_validate(await self._try(target, ask))

    async def _try(
        self, target: Target, ask: "Callable[[DeploymentHandle], Awaitable[Any]]"
    ) -> Any:
        for attempt in range(ATTEMPTS):
            try:
                return await ask(self._handle(target))
            except BackPressureError:
                raise ApiError.overloaded() from None
            except (RayTaskError, TwinError) as error:  # a replica's own, whatever its class
                raise _told(error, target) from error
            except NEVER_BEGUN as error:
                if attempt == ATTEMPTS - 1:
                    raise ApiError.unavailable(target.application) from error
                await asyncio.sleep(SECONDS_BETWEEN_ATTEMPTS)
                target = self._again(target)
            except BROKEN_OFF as error:
                raise _told(error, target) from error
        raise AssertionError("unreachable")

    def _again(self, target: Target) -> Target:
        """The same version if it is still in service, else what its model's traffic goes to."""
        if target.application in self.table.applications():
            return target
        return self.table.target(target.model, draw=draw_of(UNIT.get()) if UNIT.get() else None)

    def _handle(self, target: Target) -> "DeploymentHandle":
        name = target.application
        if name not in self._handles:
            self._handles[name] = local_handle(name)
        return self._handles[name]


def _plain(query: Query | TextsQuery) -> dict[str, Any]:
    """As data; what is not asked for is left out, so that versions of older code read it too."""
    return query.model_dump(mode="json", exclude_none=True)


def _told(error: Exception, target: Target) -> Exception:
    """What a caller is told of an exception in a replica."""
    cause = getattr(error, "cause", error)
    if isinstance(cause, BadDataError):
        return ApiError(400, str(cause), code="invalid_value")
    if isinstance(cause, OverloadedError):
        return ApiError.overloaded()
    # A store that the replica needs may be away, such as the index.
    if isinstance(cause, TryAgainError) or isinstance(error, (RayActorError, RpcError)):
        return ApiError.unavailable(target.application)
    return error


class Router:
    """A replica of the router. Its ``user_config`` is the routing table."""

    def __init__(self) -> None:
        configure_logging()
        keep_to_loopback(get_settings())
        self._backend = RayBackend()
        self._observations = Observations()

    def reconfigure(self, config: dict[str, Any]) -> None:
        """Take over a new routing table; Serve calls this at the start and at each change."""
        self._backend.follow(RoutingTable.model_validate(config))

    def report(self, model: str, since: datetime | None) -> dict[str, Any]:
        """This replica's `RouterReport`, as JSON-like data."""
        found = self._observations.report(self._backend.table, model, since)
        return found.model_dump(mode="json")

    def __serve_build_asgi_app__(self) -> "FastAPI":
        """The HTTP interface; Serve calls this once."""
        settings = get_settings()
        keys = Keys(settings.api_keys, default_limits(settings))
        KeyFollower(keys, settings).start()
        metrics = RayMetrics()
        return create_app(
            ObservedBackend(self._backend, self._observations, _report_of_all),
            keys,
            settings.max_body_bytes,
            book=AnswerBook(settings, metrics=metrics),
            metrics=metrics,
            limits=CallerLimits(SharedCounts(settings)),
            cors_origins=settings.cors_origins,
            names_responses=False,  # Serve's own middleware does
        )


async def _report_of_all(model: str, since: datetime | None) -> RouterReports:
    """What every replica of the router tells, on whichever node it runs."""
    try:
        asked = serve.get_app_handle(ROUTER).broadcast("report", model, since)
        found = await asked.results_async(timeout_s=REPORT_SECONDS)
    except (*BROKEN_OFF, *NEVER_BEGUN, TimeoutError) as error:
        raise ApiError.unavailable(ROUTER) from error
    gpus = await asyncio.to_thread(_gpus)
    return RouterReports.model_validate({"replicas": found, "gpus": gpus})


def _gpus() -> Gpus | None:
    """Those of all nodes; a head that is away keeps nothing else of a report."""
    try:
        total, free = (
            found.get("GPU", 0.0) for found in (ray.cluster_resources(), ray.available_resources())
        )
    except (RayError, RpcError, TimeoutError):
        return None
    return Gpus(total=total, free=free)


def build(_: dict[str, Any]) -> "Application":
    """The router's application."""
    deployment = serve.deployment(name="Router", max_constructor_retry_count=2)(
        serve.ingress()(Router)
    )
    return deployment.bind()
