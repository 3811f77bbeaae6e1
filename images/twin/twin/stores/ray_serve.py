"""Ray Serve's REST API, on Ray's dashboard
(https://docs.ray.io/en/latest/serve/api/index.html#serve-rest-api)."""

from collections.abc import Callable
from typing import Any

import httpx

from twin.domain.errors import BadConfigurationError, TryAgainError
from twin.settings import Settings
from twin.stores.deployments import Application, explain, parse_status

PATH = "/api/serve/applications/"

APPLY_ATTEMPTS = 10
#: The first PUT after Ray's start also starts Serve's controller and proxy.
TIMEOUT = httpx.Timeout(90.0, connect=3.0)


class RayServe:
    """`Deployments` of a Serve that is told directly."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.serve_api_url
        self._http = httpx.Client(base_url=self._url, timeout=TIMEOUT)

    def apply(self, render: Callable[[], dict[str, Any]]) -> None:
        """Make what ``render`` gives what should run; see `Deployments.apply`.

        Serve takes each configuration as a whole and compares nothing. So what should run is read
        again afterwards: whoever is last to tell Serve sees what others have written down before
        that, and tells it too.
        """
        config = render()
        for _ in range(APPLY_ATTEMPTS):
            self._call("PUT", json=config)
            told, config = config, render()
            if config == told:
                return
        raise TryAgainError("what should run keeps being changed by others: try again")

    def applications(self) -> dict[str, Application]:
        """The applications as they are now; see `Deployments.applications`."""
        found = self._call("GET").json().get("applications", {})
        return {
            name: Application(name, parse_status(item["status"]), _message(item))
            for name, item in found.items()
        }

    def _call(self, method: str, **arguments: Any) -> httpx.Response:
        try:
            response = self._http.request(method, PATH, **arguments)
        except httpx.TransportError as error:
            raise TryAgainError(
                f"Ray Serve at {self._url} does not answer: is it started (twin serving start)? "
                f"TWIN_SERVE_API_URL says where it is ({type(error).__name__})"
            ) from None
        if response.status_code >= 500 and method == "GET":
            raise TryAgainError(f"Ray Serve at {self._url} failed: HTTP {response.status_code}")
        if response.is_error:
            raise BadConfigurationError(
                f"Ray Serve at {self._url} refuses the configuration: "
                f"HTTP {response.status_code}: {explain(response.text):.500}"
            )
        return response


def _message(item: dict[str, Any]) -> str:
    """The deployments' messages say why; the application's own only that something is wrong."""
    deployments = item.get("deployments", {}).values()
    parts = [part["message"] for part in deployments if part.get("message")]
    return "\n".join([item.get("message", ""), *parts]).strip()
