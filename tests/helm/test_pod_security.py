"""Every pod of ours is a "restricted" one with a read-only root file system and declared mounts."""

import re

import pytest

from tests.helm.manifests import ROOT, every_values_file, profiles, ray_pods

USER = 10001


def check(pod):
    """The Pod Security Standard "restricted", and what the house asks beyond it."""
    spec = pod["spec"]
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == security["runAsGroup"] == security["fsGroup"] == USER
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC"))
    assert spec["enableServiceLinks"] is False
    assert spec["terminationGracePeriodSeconds"] > 0
    for volume in spec["volumes"]:
        assert set(volume) == {"name", "emptyDir"}
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
        assert {"/tmp", "/home/twin"} <= mounted


@every_values_file
def test_pods_of_serving(render, values):
    pods = ray_pods(render(values))
    assert len(pods) == 2
    for pod in pods:
        check(pod)
        assert pod["spec"]["automountServiceAccountToken"] is False


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
