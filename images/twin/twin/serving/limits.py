"""The limit on request bodies, kept while they are read."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from twin.serving.errors import ApiError


class BodyLimit:
    """ASGI middleware that answers 413 to a body larger than ``max_bytes``.

    By its ``Content-Length`` where one is sent, by counting where it is not (chunked).
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection (https://asgi.readthedocs.io/en/latest/specs/main.html)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._announced(scope) > self._max_bytes:
            await ApiError(413, self._words(), code="body_too_large").response()(
                scope, receive, send
            )
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._max_bytes:
                # FastAPI turns other exceptions met while it reads a body into a 400.
                raise HTTPException(413, self._words())
            return message

        await self._app(scope, counted, send)

    def _announced(self, scope: Scope) -> int:
        length = dict(scope["headers"]).get(b"content-length", b"0")
        return int(length) if length.isdigit() else 0

    def _words(self) -> str:
        return f"the body is larger than {self._max_bytes:,} bytes"
