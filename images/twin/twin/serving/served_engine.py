"""An engine that runs in a Serve application of its own, as a version sees it."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grpc import RpcError
from ray.exceptions import RayActorError, RayError  # noqa: TID253 - only Serve imports this
from ray.serve.exceptions import BackPressureError, RayServeException  # noqa: TID253

from twin.domain.errors import BadDataError, OverloadedError, TryAgainError
from twin.models.engines.engine import EngineRequest
from twin.models.language_model import Generation
from twin.serving.engine_messages import read_item
from twin.serving.handles import local_handle

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle

SECONDS_BETWEEN_LOOKS = 0.3


class ServedEngine:
    """`twin.models.engines.engine.Engine` over the handle of an engine application.

    Nothing is asked twice: Serve itself finds another replica for what a replica has not begun,
    and what one has begun may be what ended it.
    """

    def __init__(self, application: str, handle: "DeploymentHandle", context_tokens: int) -> None:
        self.context_tokens = context_tokens
        self._application = application
        self._handle = handle

    @classmethod
    async def connect(cls, application: str, adapter: str | None, seconds: float) -> "ServedEngine":
        """The engine once it runs, with the adapter that this version needs.

        Raises:
            TryAgainError: it does not run in time.
            BadDataError: it has refused the adapter.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                handle = local_handle(application)
                async with asyncio.timeout(max(1.0, deadline - time.monotonic())):
                    about: dict[str, Any] = await handle.describe.remote()
                if adapter is None or adapter in about["adapters"]:
                    return cls(application, handle, about["context_tokens"])
                if refusal := about.get("refused", {}).get(adapter):
                    raise BadDataError(refusal)
                reason = f"it has no adapter {adapter}"
            except (RayServeException, RayError, TimeoutError) as error:
                reason = type(error).__name__
            if time.monotonic() > deadline:
                raise TryAgainError(
                    f"the engine {application} does not run after {seconds:.0f} s ({reason}): "
                    "its application's message says why"
                )
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)

    async def stream(self, request: EngineRequest) -> AsyncIterator[str | Generation]:
        """Pieces of text, then the whole answer; see `Engine.stream`."""
        items = self._handle.options(stream=True).stream.remote(request.to_dict())
        try:
            async for item in items:
                yield read_item(item)
        except BackPressureError:
            raise OverloadedError("too many requests wait for the engine") from None
        except (RayActorError, RpcError) as error:
            raise TryAgainError(
                f"the engine ended in mid-answer ({type(error).__name__})"
            ) from None
        except RayServeException as error:
            raise TryAgainError(f"the engine is not there ({type(error).__name__})") from None
        finally:
            items.cancel()  # does nothing to what has ended

    async def set_adapters(self, adapters: Mapping[str, Path]) -> None:  # noqa: ARG002
        """Not from here: the engine application's ``user_config`` names its adapters."""
        raise RuntimeError(f"{self._application}: adapters come by its user_config")

    async def check_health(self) -> None:
        """Serve checks the engine's own replicas."""

    async def close(self) -> None:
        """Serve ends the engine's own replicas."""
