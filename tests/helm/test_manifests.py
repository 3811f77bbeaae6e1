"""Every manifest of every values file is one that a cluster takes: by schema, and by our own rules.

kubernetes-validate knows neither quantities nor names nor custom resources, so these are checked
here.
"""

import copy
import re

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.helm.manifests import (
    PRODUCTION,
    ROOT,
    every_values_file,
    find,
    gpu_profiles,
    only,
    pods,
    profiles,
    ray_pods,
)

CUSTOM = yaml.safe_load((ROOT / "tests" / "helm" / "custom_resources.yaml").read_text())
CLUSTER_WIDE = {"Namespace", "PriorityClass", "ResourceFlavor", "ClusterQueue"}
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
UNIT = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12} | {
    f"{letter}i": 1024**power for power, letter in enumerate("KMGT", start=1)
}
GPU = "nvidia.com/gpu"


def amount(quantity):
    """A quantity as a number; refuses what Kubernetes would."""
    text = str(quantity)
    assert QUANTITY.fullmatch(text), f"{text!r} is no quantity"
    digits = re.match(r"[0-9.]+", text)[0]
    return float(digits) * UNIT[text[len(digits) :]]


def validate(item):
    """Check a manifest against the schema of its kind; custom resources against ours."""
    if item["kind"] == "DependencyValues":
        return
    if item["kind"] in CUSTOM["kinds"]:
        schema = {"$defs": CUSTOM["$defs"], **CUSTOM["kinds"][item["kind"]]}
        jsonschema.Draft202012Validator(schema).validate(item)
    else:
        kubernetes_validate.validate(item, "1.35", strict=True)


def check_resources(container):
    """Requests within limits, quantities well formed, GPUs in both alike."""
    resources = container["resources"]
    requests, limits = resources["requests"], resources["limits"]
    for name, limit in limits.items():
        assert amount(requests.get(name, limit)) <= amount(limit), f"{name}: more than the limit"
    for quantity in requests.values():
        amount(quantity)
    assert requests.get(GPU) == limits.get(GPU), "GPUs are given whole: request what is the limit"
    if GPU in limits:
        assert amount(limits[GPU]) == int(amount(limits[GPU])) >= 1


def check_pod(pod):
    spec = pod["spec"]
    names = [item["name"] for item in [*spec["containers"], *spec.get("initContainers", [])]]
    assert len(names) == len(set(names))
    volumes = {volume["name"] for volume in spec.get("volumes", [])}
    # A StatefulSet adds its claims: `data` is the one name that the chart gives them.
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        assert NAME.fullmatch(container["name"])
        check_resources(container)
        mounts = container["volumeMounts"]
        assert {mount["name"] for mount in mounts} <= volumes | {"data"}
        paths = [mount["mountPath"] for mount in mounts]
        assert len(paths) == len(set(paths))
        for port in container.get("ports", []):
            assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?", port["name"])
    asks_for_gpus = any(GPU in item["resources"]["limits"] for item in spec["containers"])
    tolerates = any(item.get("key") == GPU for item in spec.get("tolerations", []))
    assert asks_for_gpus == tolerates, "GPU nodes are for pods with GPUs, and only for them"
    if asks_for_gpus:
        assert spec["nodeSelector"]


@every_values_file
def test_manifests_fit_their_schemas(render, values):
    manifests = render(values)
    assert len(manifests) > 10
    for item in manifests:
        validate(item)
    for pod in ray_pods(manifests):
        validate(pod)


@every_values_file
def test_names_labels_and_namespaces(render, values):
    for item in render(values):
        metadata = item["metadata"]
        if item["kind"] == "DependencyValues":
            continue
        assert NAME.fullmatch(metadata["name"])
        for value in metadata["labels"].values():
            assert LABEL_VALUE.fullmatch(value)
        assert metadata["labels"]["app.kubernetes.io/part-of"] == "llm-twin"
        if item["kind"] in CLUSTER_WIDE:
            assert "namespace" not in metadata
        else:
            assert metadata["namespace"] in {"twin", "twin-jobs"}


