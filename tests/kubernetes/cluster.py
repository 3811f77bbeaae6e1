"""A single-node Kubernetes as `../shared/kubernetes` brings it up, and what tests do to it."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests import servers
from tests.airflow_environment import ROOT
from tests.helm.manifests import chart_to_render

SCRIPTS = Path(os.environ.get("TWIN_SHARED", ROOT.parent / "shared")) / "kubernetes"
HELM = ROOT / ".venvs" / "tools" / "bin" / "helm"
#: Debian's client, where there is one: it builds without plugins.
DOCKER = shutil.which("docker", path="/usr/bin") or "docker"
#: Of the pods, as `[twin] namespace` says by default.
JOBS = "twin-jobs"
#: The address of the machine on Docker's bridge, by which pods reach what it serves.
HOST = "172.17.0.1"
IMAGES = ("python:3.11-slim-bookworm", "local/pause:3.2")


def why_not() -> str | None:
    """Why no cluster can be brought up here; None if one can."""
    if not (SCRIPTS / "up.sh").is_file():
        return f"no {SCRIPTS}"
    if os.geteuid() != 0:
        return "a cluster wants root"
    missing = [name for name in ("docker", "dockerd", "etcd", "openssl") if not shutil.which(name)]
    if missing:
        return f"a cluster wants {', '.join(missing)}"
    return None if HELM.is_file() else f"no {HELM}: `make tools` fetches it"


def run(*command: str | Path, stdin: str | None = None, **environment: str) -> str:
    """The standard output of a command; its words are the error if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


