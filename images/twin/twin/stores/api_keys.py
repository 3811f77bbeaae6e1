"""Keys of the endpoint's callers, in the warehouse's database: ``api_keys``.

Keys that are revoked stay, so that the list and the audit log can name them.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog
from pydantic import ValidationError

from twin.domain.api_key import ApiKey, Secret, key_digest, new_key_text
from twin.domain.errors import BadDataError
from twin.domain.profile import Profile
from twin.stores.audit import Actor, Audit
from twin.stores.warehouse import Warehouse
from twin.stores.warehouse_connection import Record

COLLECTION = "api_keys"

log = structlog.get_logger("twin")


class ApiKeys:
    """The keys. Every method raises `TryAgainError` if the warehouse is away.

    Each change is written down in the audit log before it is made: a kill in between leaves an
    entry too many, and never one too few.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._keys = warehouse.collection(COLLECTION)
        self._audit = Audit(warehouse)

    def all(self) -> list[ApiKey]:
        """Every key that there ever was, oldest first."""
        return self._read({})

    def live(self) -> list[ApiKey]:
        """Those that open something now."""
        now = datetime.now(UTC)
        open_end = {"$or": [{"expires": None}, {"expires": {"$gt": now}}]}
        return self._read({"revoked": None, **open_end})

    def find(self, id_or_name: str) -> ApiKey:
        """A live key by its id or name.

        Raises:
            BadDataError: there is none.
        """
        for key in self.live():
            if id_or_name in (key.id, key.name):
                return key
        raise BadDataError(
            f"no live key {id_or_name!r}: `twin serving keys list --all` shows them all"
        )

    def add(self, key: ApiKey, actor: Actor) -> None:
        """Store a new key.

        Raises:
            BadDataError: a live key bears its name.
        """
        if any(other.name == key.name for other in self.live()):
            raise BadDataError(
                f"there is a live key named {key.name!r}: choose another name, rotate that one, "
                "or revoke it first"
            )
        scope = key.model_dump(mode="json", include={"twins", "rights", "limits", "expires"})
        self._audit.record("key created", key.id, actor, {"name": key.name, **scope})
        record = key.model_dump(mode="python", exclude={"id"})
        record["rights"] = [right.value for right in key.rights]
        with self._warehouse.plain_errors():
            self._keys.insert_one({"_id": key.id, **record})

    def rotate(self, key: ApiKey, grace: timedelta, actor: Actor) -> str:
        """Give a key another text, which is returned; the old one opens for the grace period."""
        now = datetime.now(UTC)
        text = new_key_text()
        old = [_ending(secret, now + grace) for secret in key.secrets]
        kept = [secret for secret in old if secret.expires is not None and secret.expires > now]
        new = Secret(digest=key_digest(text), created=now)
        detail = {"name": key.name, "grace_seconds": int(grace.total_seconds())}
        self._audit.record("key rotated", key.id, actor, detail)
        before = [secret.digest for secret in key.secrets]
        with self._warehouse.plain_errors():
            done = self._keys.update_one(
                # Unless another person has rotated or revoked it meanwhile.
                {"_id": key.id, "revoked": None, "secrets.digest": before[0]},
                {"$set": {"secrets": [one.model_dump(mode="python") for one in (new, *kept)]}},
            )
        if not done.matched_count:
            raise BadDataError(f"key {key.name!r} was changed meanwhile: list the keys again")
        return text

    def set_profile(self, key: ApiKey, profile: Profile | None, actor: Actor) -> None:
        """Have a key's callers answered in a manner; None: as the author writes.

        What the profile says stands in no log: it is somebody's own.
        """
        detail = {"name": key.name, "profile": profile is not None}
        self._audit.record("key profile set", key.id, actor, detail)
        kept = None if profile is None else profile.model_dump(mode="json")
        with self._warehouse.plain_errors():
            self._keys.update_one({"_id": key.id}, {"$set": {"profile": kept}})

    def revoke(self, key: ApiKey, actor: Actor) -> None:
        """Let a key open nothing any more."""
        self._audit.record("key revoked", key.id, actor, {"name": key.name})
        with self._warehouse.plain_errors():
            self._keys.update_one({"_id": key.id}, {"$set": {"revoked": datetime.now(UTC)}})

    def _read(self, query: Record) -> list[ApiKey]:
        with self._warehouse.plain_errors():
            records = list(self._keys.find(query).sort("created", 1))
        return _readable(records)


def _ending(secret: Secret, at: datetime) -> Secret:
    """A secret that opens until then at most."""
    expires = min(at, secret.expires) if secret.expires else at
    return secret.model_copy(update={"expires": expires})


def _readable(records: Sequence[Record]) -> list[ApiKey]:
    """Those that this code can read; others, which newer code may have written, are named."""
    keys = []
    for record in records:
        try:
            keys.append(ApiKey.stored(record))
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            log.warning("key can't be read, so it opens nothing", key=record["_id"], reason=reason)
    return keys
