"""The list of images for a registry that reaches no other: it misses none."""

import json
import re
import runpy
import subprocess
import sys

import pytest
import yaml

from tests.helm.manifests import CHART, DEV, PRODUCTION, ROOT, pods

SCRIPT = ROOT / "helm" / "images.py"
RELEASE = ("images.tag=v9", "airflowChart.defaultAirflowTag=v9")
LISTED = runpy.run_path(str(SCRIPT))


@pytest.mark.parametrize("values", [DEV, PRODUCTION])
def test_every_container_and_every_job_is_in_it(render, values):
    manifests = render(values)
    listed = set(LISTED["images"](manifests))
    specs = [pod.get("spec", pod) for pod in pods(manifests)]
    running = {
        container["image"]
        for spec in specs
        for container in (*spec["containers"], *spec.get("initContainers", ()))
    }
    assert len(running) > 3 and running <= listed
    names = {image.rpartition("/")[2].partition(":")[0].partition("@")[0] for image in listed}
    started = re.findall(r'"[a-z-]+": "([a-z-]+)"', (ROOT / "include" / "job_pods.py").read_text())
    assert {"crawl", "crawl-browser", "features", "train", "serve"} <= set(started)
    assert {*started, "train-cuda"} - {"twin-credentials-training"} <= names
    assert all(":" in image.rpartition("/")[2] for image in listed), "none without tag or digest"


def test_those_of_jobs_follow_tag_and_digest(render):
    digest = "sha256:" + "0a" * 32
    listed = LISTED["images"](render(DEV, *RELEASE, f"images.digests.train={digest}"))
    named = {image.rpartition("/")[2] for image in listed}
    assert {"crawl:v9", f"train@{digest}", "train-cuda:v9"} <= named and "train:v9" not in named


def test_only_images_of_a_release_are_listed_among_jobs():
    schema = json.loads((CHART / "values.schema.json").read_text())
    known = schema["properties"]["images"]["properties"]["digests"]["propertyNames"]["enum"]
    assert set(LISTED["JOBS"]) <= set(known)


def test_as_a_command(render):
    done = subprocess.run(
        [sys.executable, SCRIPT], input=yaml.safe_dump_all(render(DEV)), capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == LISTED["images"](render(DEV))
    empty = subprocess.run(
        [sys.executable, SCRIPT], input="", capture_output=True, text=True, check=False
    )
    assert empty.returncode == 1 and "helm template" in empty.stderr
