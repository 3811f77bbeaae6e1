"""The chart's manifests as tests look at them."""

import atexit
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

Manifest = dict[str, Any]
Render = Callable[..., list[Manifest]]

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "llm-twin"

DEV, STAGING, PRODUCTION = (
    CHART / f"values-{name}.yaml" for name in ("dev", "staging", "production")
)

#: The chart's own values, and every example beside them.
VALUES_FILES = [None, DEV, STAGING, PRODUCTION, *sorted((CHART / "ci").glob("*-values.yaml"))]

#: Runs a test once per values file.
every_values_file = pytest.mark.parametrize(
    "values",
    VALUES_FILES,
    ids=lambda path: path.stem.replace("values", "").strip("-") if path else "default",
)

#: What Airflow has no default for.
AIRFLOW_KEYS = ("airflowChart.jwtSecretName=keys", "airflowChart.data.metadataSecretName=keys")

#: Stands in for each chart that ours depends on, and shows the values that it was given.
STAND_IN = """
apiVersion: tests/v1
kind: DependencyValues
metadata:
  name: {{ .Chart.Name }}
  namespace: {{ .Release.Namespace }}
values: {{ .Values | toJson }}
environment: {{ tpl (.Values.extraEnvFrom | default "[]") . | fromYamlArray | toJson }}
"""


@cache
def chart_to_render() -> Path:
    """A copy of the chart that helm renders without the repositories of its dependencies.

    helm renders no chart whose dependencies are not in ``charts/``. Here they are stand-ins of
    the pinned versions, each rendering one manifest of kind ``DependencyValues``.
    """
    folder = Path(tempfile.mkdtemp(prefix="llm-twin-chart-")) / CHART.name
    atexit.register(shutil.rmtree, folder.parent, ignore_errors=True)
    shutil.copytree(CHART, folder, ignore=shutil.ignore_patterns("charts"))
    for dependency in dependencies():
        stand_in = folder / "charts" / dependency["name"]
        (stand_in / "templates").mkdir(parents=True)
        about = {"apiVersion": "v2", "name": dependency["name"], "version": dependency["version"]}
        (stand_in / "Chart.yaml").write_text(yaml.safe_dump(about))
        (stand_in / "templates" / "values.yaml").write_text(STAND_IN)
    return folder


def dependencies() -> list[dict[str, str]]:
    """The charts that ours depends on, as its Chart.yaml names them."""
    found: list[dict[str, str]] = yaml.safe_load((CHART / "Chart.yaml").read_text())["dependencies"]
    return found


def profiles() -> dict[str, Manifest]:
    """The pod templates that Airflow starts jobs with, by name."""
    folder = ROOT / "include" / "profiles"
    return {path.stem: yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))}


def gpu_profiles() -> list[str]:
    """Names of the pod templates that ask for GPUs."""
    return [
        name
        for name, pod in profiles().items()
        if "nvidia.com/gpu" in pod["spec"]["containers"][0]["resources"]["limits"]
    ]


def part_of(profile: str) -> str:
    """The part of the platform, with credentials and an account of its own, of a profile."""
    if profile == "crawl-browser":
        return "crawl"
    return profile if profile in {"crawl", "fetch", "rollout"} else "job"


def find(manifests: list[Manifest], kind: str, name: str | None = None) -> list[Manifest]:
    """The manifests of a kind, and of a name if one is given."""
    return [
        item
        for item in manifests
        if item["kind"] == kind and name in (None, item["metadata"]["name"])
    ]


def only(manifests: list[Manifest], kind: str, name: str | None = None) -> Manifest:
    """The one manifest of a kind (and name)."""
    found = find(manifests, kind, name)
    assert len(found) == 1, [item["metadata"] for item in found]
    return found[0]


def ray_pods(manifests: list[Manifest]) -> list[Manifest]:
    """The pod templates of every RayService, as pods."""
    pods = []
    for service in find(manifests, "RayService"):
        cluster = service["spec"]["rayClusterConfig"]
        for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
            labels = group["template"]["metadata"]["labels"]
            pods.append(
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {"name": "ray", "labels": labels},
                    "spec": group["template"]["spec"],
                }
            )
    return pods


def pods(manifests: list[Manifest]) -> list[Manifest]:
    """Every pod that the manifests lead to, whatever makes it, with the name of its maker."""
    found = ray_pods(manifests)
    for item in manifests:
        if item["kind"] == "Pod":
            found.append(item)
        elif item["kind"] in {"Deployment", "StatefulSet", "Job", "DaemonSet", "CronJob"}:
            assert item["kind"] != "CronJob", "teach this function where a CronJob's pod is"
            template = item["spec"]["template"]
            metadata = {**template["metadata"], "name": item["metadata"]["name"]}
            metadata["namespace"] = item["metadata"]["namespace"]
            found.append(
                {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
            )
    return found


def given(manifests: list[Manifest], chart: str) -> dict[str, Any]:
    """The values that a chart that ours depends on was given."""
    values: dict[str, Any] = only(manifests, "DependencyValues", chart)["values"]
    return values