@every_values_file
def test_no_manifest_is_rendered_twice(render, values):
    ids = [
        (item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"])
        for item in render(values)
    ]
    assert len(ids) == len(set(ids))


@every_values_file
def test_pods_ask_for_what_can_be_given(render, values):
    found = pods(render(values))
    assert len(found) >= 4
    for pod in found:
        check_pod(pod)


@pytest.mark.parametrize("profile", sorted(profiles()))
def test_profiles_ask_for_what_can_be_given(profile):
    check_pod(profiles()[profile])


@every_values_file
def test_selectors_select_the_pods_that_they_are_about(render, values):
    """Of Deployments and StatefulSets, Services, budgets, autoscalers."""
    manifests = render(values)
    labels = [(pod["metadata"].get("namespace", "twin"), pod["metadata"]["labels"])
              for pod in pods(manifests)]  # fmt: skip
    for kind in ("Deployment", "StatefulSet"):
        for item in find(manifests, kind):
            own = item["spec"]["template"]["metadata"]["labels"]
            assert item["spec"]["selector"]["matchLabels"].items() <= own.items()
    for item in find(manifests, "Service"):
        chosen = [own for _, own in labels if item["spec"]["selector"].items() <= own.items()]
        assert len(chosen) == 1, item["metadata"]["name"]
    for item in find(manifests, "PodDisruptionBudget"):
        wanted = item["spec"]["selector"]["matchLabels"].items()
        assert sum(wanted <= own.items() for _, own in labels) == 1
    for item in find(manifests, "HorizontalPodAutoscaler"):
        target = item["spec"]["scaleTargetRef"]
        scaled = only(manifests, target["kind"], target["name"])
        assert "replicas" not in scaled["spec"], "the autoscaler and helm would fight over it"
        assert item["spec"]["minReplicas"] <= item["spec"]["maxReplicas"]


@every_values_file
def test_secrets_and_config_maps_that_are_referred_to_exist_or_are_documented(render, values):
    """Those in the pods' own namespace; Secrets may come from outside, under three names."""
    manifests = render(values)
    made = {
        (item["kind"], item["metadata"]["namespace"], item["metadata"]["name"])
        for item in [*find(manifests, "ConfigMap"), *find(manifests, "Secret")]
    }
    made |= {
        ("Secret", item["metadata"]["namespace"], item["spec"]["target"]["name"])
        for item in find(manifests, "ExternalSecret")
    }
    anywhere = not any(kind == "Secret" for kind, *_ in made)  # credentials.source=existing
    for pod in pods(manifests):
        namespace = pod["metadata"].get("namespace", "twin")
        for container in pod["spec"]["containers"]:
            for source in container.get("envFrom", []):
                for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                    if key in source:
                        name = source[key]["name"]
                        found = (kind, namespace, name) in made
                        assert found or (kind == "Secret" and anywhere), name
            for variable in container.get("env", []):
                wanted = variable.get("valueFrom", {}).get("secretKeyRef")
                if wanted and not wanted.get("optional"):
                    assert wanted["name"] == "twin-stores"
                    assert anywhere or ("Secret", namespace, "twin-stores") in made


class TestTheChecksNotice:
    """Each check of this file fails on what it is there for."""

    def test_a_field_that_does_not_exist(self, render):
        broken = copy.deepcopy(only(render(), "NetworkPolicy", "twin-jobs-deny"))
        broken["spec"]["podSelectors"] = {}
        with pytest.raises(kubernetes_validate.ValidationError):
            validate(broken)

    @pytest.mark.parametrize(
        ("kind", "path", "value"),
        [
            ("RayService", "spec.rayClusterConfigs", {}),
            ("RayService", "spec.upgradeStrategy.type", "Rolling"),
            ("RayService", "spec.rayClusterConfig.autoscalerOptions.idleTimeout", 5),
            ("ExternalSecret", "spec.refreshInterval", "often"),
            ("PodMonitor", "spec.podMetricsEndpoints", []),
            ("ServiceMonitor", "spec.selectors", {}),
            ("PrometheusRule", "spec.groups.0.rules.0.severity", "page"),
            ("ClusterQueue", "spec.queueingStrategy", "FIFO"),
            ("LocalQueue", "spec.queue", "x"),
        ],
    )
    def test_a_wrong_custom_resource(self, render, kind, path, value):
        broken = copy.deepcopy(find(render(PRODUCTION), kind)[0])
        validate(broken)
        *steps, last = path.split(".")
        place = broken
        for step in steps:
            place = place[int(step) if step.isdigit() else step]
        place[last] = value
        with pytest.raises(jsonschema.ValidationError):
            validate(broken)

    @pytest.mark.parametrize("text", ["8GB", "-1", "1e", "1 Gi", "", "0x10"])
    def test_what_is_no_quantity(self, text):
        with pytest.raises(AssertionError, match="no quantity"):
            amount(text)

    @pytest.mark.parametrize(
        ("resources", "says"),
        [
            ({"requests": {"cpu": "2"}, "limits": {"cpu": "500m"}}, "more than the limit"),
            ({"requests": {"memory": "1Gi"}, "limits": {"memory": "900Mi"}}, "more than"),
            ({"requests": {}, "limits": {GPU: "1"}}, "GPUs are given whole"),
        ],
    )
    def test_resources_that_cannot_be(self, resources, says):
        with pytest.raises(AssertionError, match=says):
            check_resources({"resources": resources})

    def test_a_pod_on_the_gpu_pool_without_a_gpu(self):
        pod = copy.deepcopy(profiles()[gpu_profiles()[0]])
        for kind in ("requests", "limits"):
            del pod["spec"]["containers"][0]["resources"][kind][GPU]
        with pytest.raises(AssertionError, match="GPU nodes are for pods with GPUs"):
            check_pod(pod)
