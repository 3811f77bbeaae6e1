"""Pod templates of the values, and models that jobs share: nothing of it touches serving."""

import pytest
import yaml

from tests.helm.manifests import DEV, PRODUCTION, ROOT, find, given, only, profiles, ray_pods

GPU = ROOT / "include" / "profiles" / "gpu-1.yaml"


@pytest.fixture(scope="module")
def with_profile(run_helm, chart):
    """Everything in one release, with a pod template as its file gives it."""

    def made(*files):
        done = run_helm(
            "template", "twin", chart, "--namespace", "twin", "--values", DEV,
            *(word for file in files for word in ("--set-file", f"profiles.{file.stem}={file}")),
        )  # fmt: skip
        if done.returncode:
            return done.stderr
        return [item for item in yaml.safe_load_all(done.stdout) if item]

    return made


def test_airflow_starts_jobs_with_the_templates_of_the_values(with_profile):
    manifests = with_profile(GPU)
    made = only(manifests, "ConfigMap", "twin-profiles")
    assert made["metadata"]["namespace"] == "twin"
    assert made["data"] == {"gpu-1.yaml": GPU.read_text(encoding="utf-8")}
    folder = only(manifests, "ConfigMap", "twin-airflow")["data"]["AIRFLOW__TWIN__PROFILES"]
    values = given(manifests, "airflowChart")
    (mount,) = [each for each in values["volumeMounts"] if each["mountPath"] == folder]
    (volume,) = [each for each in values["volumes"] if each["name"] == mount["name"]]
    assert volume["configMap"] == {"name": "twin-profiles", "optional": True}


def test_without_any_those_of_the_image_are_taken(with_profile):
    manifests = with_profile()
    assert not find(manifests, "ConfigMap", "twin-profiles")
    assert "AIRFLOW__TWIN__PROFILES" not in only(manifests, "ConfigMap", "twin-airflow")["data"]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("llm-twin/profile: gpu-1", "llm-twin/profile: gpu-2", "label llm-twin/profile is gpu-1"),
        ("- name: base", "- name: job", "is named base, and there is none"),
    ],
)
def test_a_template_that_the_platform_would_not_know_is_refused(
    with_profile, tmp_path, old, new, fault
):
    broken = tmp_path / "gpu-1.yaml"
    broken.write_text(GPU.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    assert fault in with_profile(broken)


def test_jobs_share_the_models_of_a_claim(render):
    options = only(
        render(PRODUCTION, "jobs.models.claim=models", "jobs.models.bytes=200000000000"),
        "ConfigMap",
        "twin-airflow",
    )["data"]
    assert options["AIRFLOW__TWIN__MODELS_CLAIM"] == "models"
    assert options["AIRFLOW__TWIN__MODELS_BYTES"] == "200000000000"
    without = only(render(PRODUCTION), "ConfigMap", "twin-airflow")["data"]
    assert not [name for name in without if "MODELS" in name]


def test_settings_of_the_hub_reach_the_fetcher_alone(render):
    manifests = render(PRODUCTION, "settings.HF_ENDPOINT=https://hub.example.com")
    holders = {
        (item["metadata"]["namespace"], item["metadata"]["name"])
        for item in find(manifests, "ConfigMap")
        if "HF_ENDPOINT" in item["data"]
    }
    assert holders == {("twin-jobs", "twin-settings-fetch")}
    readers = {
        name
        for name, pod in profiles().items()
        for source in pod["spec"]["containers"][0]["envFrom"]
        if source.get("configMapRef", {}).get("name") == "twin-settings-fetch"
    }
    assert readers == {"fetch"}
    assert not find(render(PRODUCTION), "ConfigMap", "twin-settings-fetch")


def test_a_token_of_the_hub_is_no_setting(run_helm, chart):
    done = run_helm("template", "twin", chart, "--set", "settings.HF_TOKEN=x")
    assert done.returncode != 0
    assert "HF_TOKEN" in done.stderr


DIGEST = "sha256:" + "0a" * 32

#: Images of serving that are named by their content, as `cosign verify` found them.
PINNED = tuple(f"images.digests.{name}={DIGEST}" for name in ("serve", "serve-vllm-cuda"))

#: Values that are no part of serving.
ELSEWHERE = [
    "images.tag=v9.9.9,images.jobsTag=v9.9.9,airflowChart.defaultAirflowTag=v9.9.9",
    f"images.digests.train-cuda={DIGEST}",
    "jobs.gpus=false,jobs.nightlyRecipes={handbook},jobs.models.claim=models",
    "airflow.gpuSlots=8",
    "settings.TWIN_CONTACT=a@example.com,settings.HF_ENDPOINT=https://hub.example.com",
    "alerts.enabled=false,kueue.enabled=false,dashboard.enabled=false",
    "mlflow.autoscaling.enabled=false,qdrant.replicaCount=5",
    "networkPolicy.enabled=false",
]


@pytest.mark.parametrize("changed", ELSEWHERE)
def test_serving_is_made_anew_for_its_own_content_alone(render, changed):
    """KubeRay makes a second cluster for any other rayClusterConfig, with as many GPUs again."""
    before, after = (
        only(render(PRODUCTION, *PINNED, *sets), "RayService")["spec"] for sets in ((), (changed,))
    )
    assert before == after


def test_another_template_starts_no_second_ray_cluster(with_profile):
    before, after = (
        only(made, "RayService")["spec"] for made in (with_profile(), with_profile(GPU))
    )
    assert before == after


def test_another_image_of_serving_does(render):
    """What the tests above compare notices a change of serving itself."""
    before, after = (
        ray_pods(render(PRODUCTION, *PINNED, *sets))
        for sets in ((), (f"images.digests.serve=sha256:{'0b' * 32}",))
    )
    assert before != after
