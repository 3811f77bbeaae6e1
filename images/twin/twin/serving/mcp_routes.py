"""The Model Context Protocol at ``/mcp``: streamable HTTP without sessions
(https://modelcontextprotocol.io/specification).

Behind the same key and limits as every route. The protocol's own check of the Host header is off:
it guards servers without keys against web pages that point a name at this machine (DNS rebinding),
and a page cannot send a key that it does not have.
"""

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
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager


class McpEndpoint:
    """ASGI application of the protocol; takes requests while `running`.

    Args:
        asking: has questions answered.
        max_body_bytes: largest body that is read.
    """

    def __init__(self, asking: Asking, max_body_bytes: int) -> None:
        from twin.serving.mcp_tools import make_server

        self._server = make_server(asking)
        self._max_body_bytes = max_body_bytes
        self._manager: StreamableHTTPSessionManager | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While the process serves."""
        from mcp.server.transport_security import TransportSecuritySettings

        self._server.streamable_http_app(
            stateless_http=True,
            max_request_body_size=self._max_body_bytes,
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        )
        manager = self._server.session_manager
        async with manager.run():
            self._manager = manager
            try:
                yield
            finally:
                self._manager = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (https://asgi.readthedocs.io/en/latest/specs/main.html)."""
        if self._manager is None:
            await ApiError.unavailable("the Model Context Protocol").response()(
                scope, receive, send
            )
            return
        await self._manager.handle_request(scope, receive, send)


def add_mcp(app: FastAPI, endpoint: McpEndpoint) -> None:
    """Add ``/mcp``; the application's lifespan has to run `McpEndpoint.running`."""
    app.router.routes.append(Route(MCP, endpoint=endpoint))
