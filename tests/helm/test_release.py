"""A release's chart names the images of that release, and none that the release does not build."""

import ast
import re
import subprocess

import pytest
import yaml

from tests.helm.manifests import (
    AIRFLOW_KEYS,
    CHART,
    ROOT,
    chart_to_render,
    every_values_file,
    find,
    given,
    only,
    pods,
    profiles,
)

ALL = ("airflow", "qdrant", "kuberayOperator", "mongodb", "mlflow", "s3")
EVERYTHING = (
    *(f"install.{part}=true" for part in ALL),
    "serving.engines.enabled=true",
    *AIRFLOW_KEYS,
)
VARIANT = "llm-twin/image-variant"


def built() -> set[str]:
    """Names of the images that a release builds and pushes."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "images.yaml").read_text())
    return {image["name"] for image in workflow["jobs"]["push"]["strategy"]["matrix"]["include"]}


def images_of_pods(manifests) -> set[str]:
    return {
        container["image"]
        for pod in pods(manifests)
        for container in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", ())]
    }


def names_of_ours(manifests) -> set[str]:
    """Names of images under ``images.repository``."""
    repository = only(manifests, "ConfigMap", "twin-airflow")["data"][
        "AIRFLOW__TWIN__IMAGE_REPOSITORY"
    ]
    found = images_of_pods(manifests)
    assert any(image.startswith(repository) for image in found)
    return {
        re.split("[:@]", image.removeprefix(f"{repository}/"))[0]
        for image in found
        if image.startswith(f"{repository}/")
    }


@every_values_file
def test_every_image_of_a_pod_is_one_that_a_release_builds(render, values):
    images = images_of_pods(render(values))
    repository = re.compile(r"(?:.+/)?llm-twin/([^:@]+)[:@]")
    names = {match[1] for image in images if (match := repository.match(image))}
    assert "serve" in names
    assert names <= built()


def test_every_image_of_a_job_is_one_that_a_release_builds():
    """Of each stage, of tasks with an image of their own, and with the variant of a profile."""
    tree = ast.parse((ROOT / "include" / "job_pods.py").read_text())
    named = {
        image
        for item in tree.body
        if isinstance(item, ast.Assign)
        and getattr(item.targets[0], "id", "") in {"IMAGE_OF_STAGE", "IMAGE_OF_PROFILE"}
        for image in ast.literal_eval(item.value).values()
    }
    for path in (ROOT / "dags").glob("*.py"):
        named |= set(re.findall(r"image_target=\"([a-z-]+)\"", path.read_text()))
    assert {"train", "crawl", "crawl-browser"} <= named <= built()
    variants = {pod["metadata"]["annotations"].get(VARIANT) for pod in profiles().values()}
    assert variants == {None, "cuda"}
    assert "train-cuda" in built()


def test_the_tags_of_a_checkout_are_those_of_its_release(render):
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert about["appVersion"] == f"v{about['version']}", "as a git tag, and as images are tagged"
    manifests = render(None, *EVERYTHING)
    data = only(manifests, "ConfigMap", "twin-airflow")["data"]
    assert data["AIRFLOW__TWIN__IMAGE_TAG"] == about["appVersion"]
    assert given(manifests, "airflowChart")["defaultAirflowTag"] == about["appVersion"]
    assert names_of_ours(manifests) <= built()


def test_a_packed_chart_names_the_images_of_its_release(run_helm, root, helm, tmp_path):
    made = subprocess.run(
        [
            "make", "--directory", root, "--old-file=chart-dependencies", "chart-package",
            "VERSION=9.8.7", f"CHART={chart_to_render()}", f"DIST={tmp_path}", f"HELM={helm}",
        ],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    sets = [word for item in EVERYTHING for word in ("--set", item)]
    done = run_helm("template", "twin", tmp_path / "llm-twin-9.8.7.tgz", "-n", "twin", *sets)
    assert done.returncode == 0, done.stderr
    manifests = [item for item in yaml.safe_load_all(done.stdout) if item]
    assert given(manifests, "airflowChart")["defaultAirflowTag"] == "v9.8.7"
    ours = {image for image in images_of_pods(manifests) if image.startswith("ghcr.io/llm-twin/")}
    assert {image.rsplit(":", 1)[1] for image in ours} == {"v9.8.7"}
    assert names_of_ours(manifests) >= {"serve", "serve-vllm-cuda", "mlflow", "crawl"}
    assert find(manifests, "RayService")


@pytest.mark.parametrize(
    ("sets", "refused"),
    [
        (("images.tag=v1.0.0",), True),
        (("images.tag=v1.0.0", "airflowChart.defaultAirflowTag=v1.0.0"), False),
        (("images.tag=v1.0.0", "airflowChart.images.airflow.tag=v1.0.0"), False),
        # Somebody's own, made from ours.
        (("images.tag=v1.0.0", "airflowChart.defaultAirflowRepository=example.com/own"), False),
    ],
)
def test_airflow_of_another_build_than_its_jobs_is_refused(run_helm, chart, sets, refused):
    options = [
        word for item in ("install.airflow=true", *AIRFLOW_KEYS, *sets) for word in ("--set", item)
    ]
    done = run_helm("template", "t", chart, *options)
    assert (done.returncode != 0) == refused, done.stderr
    if refused:
        assert "give both the tag of one build" in done.stderr
