"""The Model Context Protocol at ``/mcp``: streamable HTTP without sessions
(https://modelcontextprotocol.io/specification).

Behind the same key and limits as every route. The protocol's own check of the Host header is off:
it guards servers without keys against web pages that point a name at this machine (DNS rebinding),
and a page cannot send a key that it does not have.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from twin.serving.access import MCP
from twin.serving.asking import Asking
from twin.serving.errors import ApiError

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager


class McpEndpoint:
    """ASGI application of the protocol; takes requests while `running`.

    The protocol's library, 23 MiB in each router, is loaded by the first request.

    Args:
        asking: has questions answered.
        max_body_bytes: largest body that is read.
    """

    def __init__(self, asking: Asking, max_body_bytes: int) -> None:
        self._asking = asking
        self._max_body_bytes = max_body_bytes
        self._stop: asyncio.Event | None = None
        self._starting: asyncio.Future[StreamableHTTPSessionManager] | None = None
        self._serving: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While the process serves."""
        self._stop = asyncio.Event()
        try:
            yield
        finally:
            self._stop.set()
            self._stop = self._starting = None
            if self._serving is not None:
                await self._serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (https://asgi.readthedocs.io/en/latest/specs/main.html)."""
        if self._stop is None:
            await ApiError.unavailable("the Model Context Protocol").response()(
                scope, receive, send
            )
            return
        if self._starting is None:
            self._starting = asyncio.get_running_loop().create_future()
            self._serving = asyncio.create_task(self._serve(self._starting, self._stop))
        # Shielded: a caller that goes away does not end the start that others wait for.
        manager = await asyncio.shield(self._starting)
        await manager.handle_request(scope, receive, send)

    async def _serve(
        self, started: "asyncio.Future[StreamableHTTPSessionManager]", stop: asyncio.Event
    ) -> None:
        """Load the library and hold its task group, which one task has to open and close."""
        try:
            server = await asyncio.to_thread(self._make_server)
            async with server.session_manager.run():
                started.set_result(server.session_manager)
                await stop.wait()
        except Exception as error:
            if started.done():
                raise
            self._starting = None  # the next request tries again
            started.set_exception(error)

    def _make_server(self) -> "MCPServer":
        from mcp.server.transport_security import TransportSecuritySettings

        from twin.serving.mcp_tools import make_server

        server = make_server(self._asking)
        server.streamable_http_app(
            stateless_http=True,
            max_request_body_size=self._max_body_bytes,
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        )
        return server


def add_mcp(app: FastAPI, endpoint: McpEndpoint) -> None:
    """Add ``/mcp``; the application's lifespan has to run `McpEndpoint.running`."""
    app.router.routes.append(Route(MCP, endpoint=endpoint))
