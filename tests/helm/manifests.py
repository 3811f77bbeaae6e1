"""The chart's manifests as tests look at them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Manifest = dict[str, Any]
Render = Callable[..., list[Manifest]]

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "llm-twin"

#: The chart's own values, and every example beside them.
VALUES_FILES = [None, *sorted((CHART / "ci").glob("*-values.yaml"))]

#: Runs a test once per values file.
every_values_file = pytest.mark.parametrize(
    "values",
    VALUES_FILES,
    ids=lambda path: path.name.removesuffix("-values.yaml") if path else "default",
)


def profiles() -> dict[str, Manifest]:
    """The pod templates that Airflow starts jobs with, by name."""
    folder = ROOT / "include" / "profiles"
    return {path.stem: yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))}


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
