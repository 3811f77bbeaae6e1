"""Rights in the model registry, by MLflow's basic auth: a trainer who can offer and not promote.

https://mlflow.org/docs/latest/self-hosting/security/basic-http-auth/
"""

import structlog

from twin.domain.errors import BadConfigurationError, BadDataError
from twin.stores.mlflow_rest import AlreadyExistsError
from twin.stores.prompts import prompt_name
from twin.stores.registry import CANDIDATES_SUFFIX, Registry

GRANT = "/api/3.0/mlflow/users/permissions/grant"
REVOKE = "/api/3.0/mlflow/users/permissions/revoke"

log = structlog.get_logger("twin")


class RegistryRights(Registry):
    """The registry as its administrator sees it.

    Every method raises what those of `Registry` do.
    """

    def separate(self, name: str, trainer: str) -> None:
        """Let a user edit the model of candidates, and not the model that serves, nor its prompt.

        MLflow's DENY goes before every other right, the default one too. The models are made if
        they are not there, so that the trainer is not the first. Again changes nothing.

        Raises:
            BadConfigurationError: MLflow has no users, or these credentials may not give rights.
            BadDataError: there is no such user.
        """
        offered = f"{name}{CANDIDATES_SUFFIX}"
        for model in (name, offered):
            self._create_model(model)
        for model, right in ((name, "DENY"), (prompt_name(name), "DENY"), (offered, "EDIT")):
            self._permit(model, trainer, right)
            log.info("right given", user=trainer, model=model, right=right)

    def _permit(self, model: str, user: str, right: str) -> None:
        resource = {"username": user, "resource_type": "registered_model", "resource_id": model}
        try:
            try:
                self._send("POST", GRANT, {**resource, "permission": right})
            except AlreadyExistsError:
                self._send("POST", REVOKE, resource)
                self._send("POST", GRANT, {**resource, "permission": right})
        except (BadConfigurationError, BadDataError) as error:
            raise type(error)(
                f"{user!r} cannot be given the right {right} on {model}: {error}; it takes "
                "MLflow's administrator, and a server that has users (--app-name basic-auth)"
            ) from None
