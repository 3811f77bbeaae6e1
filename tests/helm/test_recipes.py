"""Recipes of the values: in reach of jobs and Airflow, and no reason to start anything anew."""

import pytest
import yaml

from tests.helm.manifests import DEV, ROOT, find, given, only, profiles, ray_pods
from twin.recipes import load_recipe

RECIPE = ROOT / "include" / "recipes" / "lilianweng.yaml"


@pytest.fixture(scope="module")
def with_recipe(run_helm, chart):
    """Everything in one release, with a recipe as its file gives it."""

    def made(*files):
        done = run_helm(
            "template", "twin", chart, "--namespace", "twin", "--values", DEV,
            *(word for file in files for word in ("--set-file", f"recipes.{file.stem}={file}")),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return [item for item in yaml.safe_load_all(done.stdout) if item]

    return made


def mounts(pod):
    """Folder to ConfigMap, of the first container of a pod."""
    volumes = {item["name"]: item.get("configMap") for item in pod["volumes"]}
    found = pod["containers"][0]["volumeMounts"]
    return {item["mountPath"]: volumes[item["name"]] for item in found if volumes[item["name"]]}


@pytest.mark.parametrize("profile", sorted(profiles()))
def test_a_job_reads_the_recipes_of_the_values(with_recipe, profile, tmp_path):
    manifests = with_recipe(RECIPE)
    made = {
        item["metadata"]["namespace"]: item for item in find(manifests, "ConfigMap", "twin-recipes")
    }
    assert set(made) == {"twin", "twin-jobs"}
    folder = only_value(find(manifests, "ConfigMap", "twin-settings"), "TWIN_RECIPES")
    assert mounts(profiles()[profile]["spec"])[folder] == {"name": "twin-recipes", "optional": True}
    for name, text in made["twin-jobs"]["data"].items():
        (tmp_path / name).write_text(text)
    assert load_recipe("lilianweng", tmp_path) == load_recipe("lilianweng", RECIPE.parent)


def only_value(configs, name):
    (value,) = {item["data"].get(name) for item in configs}
    return value


def test_airflow_offers_them(with_recipe):
    manifests = with_recipe(RECIPE)
    folder = only(manifests, "ConfigMap", "twin-airflow")["data"]["AIRFLOW__TWIN__RECIPES"]
    values = given(manifests, "airflowChart")
    pod = {"volumes": values["volumes"], "containers": [{"volumeMounts": values["volumeMounts"]}]}
    assert mounts(pod)[folder]["name"] == "twin-recipes"


def test_without_any_those_of_the_images_are_read(with_recipe):
    manifests = with_recipe()
    assert not find(manifests, "ConfigMap", "twin-recipes")
    assert only_value(find(manifests, "ConfigMap", "twin-settings"), "TWIN_RECIPES") is None
    assert "AIRFLOW__TWIN__RECIPES" not in only(manifests, "ConfigMap", "twin-airflow")["data"]


def test_a_new_author_starts_no_second_ray_cluster(with_recipe):
    """KubeRay makes one for any other rayClusterConfig, with as many GPUs again."""
    before, after = (
        only(made, "RayService")["spec"] for made in (with_recipe(), with_recipe(RECIPE))
    )
    assert before == after
    assert ray_pods(with_recipe(RECIPE))
