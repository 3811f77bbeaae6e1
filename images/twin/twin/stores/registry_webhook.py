"""The model registry's webhook: MLflow tells Airflow when an alias has moved.

See https://mlflow.org/docs/latest/ml/webhooks/; what is registered is for MLflow's own server to
send. It keeps the secret encrypted and gives it back to nobody.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

from pydantic import SecretStr

from twin.domain.errors import NothingToDo
from twin.stores.mlflow_rest import MlflowRest

NAME = "llm-twin-rollout"
#: Aliases of models and of prompts; one that is set anew is created anew.
EVENTS = tuple(
    {"entity": entity, "action": action}
    for entity in ("MODEL_VERSION_ALIAS", "PROMPT_ALIAS")
    for action in ("CREATED", "DELETED")
)


class RegistryWebhook(MlflowRest):
    """The one webhook of this platform, known by its name.

    Every method raises `BadConfigurationError` where MLflow refuses the user (with its basic auth
    only an administrator may keep webhooks), and `TryAgainError` where it does not answer.
    """

    def ensure(self, url: str, secret: SecretStr) -> str:
        """Have MLflow send signed hints to a URL; returns the webhook's id.

        Raises:
            NothingToDo: it does already.
            BadDataError: MLflow refuses the URL: it takes public addresses by https, unless its
                server is told otherwise.
        """
        wanted = {
            "name": NAME,
            "description": f"Secret {_fingerprint(secret)}",
            "url": url,
            "events": list(EVENTS),
            "status": "ACTIVE",
        }
        # The newest first: of several, the others are left to those who made them.
        found = next((each for each in self._all() if each["name"] == NAME), None)
        if found and all(_alike(found.get(key), value) for key, value in wanted.items()):
            raise NothingToDo(f"the webhook {NAME} is as it should be")
        body = {**wanted, "secret": secret.get_secret_value()}
        if found is None:
            made = self._post("webhooks", body)
        else:
            made = self._send("PATCH", f"webhooks/{found['webhook_id']}", body)
        return str(made["webhook"]["webhook_id"])

    def _all(self) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            answer = self._get("webhooks", **({"page_token": token} if token else {})) or {}
            yield from answer.get("webhooks", ())
            token = answer.get("next_page_token", "")
            if not token:
                return


def _fingerprint(secret: SecretStr) -> str:
    """By which a changed secret is noticed; of 32 random characters it gives nothing away."""
    return hashlib.sha256(secret.get_secret_value().encode()).hexdigest()[:12]


def _alike(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return sorted(map(repr, found or ())) == sorted(map(repr, wanted))
    return bool(found == wanted)
