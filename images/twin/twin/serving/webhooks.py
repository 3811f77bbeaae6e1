"""Telling a caller's webhook that its answer has ended, as OpenAI does and signed in the same way.

By Standard Webhooks (https://www.standardwebhooks.com): OpenAI's client checks it with
``client.webhooks.unwrap(body, headers, secret=…)``. The event names the response and holds nothing
of it. Each key has a secret of its own, made from the operator's, so no store holds it.
"""

import asyncio
import base64
import hmac
import json
import time
from typing import TYPE_CHECKING, Any

from twin.domain.background import BackgroundAnswer
from twin.serving.errors import ApiError
from twin.serving.responses import response_id
from twin.settings import Settings
from twin.stores.addresses import AddressGuard, RefusedAddressError, host_and_port
from twin.stores.guarded_client import UnansweredError, UnknownHostError, resolved

if TYPE_CHECKING:
    import httpcore

EXCEPTIONS = "the operator's TWIN_WEBHOOK_PRIVATE"
#: From the look-up of the name to the first line of the answer.
SECONDS = 10.0
SECONDS_TO_LOOK_UP = 3.0
#: A receiver that wants no more of them says so.
GONE = 410


def secret_of(caller: str, settings: Settings) -> str | None:
    """The secret that a key's webhooks are signed with; None: the operator has set none."""
    if settings.webhook_secret is None:
        return None
    master = settings.webhook_secret.get_secret_value().encode()
    return "whsec_" + base64.b64encode(hmac.digest(master, caller.encode(), "sha256")).decode()


def signed_headers(secret: str, identity: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of a message.

    Args:
        secret: as `secret_of` gives it.
        identity: of the message, the same at each attempt.
        timestamp: now, in seconds of Unix.
        body: the message.
    """
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.digest(key, f"{identity}.{timestamp}.".encode() + body, "sha256")
    return {
        "content-type": "application/json",
        "webhook-id": identity,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }


class Webhooks:
    """Sends what has ended to where its caller wants it.

    Args:
        settings: the operator's secret, and the private addresses that may be reached.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._guard = AddressGuard(settings.webhook_private, EXCEPTIONS)

    async def check(self, url: str) -> None:
        """Refuse a webhook that could never be told.

        Raises:
            ApiError: 400, and why.
        """
        try:
            self._check(url)
            async with asyncio.timeout(SECONDS_TO_LOOK_UP):
                await asyncio.to_thread(resolved, self._guard, *host_and_port(url))
        except (UnansweredError, TimeoutError):
            return  # it can't be looked up now; it is when it is told
        except (RefusedAddressError, UnknownHostError, ValueError) as error:
            raise ApiError(
                400, f"webhook: {error}", code="invalid_value", param="webhook"
            ) from None

    async def tell(self, answer: BackgroundAnswer) -> bool:
        """Tell its end; False: it is to be tried again.

        Raises:
            RefusedAddressError: the address is no longer public: never again.
            UnknownHostError: the name is gone: never again.
        """
        secret = secret_of(answer.caller, self._settings)
        if answer.webhook is None or secret is None:
            return True
        body = json.dumps(event(answer)).encode()
        headers = signed_headers(secret, f"msg_{answer.id}", int(time.time()), body)
        try:
            async with asyncio.timeout(SECONDS):
                status = await self._post(answer.webhook, headers, body)
        except (UnansweredError, TimeoutError):
            return False
        return 200 <= status < 300 or status == GONE

    def _check(self, url: str) -> None:
        if secret_of("", self._settings) is None:
            raise ValueError("no webhook is told here: the operator has not set a secret for them")
        host, port = host_and_port(url)
        if not url.startswith("https:") and not self._guard.allows(host, port):
            raise ValueError("must be an https address")
        self._guard.check_url(url)

    async def _post(self, url: str, headers: dict[str, str], body: bytes) -> int:
        """The status of the answer, whose body is not read; a redirect is not followed."""
        import httpcore

        self._guard.check_url(url)
        try:
            async with (
                httpcore.AsyncConnectionPool(network_backend=_backend(self._guard)) as pool,
                pool.stream("POST", url, headers=list(headers.items()), content=body) as response,
            ):
                return int(response.status)
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            raise UnansweredError(type(error).__name__) from None


def event(answer: BackgroundAnswer) -> dict[str, Any]:
    """What a webhook is told of the end of an answer."""
    return {
        "id": f"evt_{answer.id}",
        "object": "event",
        "created_at": int(time.time()),
        "type": f"response.{answer.state}",
        "data": {"id": response_id(answer.id)},
    }


def _backend(guard: AddressGuard) -> "httpcore.AsyncNetworkBackend":
    """Connects to the very address that was checked."""
    import httpcore

    class GuardedBackend(httpcore.AnyIOBackend):
        async def connect_tcp(self, host: str, port: int, *args: Any, **options: Any) -> Any:
            address = await asyncio.to_thread(resolved, guard, host, port)
            return await super().connect_tcp(address, port, *args, **options)

    return GuardedBackend()