class Cluster:
    """A running cluster, with an administrator's rights."""

    def __init__(self, state: Path) -> None:
        self.state = state

    @classmethod
    @contextmanager
    def running(cls, folder: Path) -> Iterator["Cluster"]:
        """Bring a cluster up until the block ends; or use the one whose folder K8S_STATE names."""
        if (Path(os.environ.get("K8S_STATE", folder)) / "kubeconfig").is_file():
            yield cls(Path(os.environ["K8S_STATE"]))
            return
        state, empty = folder / "state", folder / "no-images"
        empty.mkdir(parents=True)
        variables = {
            "K8S_STATE": str(state),
            "K8S_BIN": str(folder / "bin"),
            "K8S_TAINT": "0",  # the one node takes every job
        }
        if _has_images():
            # They may have been built upon: loading them again would move their tags.
            variables["K8S_IMAGES"] = str(empty)
        try:
            print(run(SCRIPTS / "up.sh", **variables))
            yield cls(state)
        finally:
            print(run(SCRIPTS / "down.sh", K8S_STATE=str(state)))

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as the administrator."""
        binaries = [self.state.parent / "bin" / "kubectl", SCRIPTS / "bin" / "kubectl"]
        program = next(path for path in binaries if path.exists())
        return run(program, *arguments, stdin=stdin, KUBECONFIG=str(self.state / "kubeconfig"))

    def get(self, *arguments: str) -> dict[str, Any]:
        """What `kubectl get` says, as JSON."""
        found: dict[str, Any] = json.loads(self.kubectl("get", "-o", "json", *arguments))
        return found

    def apply(self, *manifests: dict[str, Any]) -> None:
        """Create these, or change them into what is given."""
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def pods(self) -> list[dict[str, Any]]:
        """The jobs' pods, whatever their state."""
        found: list[dict[str, Any]] = self.get("pods", "-n", JOBS)["items"]
        return found

    def pod_of(self, recipe: str, phase: str = "Running", seconds: float = 240) -> dict[str, Any]:
        """Wait for the one pod of this recipe to be in this phase."""

        def matching() -> list[dict[str, Any]]:
            return [
                pod
                for pod in self.pods()
                if pod["metadata"]["labels"].get("llm-twin/recipe") == recipe
                and pod["status"].get("phase") == phase
                and "deletionTimestamp" not in pod["metadata"]
            ]

        servers.wait_until(lambda: len(matching()) == 1, f"a pod of {recipe}", seconds, pause=0.3)
        (pod,) = matching()
        return pod

    def is_empty(self, seconds: float = 150) -> None:
        """Wait until no pod of a job is left; a kubelet of this age takes a minute at times."""
        servers.wait_until(lambda: self.pods() == [], "no pod left", seconds, pause=1)

    def prepare(self, settings: dict[str, str], credentials: dict[str, str]) -> None:
        """Lay the ground for the jobs' pods, as the chart does: namespace, rights, settings."""
        node = self.get("nodes")["items"][0]["metadata"]["name"]
        self.kubectl("label", "node", node, "llm-twin/pool=gpu", "--overwrite")
        self.apply(*map(_namespace, ("twin", "airflow")))
        for name in ("airflow-scheduler", "airflow-triggerer"):
            self.apply(_service_account(name, "airflow"))
        manifests = _chart(settings, credentials)
        kinds = ("Namespace", "ServiceAccount", "Role", "RoleBinding", "ConfigMap", "Secret")
        for kind in kinds:  # a namespace comes before what lies in it
            self.apply(*(one for one in manifests if one["kind"] == kind))
        servers.wait_until(lambda: bool(self._tokens(JOBS, "twin-job")), "service accounts", 30)

    def _tokens(self, namespace: str, account: str) -> list[str]:
        found = self.get("serviceaccount", account, "-n", namespace).get("secrets", [])
        return [secret["name"] for secret in found]

    def kubeconfig_of(self, account: str, namespace: str, path: Path) -> Path:
        """Write a configuration by which one acts as a service account, with its rights only."""
        servers.wait_until(lambda: bool(self._tokens(namespace, account)), "a token", 30)
        (secret, *_) = self._tokens(namespace, account)
        data = self.get("secret", secret, "-n", namespace)["data"]
        token = run("base64", "-d", stdin=data["token"])
        config = yaml.safe_load((self.state / "kubeconfig").read_text(encoding="utf-8"))
        config["users"] = [{"name": account, "user": {"token": token}}]
        config["contexts"][0]["context"]["user"] = account
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        path.chmod(0o600)
        return path

    def share(self, name: str, folder: Path) -> None:
        """Make a folder of this machine a volume claim of the jobs' namespace."""
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)
        size = {"storage": "1Gi"}
        self.kubectl("delete", "pvc", name, "-n", JOBS, "--ignore-not-found")
        self.kubectl("delete", "pv", name, "--ignore-not-found")
        common: dict[str, Any] = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
        self.apply(
            {
                "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
                "spec": {**common, "capacity": size, "hostPath": {"path": str(folder)}},
            },
            {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": {"name": name, "namespace": JOBS},
                "spec": {**common, "volumeName": name, "resources": {"requests": size}},
            },
        )  # fmt: skip

    def evict(self, pod: dict[str, Any]) -> None:
        """Have a pod evicted through the API, as draining its node does."""
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        eviction = {
            "apiVersion": "policy/v1beta1", "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
        }  # fmt: skip
        path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
        self.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))

    @contextmanager
    def node_lost(self) -> Iterator[None]:
        """Kill the machine under the pods: kubelet and containers; in the end it comes back.

        The cloud's controller, which tells the API server that a machine is no more, is the test.
        """
        node = self.get("nodes")["items"][0]
        pid_file = self.state / "pids" / "kubelet"
        pid = int(pid_file.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
        os.kill(pid, signal.SIGKILL)
        while Path(f"/proc/{pid}/exe").exists():
            time.sleep(0.1)
        containers = run("docker", "ps", "-q", "--filter", "label=io.kubernetes.pod.namespace")
        if containers.split():
            run("docker", "rm", "-f", *containers.split())
        try:
            yield
        finally:
            with (self.state / "logs" / "kubelet.log").open("ab") as log:
                process = subprocess.Popen(
                    command, cwd=self.state, stdout=log, stderr=log, start_new_session=True
                )
            pid_file.write_text(str(process.pid))
            servers.wait_until(self._is_ready, "the node", 90, pause=1)
            labels = node["metadata"]["labels"]
            self.kubectl(
                "label", "node", node["metadata"]["name"], f"pool={labels['pool']}",
                "llm-twin/pool=gpu", "--overwrite",
            )  # fmt: skip

    def _is_ready(self) -> bool:
        conditions = [
            one
            for node in self.get("nodes")["items"]
            for one in node["status"].get("conditions", [])
        ]
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _has_images() -> bool:
    done = subprocess.run(["docker", "image", "inspect", *IMAGES], capture_output=True, check=False)
    return done.returncode == 0


def _namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _service_account(name: str, namespace: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def _chart(settings: dict[str, str], credentials: dict[str, str]) -> list[dict[str, Any]]:
    """The chart's manifests, with these settings and credentials of the jobs."""
    values = {
        # No Qdrant here: each job's index lies on a volume.
        "settings": {"TWIN_INDEX_URL": None, **settings},
        "credentials": {"source": "values", "values": credentials},
    }
    made = run(
        HELM, "template", "twin", chart_to_render(), "--namespace", "twin",
        "--values", "-", stdin=yaml.safe_dump(values),
    )  # fmt: skip
    return [one for one in yaml.safe_load_all(made) if one]
