"""One log line and one id a request; nothing of what was asked or answered.

A health check that succeeds leaves no line: several come each second, from load balancers and
from Serve's own proxy, and would hide the others.
"""

import re
import time
import traceback
import uuid
from http import HTTPStatus

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from twin.serving.errors import ApiError

HEADER = "x-request-id"
HEALTH = "/healthz"

#: A caller's own id is taken over if it can do no harm in a log or a header.
ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{1,80}")

log = structlog.get_logger("twin.serving")


class RequestsLog:
    """ASGI middleware: gives each request an id, logs it, and turns a defect into a JSON 500.

    Args:
        app: what answers.
        names_responses: whether to send the id as a header too; False behind a server that sends
            the request's own, as Ray Serve does.
    """

    def __init__(self, app: ASGIApp, names_responses: bool = True) -> None:
        self._app = app
        self._names_responses = names_responses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection (https://asgi.readthedocs.io/en/latest/specs/main.html)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope).get(HEADER))
        status = 0
        started = time.perf_counter()

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._names_responses:
                    MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, named)
            except Exception:
                # As text: a renderer that shows local variables would show the question.
                log.error("request failed", path=scope["path"], trace=traceback.format_exc())
                if status:
                    raise  # The response is on its way: all that is left is to break it off.
                await ApiError.failed().response()(scope, receive, named)
            finally:
                if scope["path"] != HEALTH or status != HTTPStatus.OK:
                    seconds = round(time.perf_counter() - started, 4)
                    caller = scope.get("state", {}).get("caller")
                    key = {"key": caller.id} if caller else {}
                    log.info("request", path=scope["path"], status=status, seconds=seconds, **key)


def _request_id(given: str | None) -> str:
    return given if given and ACCEPTABLE.fullmatch(given) else uuid.uuid4().hex
