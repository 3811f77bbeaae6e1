"""Who may ask: bearer keys, compared in constant time."""

import hashlib
import hmac
from collections.abc import Iterable

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from twin.domain.errors import BadConfigurationError
from twin.serving.errors import ApiError

SCHEME = "bearer"

#: What needs a key; health needs none, so that load balancers can ask for it.
GUARDED = "/v1/"


class Keys:
    """The keys that open the endpoint. Only their hashes are kept.

    Raises:
        BadConfigurationError: there is none, so everyone could ask.
    """

    def __init__(self, keys: Iterable[SecretStr]) -> None:
        self._hashes = [_hash(key.get_secret_value()) for key in keys]
        if not self._hashes:
            raise BadConfigurationError(
                "the endpoint does not start without a key: set TWIN_API_KEYS (comma-separated)"
            )

    def check(self, authorization: str | None) -> None:
        """Check an ``Authorization`` header.

        Raises:
            ApiError: 401, whether it is missing, malformed or wrong.
        """
        scheme, _, key = (authorization or "").partition(" ")
        given = _hash(key.strip())
        # All are compared, whichever matches, so that the time taken tells nothing.
        matches = [hmac.compare_digest(given, known) for known in self._hashes]
        if scheme.lower() != SCHEME or not any(matches):
            raise ApiError(
                401,
                "no valid API key: send it as 'Authorization: Bearer <key>'",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )


class BearerAccess:
    """ASGI middleware that asks for a key before anything of a request's body is read."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection (https://asgi.readthedocs.io/en/latest/specs/main.html)."""
        if scope["type"] == "http" and scope["path"].startswith(GUARDED):
            try:
                self._keys.check(Headers(scope=scope).get("authorization"))
            except ApiError as error:
                await error.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
