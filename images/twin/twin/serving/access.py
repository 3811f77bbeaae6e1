"""Who may ask: bearer keys, known by their hashes, each with its twins and rights."""

import hmac
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from twin.domain.api_key import ApiKey, KeyLimits, Right, Secret, is_mistyped, key_digest
from twin.domain.errors import BadConfigurationError
from twin.domain.profile import Profile
from twin.serving.errors import RETRY_AFTER_SECONDS, ApiError
from twin.settings import Settings

SCHEME = "bearer"

#: What needs a key; health needs none, so that load balancers can ask for it.
GUARDED = "/v1/"
METRICS = "/metrics"
MCP = "/mcp"
#: The models that a key may ask for, any key may list.
MODELS = "/v1/models"
FEEDBACK = "/feedback"
#: What the platform's own keys may read of a rollout.
ROLLOUTS = "/v1/rollouts"

NO_LIMITS = KeyLimits()


@dataclass(frozen=True)
class Caller:
    """Whose key a request came with: ``scope["state"]["caller"]``.

    Attributes:
        id: the key's, which stays when the key is rotated.
        name: the key's, for people.
        rights: what the key may do.
        twins: models that it may ask; None: all.
        limits: how much it may ask, with the deployment's defaults filled in.
        profile: the manner that it is answered in, where a request names none.
    """

    id: str
    name: str
    rights: frozenset[Right]
    twins: frozenset[str] | None = None
    limits: KeyLimits = NO_LIMITS
    profile: Profile | None = None


#: The caller of the request that is being answered; None where no key is needed.
CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)


class Keys:
    """The keys that open the endpoint. Only their hashes are kept.

    Those given at the start open everything, for as long as the process runs. Those of the
    warehouse come and go, see `twin.serving.key_follower`; until they have been read once, a key
    that is not known may be one of them, and its caller is told to come again.

    Raises:
        BadConfigurationError: none is given, so that no rollout could ask; or one is mistyped.
    """

    def __init__(self, keys: Iterable[SecretStr], defaults: KeyLimits | None = None) -> None:
        texts = [key.get_secret_value() for key in keys]
        if not texts:
            raise BadConfigurationError(
                "the endpoint does not start without a key: set TWIN_API_KEYS (comma-separated)"
            )
        if any(is_mistyped(text) for text in texts):
            raise BadConfigurationError(
                "TWIN_API_KEYS: a key that begins with twin_ is cut off or mistyped: its checksum "
                "is wrong"
            )
        self._given = [(digest, _given(digest)) for digest in map(key_digest, texts)]
        self._defaults = defaults or NO_LIMITS
        self._stored: dict[str, tuple[ApiKey, Secret, Caller]] = {}
        self._awaited = False

    def await_stored(self) -> None:
        """From now on until `replace` a key that is not known may be one of the warehouse's."""
        self._awaited = True

    def replace(self, keys: Sequence[ApiKey]) -> None:
        """Take over the keys of the warehouse as they are now."""
        self._stored = {
            secret.digest: (key, secret, self._caller(key))
            for key in keys
            for secret in key.secrets
        }
        self._awaited = False

    def check(self, authorization: str | None) -> Caller:
        """Whose an ``Authorization`` header is.

        Raises:
            ApiError: 401, whether the key is missing, unknown, over or revoked; 503 while the
                warehouse's keys are not known.
        """
        scheme, _, given = (authorization or "").partition(" ")
        text = given.strip()
        if scheme.lower() != SCHEME or not text:
            raise _unauthorised("no API key: send it as 'Authorization: Bearer <key>'")
        if is_mistyped(text):
            raise _unauthorised("no valid API key: it is cut off or mistyped")
        digest = key_digest(text)
        if caller := self._given_caller(digest) or self._stored_caller(digest):
            return caller
        if self._awaited:
            raise ApiError(
                503,
                "keys can't be looked up now: try again in a few seconds",
                code="keys_unavailable",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            )
        raise _unauthorised("no valid API key: send it as 'Authorization: Bearer <key>'")

    def caller(self, identity: str) -> Caller | None:
        """Whose key has this id; None: it opens nothing now, or is not known here yet."""
        now = datetime.now(UTC)
        given = [caller for _, caller in self._given if caller.id == identity]
        stored = [
            caller
            for key, secret, caller in self._stored.values()
            if caller.id == identity and key.opens(secret, now)
        ]
        return next(iter(given + stored), None)

    def _given_caller(self, digest: str) -> Caller | None:
        # All are compared, whichever matches, so that the time taken tells nothing.
        matches = [one for given, one in self._given if hmac.compare_digest(digest, given)]
        return matches[0] if matches else None

    def _stored_caller(self, digest: str) -> Caller | None:
        # Looked up by a hash of what is random: the time taken tells nothing of any key.
        if digest not in self._stored:
            return None
        key, secret, caller = self._stored[digest]
        return caller if key.opens(secret, datetime.now(UTC)) else None

    def _caller(self, key: ApiKey) -> Caller:
        twins = None if key.twins is None else frozenset(key.twins)
        limits = key.limits.over(self._defaults)
        return Caller(key.id, key.name, frozenset(key.rights), twins, limits, key.profile)


class BearerAccess:
    """ASGI middleware that asks for a key before anything of a request's body is read.

    Whose it is stands in the scope's state, and in `CALLER`, from then on.
    """

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection (https://asgi.readthedocs.io/en/latest/specs/main.html)."""
        if scope["type"] != "http" or not is_guarded(scope["path"]):
            await self._app(scope, receive, send)
            return
        try:
            caller = self._keys.check(Headers(scope=scope).get("authorization"))
            scope.setdefault("state", {})["caller"] = caller
            _check_right(caller, scope["path"])
        except ApiError as error:
            await error.response()(scope, receive, send)
            return
        token = CALLER.set(caller)
        try:
            await self._app(scope, receive, send)
        finally:
            CALLER.reset(token)


def default_limits(settings: Settings) -> KeyLimits:
    """Of keys that name none of their own."""
    return KeyLimits(
        requests_per_minute=settings.key_requests_per_minute,
        tokens_per_day=settings.key_tokens_per_day,
        concurrent_requests=settings.key_concurrent_requests,
    )


def is_guarded(path: str) -> bool:
    """Whether a path needs a key."""
    return path.startswith(GUARDED) or path in (METRICS, MCP)


def right_for(path: str) -> Right | None:
    """What a path takes; None: any key. One that is not known here takes the right to ask."""
    if path == MODELS or path.startswith(f"{MODELS}/"):
        return None
    if path == METRICS or path.startswith(f"{ROLLOUTS}/"):
        return Right.ADMIN
    return Right.FEEDBACK if path.rstrip("/").endswith(FEEDBACK) else Right.ASK


def _check_right(caller: Caller, path: str) -> None:
    """Raises `ApiError` 403 to whom a path is not open."""
    right = right_for(path)
    if right is not None and right not in caller.rights:
        raise ApiError.forbidden(f"this key has no right to {path}: it lacks {right.value!r}")


def _given(digest: str) -> Caller:
    """Whoever has a key of the settings: all rights, no limits."""
    return Caller(f"setting-{digest[:12]}", "TWIN_API_KEYS", frozenset(Right))


def _unauthorised(message: str) -> ApiError:
    return ApiError(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})
