"""A hint from the model registry that an alias has moved, so that it is looked at sooner.

MLflow signs what it sends (HMAC-SHA256 of ``DELIVERY.TIMESTAMP.BODY``, after
https://www.standardwebhooks.com) and says so in three headers. A hint that is good makes
`include.promotion.ChampionTrigger` look at the registry at once; what it finds there counts, and
nothing of the hint's body does. So a hint that is lost, or comes twice, changes nothing but when.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from include.promotion import ALIAS, HINT, MODEL_PREFIX

#: MLflow's retries carry the timestamp of the first try: three of them, of 30 s each at most, with
#: pauses between. What is older was kept by somebody.
GOOD_FOR = timedelta(minutes=5)
MOST_BYTES = 65_536
SIGNATURE, TIMESTAMP, DELIVERY = "X-MLflow-Signature", "X-MLflow-Timestamp", "X-MLflow-Delivery-Id"
VERSION = "v1"
#: Of what moves an alias; MLflow tells of both the same.
ENTITIES = frozenset({"model_version_alias", "prompt_alias"})


class RefusedHintError(Exception):
    """A hint that is not taken.

    Attributes:
        status: HTTP status that says so.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{reason}: nothing is done")
        self.status = status


def checked(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    """The id of a delivery that MLflow has signed just now.

    Args:
        secret: that MLflow was given with the webhook.
        headers: of the request; looked up by any case.
        body: as it came.
        now: with its time zone.

    Raises:
        RefusedHintError: it is not signed, signed by somebody else, or old.
    """
    signature, timestamp, delivery = (
        headers.get(name, "") for name in (SIGNATURE, TIMESTAMP, DELIVERY)
    )
    if not (signature and timestamp and delivery):
        raise RefusedHintError(
            401, f"the hint is not signed: it lacks {SIGNATURE}, {TIMESTAMP} or {DELIVERY}"
        )
    signed = f"{delivery}.{timestamp}.".encode() + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    expected = f"{VERSION},{base64.b64encode(digest).decode()}"
    if not hmac.compare_digest(signature.encode(), expected.encode()):
        raise RefusedHintError(401, "the hint is signed with another secret than Airflow's")
    try:
        sent = datetime.fromtimestamp(int(timestamp), UTC)
    except (ValueError, OverflowError, OSError):
        raise RefusedHintError(401, f"{TIMESTAMP} is no time") from None
    if abs(now - sent) > GOOD_FOR:
        raise RefusedHintError(
            401, f"the hint is of {sent:%Y-%m-%d %H:%M:%S} UTC, which is too old"
        )
    return delivery


def is_of_a_champion(body: bytes) -> bool:
    """Whether a signed body tells of the alias ``champion`` of a twin or of its prompt.

    Raises:
        RefusedHintError: it is no event of MLflow's.
    """
    try:
        event = json.loads(body)
        data = event["data"]
        names = (event["entity"], data["alias"], data["name"])
    except (ValueError, KeyError, TypeError):
        raise RefusedHintError(400, "the hint is no event of an alias") from None
    entity, alias, name = map(str, names)
    return entity in ENTITIES and alias == ALIAS and name.startswith(MODEL_PREFIX)


def leave(delivery: str, now: datetime) -> None:
    """Have the trigger look at the registry.

    The hint lies in the state store of the asset ``champion``, which the API server writes and the
    triggerer reads, wherever they run.

    Raises:
        RefusedHintError: this delivery has come already; or Airflow has not read the DAGs yet.
    """
    from airflow._shared.state import AssetScope, AssetStateStoreWriterKind
    from airflow.models.asset import AssetModel
    from airflow.models.asset_state_store import AssetStateStoreModel
    from airflow.state.metastore import MetastoreBackend
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        # The row is held until the end, so that of two that come at once the second sees the first.
        asset = session.scalar(
            select(AssetModel.id).where(AssetModel.name == ALIAS).with_for_update()
        )
        if asset is None:
            raise RefusedHintError(503, "Airflow does not know the asset champion yet")
        kept = session.scalar(
            select(AssetStateStoreModel.value).where(
                AssetStateStoreModel.asset_id == asset, AssetStateStoreModel.key == HINT
            )
        )
        hint = with_delivery(json.loads(kept) if kept else {}, delivery, now)
        MetastoreBackend().set_asset_state_store(
            AssetScope(asset_id=asset),
            HINT,
            json.dumps(hint),
            kind=AssetStateStoreWriterKind.API,
            session=session,
        )


def with_delivery(hint: Mapping[str, Any], delivery: str, now: datetime) -> dict[str, Any]:
    """The hint that is kept, and in it the deliveries that could be played again.

    Raises:
        RefusedHintError: this one has come already.
    """
    seen = {
        one: at
        for one, at in hint.get("seen", {}).items()
        # A timestamp may lie ahead by as much as it may lie behind.
        if now - datetime.fromisoformat(at) <= 2 * GOOD_FOR
    }
    if delivery in seen:
        raise RefusedHintError(409, f"the delivery {delivery!r:.80} has come already")
    return {"delivery": delivery, "seen": {**seen, delivery: now.isoformat()}}
