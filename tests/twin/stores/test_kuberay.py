"""The KubeRay adapter against a small Kubernetes API over real HTTP.

The server keeps one RayService as the API server does: merge patches, resource versions that
conflict, a generation that counts changes of the spec, and an operator that follows later.
"""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from tests import servers
from twin.domain.errors import BadConfigurationError, TryAgainError
from twin.stores.deployments import ApplicationStatus
from twin.stores.kuberay import KubeRay
from twin.stores.serve_config import render

PATH = "/apis/ray.io/v1/namespaces/twin/rayservices/serving"
TOKEN = "service-account-token"


class KubernetesApi(ThreadingHTTPServer):
    """One RayService, and how often others change it just before a patch arrives."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.conflicts = 0
        self.service = {
            "metadata": {"name": "serving", "resourceVersion": "1", "generation": 1},
            "spec": {"serveConfigV2": "applications: []\n", "rayClusterConfig": {"image": "x"}},
            "status": {"observedGeneration": 1},
        }

    def patch(self, change: dict) -> int:
        metadata = self.service["metadata"]
        if self.conflicts:
            self.conflicts -= 1
            self._touch()
        if change["metadata"]["resourceVersion"] != metadata["resourceVersion"]:
            return 409
        if change["spec"]["serveConfigV2"] != self.service["spec"]["serveConfigV2"]:
            metadata["generation"] += 1
            self._touch()
        self.service["spec"] |= change["spec"]
        return 200

    def reconcile(self, **statuses: str) -> None:
        """What KubeRay does some time later."""
        self.service["status"] = {
            "observedGeneration": self.service["metadata"]["generation"],
            "activeServiceStatus": {
                "applicationStatuses": {
                    name: {
                        "status": status,
                        "serveDeploymentStatuses": {"Version": {"message": f"{name} message"}},
                    }
                    for name, status in statuses.items()
                }
            },
        }

    def _touch(self) -> None:
        version = int(self.service["metadata"]["resourceVersion"])
        self.service["metadata"]["resourceVersion"] = str(version + 1)


class Handler(BaseHTTPRequestHandler):
    server: KubernetesApi

    def do_GET(self) -> None:
        self._answer(*self._checked() or (200, self.server.service))

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if refused := self._checked():
            self._answer(*refused)
        elif self.headers["Content-Type"] != "application/merge-patch+json":
            self._answer(415, {"message": "unsupported media type"})
        else:
            self._answer(self.server.patch(body), self.server.service)

    def _checked(self):
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return 403, {"message": "forbidden"}
        if self.path != PATH:
            return 404, {"message": "not found"}
        return None

    def _answer(self, status: int, body: dict) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def api() -> Iterator[KubernetesApi]:
    server = KubernetesApi()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cluster(settings, api, tmp_path):
    (tmp_path / "account").mkdir()
    (tmp_path / "account" / "token").write_text(f"{TOKEN}\n")
    return settings.model_copy(
        update={
            "ray_service": "twin/serving",
            "kubernetes_api_url": f"http://127.0.0.1:{api.server_port}",
            "service_account": tmp_path / "account",
        }
    )


def test_only_the_serve_config_is_patched(cluster, api):
    config = render([], cluster)
    KubeRay(cluster).apply(lambda: config)
    assert yaml.safe_load(api.service["spec"]["serveConfigV2"]) == config
    assert api.service["spec"]["rayClusterConfig"] == {"image": "x"}
    assert config["http_options"]["host"] == "0.0.0.0"


def test_a_status_of_before_the_patch_is_not_believed(cluster, api):
    kuberay = KubeRay(cluster)
    api.reconcile(router="RUNNING")
    assert kuberay.applications()["router"].status is ApplicationStatus.RUNNING
    kuberay.apply(lambda: render([], cluster))
    assert kuberay.applications()["router"].status is ApplicationStatus.DEPLOYING
    api.reconcile(router="DEPLOY_FAILED")
    found = kuberay.applications()["router"]
    assert (found.status, found.message) == (ApplicationStatus.DEPLOY_FAILED, "router message")


def test_the_same_config_again_changes_nothing(cluster, api):
    kuberay = KubeRay(cluster)
    kuberay.apply(lambda: render([], cluster))
    generation = api.service["metadata"]["generation"]
    kuberay.apply(lambda: render([], cluster))
    assert api.service["metadata"]["generation"] == generation


def test_a_change_by_others_in_between_is_met_by_another_try(cluster, api):
    api.conflicts = 2
    KubeRay(cluster).apply(lambda: render([], cluster))
    assert "router" in api.service["spec"]["serveConfigV2"]
    api.conflicts = 100
    with pytest.raises(TryAgainError, match="changed by others"):
        KubeRay(cluster).apply(lambda: {"applications": []})


def test_of_two_rollouts_at_once_neither_undoes_the_other(cluster, api):
    """Each notes what should run, then renders all of it; here one renders too early."""
    noted = ["a"]

    def render_while_another_rollout_comes_between() -> dict:
        config = {"applications": list(noted)}
        if "b" not in noted:
            noted.append("b")
            KubeRay(cluster).apply(lambda: {"applications": list(noted)})
        return config

    KubeRay(cluster).apply(render_while_another_rollout_comes_between)
    served = yaml.safe_load(api.service["spec"]["serveConfigV2"])
    assert served == {"applications": ["a", "b"]}


def test_a_renewed_token_is_read(cluster, api):
    kuberay = KubeRay(cluster)
    (cluster.service_account / "token").write_text("expired")
    with pytest.raises(BadConfigurationError, match="check its Role"):
        kuberay.applications()
    (cluster.service_account / "token").write_text(TOKEN)
    assert kuberay.applications() == {}


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"ray_service": "serving"}, BadConfigurationError, "namespace/name"),
        ({"ray_service": "twin/other"}, BadConfigurationError, "no RayService twin/other"),
        ({"kubernetes_api_url": None}, TryAgainError, "does not answer"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(cluster, change, error, says):
    if "kubernetes_api_url" in change:
        change = {"kubernetes_api_url": f"http://127.0.0.1:{servers.free_port()}"}
    with pytest.raises(error, match=says) as raised:
        KubeRay(cluster.model_copy(update=change)).applications()
    assert "\n" not in str(raised.value)
