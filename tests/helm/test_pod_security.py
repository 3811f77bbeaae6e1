"""Every pod of ours is a "restricted" one with a read-only root file system and declared mounts."""

import re

import pytest

from tests.helm.manifests import (
    DEV,
    PRODUCTION,
    ROOT,
    every_values_file,
    find,
    given,
    pods,
    profiles,
    ray_pods,
)

USER = 10001
JOBS_AND_SERVING = {f"twin-{part}" for part in ("crawl", "fetch", "job", "rollout", "serving")}
#: Those of images that are not ours.
USERS = {"mongodb": 999, "s3": 1000}


def check(pod):
    """The Pod Security Standard "restricted", and what the house asks beyond it."""
    spec = pod["spec"]
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    user = USERS.get(pod["metadata"].get("name"), USER)
    assert security["runAsUser"] == security["runAsGroup"] == security["fsGroup"] == user
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC"))
    assert spec["enableServiceLinks"] is False
    assert spec["terminationGracePeriodSeconds"] > 0
    for volume in spec["volumes"]:
        (kind,) = set(volume) - {"name"}
        assert kind in {"emptyDir", "persistentVolumeClaim", "configMap"}
        if kind == "emptyDir":
            assert volume["emptyDir"]["sizeLimit"], "an unbounded emptyDir can fill the node"
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False
        assert own["readOnlyRootFilesystem"] is True
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert "privileged" not in own and "runAsUser" not in own
        for port in container.get("ports", []):
            assert "hostPort" not in port
        resources = container["resources"]
        assert set(resources["requests"]) >= {"cpu", "memory"}
        assert resources["limits"]["memory"]
        mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert "/tmp" in mounted
        if spec.get("serviceAccountName") in JOBS_AND_SERVING:
            assert "/home/twin" in mounted


@every_values_file
def test_every_pod_of_the_chart(render, values):
    found = pods(render(values))
    assert len(found) >= 4
    for pod in found:
        check(pod)
        for container in pod["spec"]["containers"]:
            _, _, tag = container["image"].rpartition(":")
            assert tag and "/" not in tag and tag != "latest"


def test_only_the_head_that_asks_for_pods_has_a_token(render):
    def tokens(manifests):
        return [
            pod["metadata"]["labels"].get("app.kubernetes.io/component")
            for pod in pods(manifests)
            if pod["spec"]["automountServiceAccountToken"]
        ]

    assert tokens(render()) == []
    assert tokens(render(DEV)) == []
    assert tokens(render(None, "serving.autoscaling.enabled=true")) == ["head"]


def test_the_autoscaler_beside_the_head_is_restricted_too(render):
    (service,) = find(render(None, "serving.autoscaling.enabled=true"), "RayService")
    cluster = service["spec"]["rayClusterConfig"]
    assert cluster["enableInTreeAutoscaling"] is True
    security = cluster["autoscalerOptions"]["securityContext"]
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert "autoscalerOptions" not in find(render(), "RayService")[0]["spec"]["rayClusterConfig"]


@pytest.mark.parametrize("dependency", ["airflowChart", "qdrant", "kuberay-operator"])
def test_charts_that_ours_installs_are_told_to_be_restricted(render, dependency):
    """What their own values say of it; their templates are not here to be rendered."""
    values = given(render(PRODUCTION), dependency)
    if dependency == "airflowChart":
        pod, container = (values["securityContexts"][name] for name in ("pod", "containers"))
        statsd = values["statsd"]["securityContexts"]
        assert statsd["pod"]["runAsNonRoot"] and statsd["container"]["readOnlyRootFilesystem"]
    elif dependency == "qdrant":
        pod = container = values["containerSecurityContext"]
        assert values["updateVolumeFsOwnership"] is False, "it would run as root"
    else:
        pod, container = values["podSecurityContext"], None  # restricted by that chart's default
    assert pod["runAsNonRoot"] is True
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    if container:
        assert container["allowPrivilegeEscalation"] is False
        assert container["readOnlyRootFilesystem"] is True
        assert container["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("profile", sorted(profiles()))
def test_pods_of_jobs(profile):
    check(profiles()[profile])


def test_image_and_pods_agree_on_user_and_writable_folders():
    dockerfile = (ROOT / "images/twin/Dockerfile").read_text()
    (volumes,) = re.findall(r"^VOLUME (.+)$", dockerfile, re.MULTILINE)
    assert volumes == '["/tmp", "/home/twin"]'
    assert set(re.findall(r"^USER (\d+:\d+)$", dockerfile, re.MULTILINE)) == {f"{USER}:{USER}"}


@every_values_file
def test_ray_memory_is_not_overcommitted(render, values):
    """Ray takes its memory from the limit: with a lower request the node may not have it."""
    for pod in ray_pods(render(values)):
        resources = pod["spec"]["containers"][0]["resources"]
        assert resources["requests"]["memory"] == resources["limits"]["memory"]
