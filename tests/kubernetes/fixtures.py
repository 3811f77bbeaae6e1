"""The cluster, and a live Airflow whose jobs are pods on it."""

import copy
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import image_builder, servers
from tests.airflow_environment import ROOT
from tests.helm.manifests import CHART
from tests.kubernetes.cluster import DOCKER, HOST, JOBS, Cluster, run, why_not
from tests.live_airflow import LiveAirflow

HERE = Path(__file__).parent
#: `crawl` and `features` are the real images here, `train` is the stand-in, `serve` is not there.
REPOSITORY, TAG = "twin-test", "e2e"
FAULTS = "fault_cpu"
#: Paused, so that a test's features start no training.
OTHERS = ("datasets", "training", "evaluation", "rollout")

Profile = dict[str, Any]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if reason := why_not():
        pytest.skip(reason)
    # Short: a kubelet's sockets and mounts lie below it.
    with Cluster.running(tmp_path_factory.mktemp("k8s")) as made:
        run(DOCKER, "build", "-t", f"{REPOSITORY}/train:{TAG}", HERE / "stand_in",
            DOCKER_BUILDKIT="0")  # fmt: skip
        yield made


@pytest.fixture(scope="session")
def real_images(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Images of the crawl and of features: built, or those that TWIN_TEST_IMAGES names.

    It is a pattern such as ``llm-twin/{}:dev``.
    """
    tags = {target: f"{REPOSITORY}/{target}:{TAG}" for target in ("crawl", "features")}
    if pattern := os.environ.get("TWIN_TEST_IMAGES"):
        for target, tag in tags.items():
            run(DOCKER, "tag", pattern.format(target), tag)
        return
    dockerfile = ROOT / "images" / "twin" / "Dockerfile"
    with image_builder.torch_source(tmp_path_factory.mktemp("index")) as arguments:
        for target, tag in tags.items():
            image_builder.build(dockerfile, target, tag, *arguments)


class Live(LiveAirflow):
    """Airflow whose jobs are pods of the cluster."""

    def __init__(
        self, home: Path, variables: dict[str, str], warehouse_port: int, index: Path
    ) -> None:
        super().__init__(home, variables)
        self.warehouse_port = warehouse_port
        #: Folder of the jobs' indexes, as this machine sees it.
        self.index = index

    def ends(
        self, dag: str, recipe: str, *states: str, seconds: float = 300
    ) -> tuple[str, str, str]:
        """Trigger a DAG of tests/kubernetes/dags; its job's state (one of these) and log, the run.

        A task that waits for its next try is ended there.
        """
        run = self.trigger(dag, recipe=recipe)
        return (*self.ended(dag, run, *states, seconds=seconds), run)

    def ended(self, dag: str, run: str, *states: str, seconds: float = 300) -> tuple[str, str]:
        """Wait for the job of a run; its state and log."""
        wanted = states or ("success", "failed", "skipped", "up_for_retry")
        state = self.reaches(dag, run, "job", *wanted, seconds=seconds)
        log = self.log(dag, run, "job")
        if state == "up_for_retry":
            self.call("PATCH", f"/dags/{dag}/dagRuns/{run}", json={"state": "failed"})
        return state, log


@pytest.fixture(scope="session")
def live(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    shared = Path("/var/tmp/twin-test") / folder.parent.name
    with ExitStack() as running:
        uri, port, _ = running.enter_context(
            servers.warehouse_server(folder / "warehouse" / "data", host=HOST)
        )
        files = shared / "files"
        settings = {"TWIN_FILES_URI": str(files), "TWIN_THREADS": "2"}
        cluster.prepare(settings, {"TWIN_MONGO_URI": uri, "TWIN_API_KEYS": "unused"})
        for name in ("files", "stores"):
            cluster.share(name, shared / name)
        profiles = folder / "profiles"
        profiles.mkdir()
        for name, profile in adapted(files).items():
            (profiles / f"{name}.yaml").write_text(yaml.safe_dump(profile), encoding="utf-8")
        mongo = {"conn_type": "mongo", "host": HOST, "port": port, "schema": "twin"}
        config = cluster.kubeconfig_of("airflow-scheduler", "airflow", folder / "kubeconfig")
        variables = {
            **airflow_as_shipped(),
            "KUBECONFIG": str(config),
            "AIRFLOW_CONN_KUBERNETES_DEFAULT": '{"conn_type": "kubernetes"}',
            "AIRFLOW_CONN_MONGO_DEFAULT": json.dumps(mongo | {"extra": {"directConnection": True}}),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(
                [bundle("ours", ROOT / "dags"), bundle("faults", HERE / "dags")]
            ),
            "AIRFLOW__CORE__PARALLELISM": "8",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
            "AIRFLOW__TWIN__RUNTIME": "kubernetes",
            "AIRFLOW__TWIN__NAMESPACE": JOBS,
            "AIRFLOW__TWIN__PROFILES": str(profiles),
            "AIRFLOW__TWIN__IMAGE_REPOSITORY": REPOSITORY,
            "AIRFLOW__TWIN__IMAGE_TAG": TAG,
            "AIRFLOW__TWIN__FILES_URI": files.as_uri(),
        }
        os.environ["KUBECONFIG"] = str(config)
        made = Live(folder / "airflow", variables, port, shared / "stores" / "index")
        running.enter_context(made.running("crawl", "features", "cleanup", *OTHERS, FAULTS))
        for name in OTHERS:
            made.call("PATCH", f"/dags/{name}", json={"is_paused": True})
        yield made
        servers.remove(shared)


def airflow_as_shipped() -> dict[str, str]:
    """What the chart tells Airflow of how often to look at its tasks."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    config = values["airflowChart"]["config"]
    return {
        f"AIRFLOW__{section.upper()}__{name.upper()}": str(value)
        for section in ("scheduler", "workers")
        for name, value in config[section].items()
    }


def bundle(name: str, folder: Path) -> dict[str, Any]:
    """A folder of DAG files, as Airflow's configuration names it."""
    classpath = "airflow.dag_processing.bundles.local.LocalDagBundle"
    return {"name": name, "classpath": classpath, "kwargs": {"path": str(folder)}}


def adapted(files: Path) -> dict[str, Profile]:
    """The profiles as this one small node can carry them, and variants that bring faults about.

    Requests shrink and stores lie on volumes of the machine; all else is as it is shipped.
    """
    shipped = {
        path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in (ROOT / "include" / "profiles").glob("*.yaml")
    }
    made = {name: _on_this_node(profile, files) for name, profile in shipped.items()}
    # More GPUs than the node has: as shipped, but for its patience.
    _annotate(made["gpu-n"], "llm-twin/schedule-timeout-seconds", "5")
    for name in ("little_memory", "little_time", "little_disk"):
        made[name] = copy.deepcopy(made["cpu"])
    made["little_memory"]["spec"]["containers"][0]["resources"]["limits"]["memory"] = "64Mi"
    made["little_time"]["spec"]["activeDeadlineSeconds"] = 12
    for volume in made["little_disk"]["spec"]["volumes"]:
        if volume["name"] == "tmp":
            volume["emptyDir"]["sizeLimit"] = "8Mi"
    return made


def _on_this_node(profile: Profile, files: Path) -> Profile:
    made = copy.deepcopy(profile)
    spec = made["spec"]
    (container,) = spec["containers"]
    requests = container["resources"]["requests"]
    requests |= {"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "16Mi"}
    for name, path in (("files", str(files)), ("stores", "/home/twin/.twin")):
        spec["volumes"].append({"name": name, "persistentVolumeClaim": {"claimName": name}})
        container["volumeMounts"].append({"name": name, "mountPath": path})
    return made


def _annotate(profile: Profile, name: str, value: str) -> None:
    profile["metadata"]["annotations"][name] = value
