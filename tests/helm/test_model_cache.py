"""Caches of base models and weights: bounded by what their volumes hold, and shared if asked."""

import pytest

from tests.helm.manifests import PRODUCTION, every_values_file, profiles, ray_pods

GIB = 1024**3


def environment(pod):
    return {item["name"]: item.get("value") for item in pod["spec"]["containers"][0]["env"]}


def home(pod):
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    return int(volumes["home"]["emptyDir"]["sizeLimit"].removesuffix("Gi")) * GIB


@pytest.mark.parametrize("profile", ["cpu", "gpu-1", "gpu-n"])
def test_both_caches_of_a_job_fit_in_its_volume(profile):
    pod = profiles()[profile]
    limit = int(environment(pod)["TWIN_MODEL_CACHE_BYTES"])
    assert 0.7 * home(pod) < 2 * limit < 0.95 * home(pod)


def test_what_is_fetched_fits_in_the_fetchers_volume():
    pod = profiles()["fetch"]
    limit = int(environment(pod)["TWIN_MODEL_CACHE_BYTES"])
    assert 16e9 < limit < home(pod)


@every_values_file
def test_both_caches_of_a_worker_fit_in_its_volume(render, values):
    for pod in ray_pods(render(values)):
        known = environment(pod)
        if pod["metadata"]["labels"]["app.kubernetes.io/component"] == "head":
            assert "TWIN_MODEL_CACHE_BYTES" not in known
            continue
        assert 0.5 * home(pod) < 2 * int(known["TWIN_MODEL_CACHE_BYTES"]) < 0.95 * home(pod)
        assert "TWIN_MODELS" not in known


def test_workers_share_a_claim_that_is_named(render):
    pods = {
        pod["metadata"]["labels"]["app.kubernetes.io/component"]: pod
        for pod in ray_pods(render(PRODUCTION, "serving.workers.modelsClaim=shared-models"))
    }
    worker = pods.pop("worker")
    claims = [
        volume["name"]
        for volume in worker["spec"]["volumes"]
        if volume.get("persistentVolumeClaim") == {"claimName": "shared-models"}
    ]
    [mount] = [
        mount
        for mount in worker["spec"]["containers"][0]["volumeMounts"]
        if mount["name"] in claims
    ]
    assert environment(worker)["TWIN_MODELS"] == mount["mountPath"]
    for pod in pods.values():
        assert not any("persistentVolumeClaim" in volume for volume in pod["spec"]["volumes"])


@pytest.mark.parametrize("given", ["0", "-1", "12Gi"])
def test_a_limit_that_is_no_number_of_bytes_is_refused(run_helm, chart, given):
    done = run_helm("template", "twin", chart, "--set", f"serving.workers.modelCacheBytes={given}")
    assert done.returncode != 0
    assert "modelCacheBytes" in done.stderr


def test_jobs_do_not_fetch_base_models_by_themselves(render):
    settings = [
        item["data"]
        for item in render()
        if item["kind"] == "ConfigMap" and item["metadata"]["name"] == "twin-settings"
    ]
    assert settings
    assert {data["TWIN_FETCH_MODELS"] for data in settings} == {"false"}
