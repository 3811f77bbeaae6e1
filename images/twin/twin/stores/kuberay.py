"""KubeRay's RayService, through the Kubernetes API (https://docs.ray.io/en/latest/cluster/kubernetes/).

Only ``spec.serveConfigV2`` is patched: KubeRay then updates Serve in place, without a new
cluster. The resource version is read before the configuration is rendered, and the patch names
it: of two rollouts at once the one that rendered too early is refused, and renders again.
"""

import ssl
from collections.abc import Callable
from typing import Any

import httpx
import yaml

from twin.domain.errors import BadConfigurationError, TryAgainError
from twin.settings import Settings
from twin.stores.deployments import Application, ApplicationStatus, parse_status

API = "apis/ray.io/v1"
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
CONFLICT = 409
PATCH_ATTEMPTS = 5


class KubeRay:
    """`Deployments` of a RayService on Kubernetes."""

    def __init__(self, settings: Settings) -> None:
        namespace, _, name = (settings.ray_service or "").partition("/")
        if not name:
            raise BadConfigurationError(
                f"TWIN_RAY_SERVICE = {settings.ray_service!r}: give it as namespace/name"
            )
        self._service = f"{namespace}/{name}"
        self._path = f"/{API}/namespaces/{namespace}/rayservices/{name}"
        self._token_file = settings.service_account / "token"
        certificates = settings.service_account / "ca.crt"
        self._http = httpx.Client(
            base_url=settings.kubernetes_api_url,
            timeout=TIMEOUT,
            verify=ssl.create_default_context(cafile=str(certificates))
            if certificates.is_file()
            else True,
        )

    def apply(self, render: Callable[[], dict[str, Any]]) -> None:
        """Make what ``render`` gives what should run; see `Deployments.apply`."""
        for _ in range(PATCH_ATTEMPTS):
            version = self._read()["metadata"]["resourceVersion"]
            patch = {
                "metadata": {"resourceVersion": version},
                "spec": {"serveConfigV2": yaml.safe_dump(render(), sort_keys=False)},
            }
            response = self._call(
                "PATCH",
                json=patch,
                headers={"Content-Type": "application/merge-patch+json"},
            )
            if response.status_code != CONFLICT:
                return
        raise TryAgainError(f"RayService {self._service} is being changed by others: try again")

    def applications(self) -> dict[str, Application]:
        """The applications as they are now; see `Deployments.applications`.

        Until KubeRay has seen the last patch its status is of what was before: then every
        application counts as on its way.
        """
        service = self._read()
        status = service.get("status", {})
        seen = int(status.get("observedGeneration", 0))
        current = seen >= int(service["metadata"].get("generation", 0))
        found = (status.get("activeServiceStatus") or {}).get("applicationStatuses") or {}
        return {
            name: Application(
                name,
                parse_status(item.get("status", "")) if current else ApplicationStatus.DEPLOYING,
                _message(item),
            )
            for name, item in found.items()
        }

    def _read(self) -> dict[str, Any]:
        found: dict[str, Any] = self._call("GET").json()
        return found

    def _call(self, method: str, headers: dict[str, str] | None = None, **more: Any) -> Any:
        try:
            response = self._http.request(
                method, self._path, headers={**self._credentials(), **(headers or {})}, **more
            )
        except httpx.TransportError as error:
            raise TryAgainError(
                f"the Kubernetes API at {self._http.base_url} does not answer: "
                f"{type(error).__name__}"
            ) from None
        if response.status_code in {401, 403}:
            raise BadConfigurationError(
                f"Kubernetes does not let this service account {method.lower()} RayService "
                f"{self._service}: check its Role (get and patch on rayservices)"
            )
        if response.status_code == 404:
            raise BadConfigurationError(
                f"Kubernetes has no RayService {self._service}: check TWIN_RAY_SERVICE"
            )
        if response.status_code >= 500 or response.status_code == 429:
            raise TryAgainError(f"the Kubernetes API failed: HTTP {response.status_code}")
        if response.is_error and response.status_code != CONFLICT:
            raise BadConfigurationError(
                f"Kubernetes refuses the change of RayService {self._service}: {response.text:.300}"
            )
        return response

    def _credentials(self) -> dict[str, str]:
        # Read every time: Kubernetes replaces the token about every hour.
        if not self._token_file.is_file():
            return {}
        return {"Authorization": f"Bearer {self._token_file.read_text().strip()}"}


def _message(item: dict[str, Any]) -> str:
    deployments = (item.get("serveDeploymentStatuses") or {}).values()
    parts = [part["message"] for part in deployments if part.get("message")]
    return "\n".join([item.get("message", ""), *parts]).strip()
