"""What runs on Ray Serve, and telling it what should: one port, two adapters.

Locally (and wherever Serve is reached directly) its REST API is told; on a cluster KubeRay's
RayService is patched, since KubeRay would revert a direct change.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from twin.settings import Settings


class ApplicationStatus(StrEnum):
    """Serve's own states of an application, those that matter here."""

    RUNNING = "RUNNING"
    DEPLOYING = "DEPLOYING"
    DEPLOY_FAILED = "DEPLOY_FAILED"
    UNHEALTHY = "UNHEALTHY"
    DELETING = "DELETING"
    NOT_STARTED = "NOT_STARTED"


@dataclass(frozen=True)
class Application:
    """An application as Serve reports it; ``message`` explains a failure."""

    name: str
    status: ApplicationStatus
    message: str = ""


class Deployments(Protocol):
    """The control side of Ray Serve."""

    def apply(self, render: Callable[[], dict[str, Any]]) -> None:
        """Make what ``render`` gives (see `twin.stores.serve_config`) what should run.

        ``render`` reads what should run when it is called, which may be more than once: what
        another rollout writes down meanwhile must not be undone by a configuration of before.
        Returns when it is accepted, not when it runs: follow `applications`.

        Raises:
            TryAgainError: nobody answers.
            BadConfigurationError: access is refused, or the config is.
        """

    def applications(self) -> dict[str, Application]:
        """The applications by name, as they are now, never older than the last `apply`."""


def open_deployments(settings: Settings) -> Deployments:
    """The adapter that the settings ask for; no connection is made."""
    if settings.ray_service:
        from twin.stores.kuberay import KubeRay

        return KubeRay(settings)
    from twin.stores.ray_serve import RayServe

    return RayServe(settings)


def parse_status(status: str) -> ApplicationStatus:
    """Serve's word for a status; one that a newer Serve may add counts as on its way."""
    try:
        return ApplicationStatus(status)
    except ValueError:
        return ApplicationStatus.DEPLOYING


def explain(message: str) -> str:
    """The line of a replica's traceback that says what is wrong.

    Serve reports the whole traceback of a constructor that raised. The house's errors are one
    plain line each, so that line is what a person needs; otherwise the last line is.
    """
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    for line in lines:
        if line.startswith("twin.domain.errors."):
            return line.partition(": ")[2]
    errors = [line for line in lines if "Error" in line.partition(":")[0]]
    return (errors or lines or ["no message"])[-1]
