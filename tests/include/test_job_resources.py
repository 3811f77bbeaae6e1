"""What a recipe asks for is what its pods get, or is refused with what there is."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException
from kubernetes.client import ApiClient
from kubernetes.client import models as k8s

from include import job_pods, job_resources, recipe_files
from include.job_resources import ResourcesError, faults_of, profile_for, template_for
from include.jobs import JobOperator
from include.runtime import Runtime
from tests.airflow_environment import StandIn

#: What a training on a node of eight asks for.
BIG = {
    "gpus": 8,
    "gpu_type": "h100",
    "cpus": 96,
    "memory": "900Gi",
    "disk": "1200Gi",
    "shared_memory": "256Gi",
    "image_variant": "cuda",
}


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(recipe_files, "RECIPES", tmp_path)
    return tmp_path


def write(folder: Path, **resources: Any) -> None:
    recipe = {
        "name": "ada",
        "author": {"id": "ada", "name": "Ada Lovelace"},
        "sources": [{"kind": "folder", "name": "notes", "path": "notes"}],
        "resources": resources,
    }
    (folder / "ada.yaml").write_text(yaml.safe_dump(recipe))


def pod_of(job: str, profile: str, **more: Any) -> k8s.V1Pod:
    with DAG("tests"):
        task = JobOperator(task_id="a_task", job=job, recipe="ada", profile=profile, **more)
    return task.build_pod_request_obj(dry_run=True)


def volumes(pod: k8s.V1Pod) -> dict[str, Any]:
    return {each.name: each for each in pod.spec.volumes}


def environment(pod: k8s.V1Pod) -> dict[str, str | None]:
    return {each.name: each.value for each in pod.spec.containers[0].env}


def test_a_pod_gets_what_its_recipe_asks_for(stand_in: StandIn, recipes: Path) -> None:
    write(recipes, training=BIG)
    pod = pod_of("training sft", "gpu-1", several_gpus=True)
    (container,) = pod.spec.containers
    asked = {"nvidia.com/gpu": "8", "cpu": "96", "memory": "900Gi"}
    assert asked.items() <= container.resources.requests.items()
    assert asked.items() <= container.resources.limits.items()
    assert container.resources.requests["ephemeral-storage"] == "1200Gi"
    # The volume of models and the one for scratch, which gpu-n has of 8 GiB.
    assert container.resources.limits["ephemeral-storage"] == f"{1208 * 1024}Mi"
    assert pod.metadata.labels["llm-twin/profile"] == "gpu-n"
    assert pod.metadata.labels["llm-twin/gpus"] == "8"
    assert "llm-twin/allowed" not in pod.metadata.annotations
    assert pod.spec.node_selector == {
        "llm-twin/pool": "gpu",
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
    }
    assert volumes(pod)["home"].empty_dir.size_limit == "1200Gi"
    assert volumes(pod)["shared-memory"].empty_dir.size_limit == "256Gi"
    # 48 GB in 120 GiB, ten times: 480 GB in 1200 GiB.
    assert environment(pod)["TWIN_MODEL_CACHE_BYTES"] == "480000000000"
    kubernetes_validate.validate(ApiClient().sanitize_for_serialization(pod), "1.35", strict=True)


def test_without_a_wish_a_pod_is_its_profile(stand_in: StandIn, recipes: Path) -> None:
    write(recipes)
    with_none = pod_of("training sft", "gpu-1")
    write(recipes, training={"memory": None})
    assert pod_of("training sft", "gpu-1").spec == with_none.spec
    shipped = job_resources.read_profile(Runtime().profile("gpu-1"))["spec"]
    (container,) = shipped["containers"]
    assert with_none.spec.containers[0].resources.limits == container["resources"]["limits"]


def test_a_step_in_one_process_takes_one_gpu_of_the_same_node(
    stand_in: StandIn, recipes: Path
) -> None:
    write(recipes, training=BIG)
    pod = pod_of("training package", "gpu-1")
    (container,) = pod.spec.containers
    assert container.resources.limits["nvidia.com/gpu"] == "1"
    assert container.resources.limits["memory"] == "900Gi"
    assert pod.metadata.labels["llm-twin/gpus"] == "1"
    assert pod.metadata.labels["llm-twin/profile"] == "gpu-n"


def test_another_stage_and_a_small_job_ask_for_nothing(stand_in: StandIn, recipes: Path) -> None:
    write(recipes, training=BIG, evaluation={"memory": "64Gi"})
    assert pod_of("features build", "cpu").metadata.labels["llm-twin/profile"] == "cpu"
    promote = pod_of("evaluation promote", "cpu")
    assert promote.spec.containers[0].resources.limits["memory"] == "8Gi"
    measured = pod_of("evaluation run", "gpu-1")
    assert measured.spec.containers[0].resources.requests["memory"] == "64Gi"


@pytest.mark.parametrize(
    ("gpus", "profile"), [(None, "gpu-1"), (0, "cpu"), (1, "gpu-1"), (2, "gpu-n"), (8, "gpu-n")]
)
def test_the_profile_follows_the_number_of_gpus(gpus: int | None, profile: str) -> None:
    assert profile_for("gpu-1", {"gpus": gpus}) == profile
    assert profile_for("crawl", {"gpus": gpus}) == "crawl"


def test_a_training_on_processors_gets_their_image(stand_in: StandIn, recipes: Path) -> None:
    write(recipes, training={"gpus": 0, "memory": "16Gi"})
    pod = pod_of("training sft", "gpu-1", several_gpus=True)
    assert pod.spec.containers[0].image == "llm-twin/train:1.2.3"
    assert "nvidia.com/gpu" not in pod.spec.containers[0].resources.limits
    assert "TWIN_GPUS" not in environment(pod)


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        ({"gpus": 9}, "gpus = 9: profile gpu-n allows 2 to 8"),
        ({"memory": "513Gi"}, "memory = 513Gi: profile gpu-1 allows 8Gi to 512Gi"),
        ({"memory": "7Gi"}, "memory = 7Gi: profile gpu-1 allows 8Gi to 512Gi"),
        ({"gpu_type": "v100"}, "gpu_type = v100: profile gpu-1 allows a100-40gb, a100-80gb, a10g"),
        ({"image_variant": "rocm"}, "image_variant = rocm: profile gpu-1 allows cuda"),
        ({"gpus": 0, "image_variant": "cuda"}, "image_variant = cuda: profile cpu allows none"),
        (
            {"gpus": 0, "shared_memory": "1Gi"},
            "shared_memory = 1Gi: profile cpu has none to ask for",
        ),
    ],
)
def test_what_no_profile_gives_is_refused_with_what_one_does(
    stand_in: StandIn, recipes: Path, asked: dict[str, Any], fault: str
) -> None:
    write(recipes, training=asked)
    with pytest.raises(AirflowFailException) as error:
        pod_of("training sft", "gpu-1")
    assert f"recipe ada: resources.training: {fault}" in str(error.value)
    # Said of the recipe before it is run, too; a form does not offer it.
    assert fault in recipe_files.broken_recipes()["ada"]


@pytest.mark.parametrize("asked", [{"memory": "512Gi"}, {"memory": "8Gi"}, {"cpus": 64}])
def test_the_limits_themselves_are_allowed(asked: dict[str, Any]) -> None:
    template_for(Runtime(), "gpu-1", asked)


def test_a_cluster_without_gpus_says_so(recipes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime(gpus=False)
    with pytest.raises(ResourcesError, match="this cluster has none"):
        template_for(runtime, "gpu-1", {"gpus": 1})
    with pytest.raises(ResourcesError, match="this cluster has none"):
        template_for(runtime, "gpu-1", {"gpu_type": "l4"})
    assert template_for(runtime, "gpu-1", {})["metadata"]["labels"]["llm-twin/profile"] == "cpu"
    assert faults_of(runtime, {"resources": {"training": {"gpus": 1}, "features": {}}}) == [
        "resources.training: it asks for GPUs and this cluster has none ([twin] gpus, jobs.gpus of "
        "the chart): leave gpus and gpu_type out"
    ]


def test_jobs_share_the_models_of_a_claim(
    stand_in: StandIn, recipes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(recipes)
    monkeypatch.setenv("AIRFLOW__TWIN__MODELS_CLAIM", "models")
    monkeypatch.setenv("AIRFLOW__TWIN__MODELS_BYTES", "100000000000")
    for profile in ("cpu", "gpu-1", "gpu-n", "fetch"):
        pod = pod_of("training sft", profile)
        assert volumes(pod)["models"].persistent_volume_claim.claim_name == "models"
        mounts = {each.mount_path: each.name for each in pod.spec.containers[0].volume_mounts}
        assert mounts[str(environment(pod)["TWIN_MODELS"])] == "models"
        # All of them keep as much: the smallest would delete what the largest needs.
        assert environment(pod)["TWIN_MODEL_CACHE_BYTES"] == "100000000000"
    for profile in ("crawl", "rollout"):
        assert "models" not in volumes(pod_of("crawl run", profile))


def test_a_recipe_that_is_unknown_here_is_left_to_its_job(stand_in: StandIn, recipes: Path) -> None:
    assert job_pods.asked_for("nobody", "training", "gpu-1") == {}


CONTAINER = {"name": "base", "resources": {"requests": {}, "limits": {}}}


def own_profile(folder: Path, **spec: Any) -> Runtime:
    """A cluster with a profile ``huge`` of its own."""
    notes = {"llm-twin/allowed": "{disk: [1Gi, 9Gi]}"}
    profile = {"metadata": {"labels": {}, "annotations": notes}, "spec": spec}
    (folder / "huge.yaml").write_text(yaml.safe_dump(profile))
    return Runtime(profiles=folder, models_claim="models")


def test_a_profile_without_variables_is_no_fault(tmp_path: Path) -> None:
    runtime = own_profile(tmp_path, containers=[CONTAINER])
    assert template_for(runtime, "huge", {})["spec"]["containers"] == [CONTAINER]


def test_a_profile_that_lacks_what_is_asked_of_it_is_named(tmp_path: Path) -> None:
    runtime = own_profile(tmp_path, containers=[CONTAINER], volumes=[])
    with pytest.raises(ResourcesError, match="profile huge lacks what its jobs need"):
        template_for(runtime, "huge", {"disk": "2Gi"})


def test_a_container_beside_the_job_keeps_an_image_of_its_own() -> None:
    beside = [{"name": "browser", "image": "set-by-the-operator"}, {"name": "proxy", "image": "p"}]
    made = job_pods.with_image({"spec": {"initContainers": beside}}, "twin/crawl:1")
    assert [each["image"] for each in made["spec"]["initContainers"]] == ["twin/crawl:1", "p"]
