"""How MLflow is reached: its client with short timeouts, and its failures in plain words."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError, TwinError
from twin.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

HTTP_TIMEOUT_SECONDS = 10
HTTP_RETRIES = 2


#: The ``user:password@`` of a URL.
_CREDENTIALS = re.compile(r"(?<=://)[^/?#]*@")


def shown_url(settings: Settings) -> str:
    """MLflow's address as errors and logs may show it: without credentials."""
    return _without_credentials(settings.mlflow_tracking_uri)


def ui_url(settings: Settings) -> str:
    """MLflow's address for people's browsers, without credentials."""
    return _without_credentials(settings.mlflow_ui_url or settings.mlflow_tracking_uri)


def unreachable(settings: Settings, reason: str) -> str:
    """The one line that says MLflow does not answer, and what to do."""
    return (
        f"MLflow at {shown_url(settings)} does not answer: is it started (make up)? "
        f"TWIN_MLFLOW_TRACKING_URI says where it is ({reason})"
    )


def refused(settings: Settings) -> str:
    """The one line that says MLflow does not accept the credentials, and what to do."""
    return (
        f"MLflow at {shown_url(settings)} refuses access: "
        "check TWIN_MLFLOW_USERNAME and TWIN_MLFLOW_PASSWORD and that user's permissions"
    )


def mlflow_client(settings: Settings) -> "MlflowClient":
    """A client for the configured server, with short timeouts and few retries.

    MLflow takes its timeouts, retries and credentials from the environment only (its defaults
    wait minutes for a server that is down), so they are set here, through its own
    `environment_variables`, and nowhere else. No connection is made.
    """
    from mlflow import MlflowClient, environment_variables

    environment_variables.MLFLOW_HTTP_REQUEST_TIMEOUT.set(HTTP_TIMEOUT_SECONDS)
    environment_variables.MLFLOW_HTTP_REQUEST_MAX_RETRIES.set(HTTP_RETRIES)
    environment_variables.MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR.set(1)
    environment_variables.MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.set("true")
    if settings.mlflow_username and settings.mlflow_password:
        environment_variables.MLFLOW_TRACKING_USERNAME.set(settings.mlflow_username)
        environment_variables.MLFLOW_TRACKING_PASSWORD.set(
            settings.mlflow_password.get_secret_value()
        )
    uri = settings.mlflow_tracking_uri
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextmanager
def mlflow_errors(settings: Settings) -> Iterator[None]:
    """Turn MLflow's exceptions into the house's, each one plain line."""
    import requests
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise _translate(error, settings) from None
    except requests.RequestException as error:
        raise TryAgainError(unreachable(settings, type(error).__name__)) from None


def _without_credentials(url: str) -> str:
    # No URL parser, which would raise on a URL that an error is about to call malformed.
    return _CREDENTIALS.sub("", url).rstrip("/")


def _translate(error: Any, settings: Settings) -> TwinError:
    status = error.get_http_status_code()
    if str(error.message).startswith("API request to") and "with exception" in error.message:
        return TryAgainError(unreachable(settings, "no connection"))
    if "timeout exception" in error.message:
        return TryAgainError(unreachable(settings, f"no answer in {HTTP_TIMEOUT_SECONDS} s"))
    if status in {401, 403}:
        return BadConfigurationError(refused(settings))
    message = " ".join(str(error.message).split())
    if status == 429 or status >= 500:
        return TryAgainError(f"MLflow at {shown_url(settings)} failed: {message:.300}")
    return BadDataError(f"MLflow refuses the request: {message:.300}")
