"""The chart renders, and what it renders is valid and fits what the rest of the project expects."""

import pytest

from tests.helm.manifests import (
    AIRFLOW_KEYS,
    DEV,
    PRODUCTION,
    every_values_file,
    find,
    only,
    part_of,
    profiles,
    ray_pods,
)
from tests.helm.test_manifests import validate
from twin.settings import Settings


@every_values_file
def test_lint_is_clean(run_helm, chart, values):
    options = ["--values", values] if values else []
    done = run_helm("lint", "--strict", chart, *options)
    assert done.returncode == 0, done.stdout
    assert "[ERROR]" not in done.stdout and "[WARNING]" not in done.stdout


@every_values_file
def test_pods_find_what_they_refer_to(render, values):
    """Profiles name a service account, a ConfigMap and a Secret: the chart makes those."""
    manifests = render(values)
    jobs_namespace = only(manifests, "Role", "twin-airflow")["metadata"]["namespace"]

    def made(kind, namespace):
        return {
            item["metadata"]["name"]
            for item in find(manifests, kind)
            if item["metadata"]["namespace"] == namespace
        }

    referring = [(pod, jobs_namespace) for pod in profiles().values()]
    referring += [(pod, "twin") for pod in ray_pods(manifests)]
    assert len(referring) >= 5
    for pod, namespace in referring:
        assert pod["spec"]["serviceAccountName"] in made("ServiceAccount", namespace)
        sources = pod["spec"]["containers"][0]["envFrom"]
        profile = pod["metadata"]["labels"].get("llm-twin/profile")
        part = part_of(profile) if profile else "serving"
        assert pod["spec"]["serviceAccountName"] == f"twin-{part}"
        assert {"configMapRef": {"name": "twin-settings"}} in sources
        assert {"secretRef": {"name": f"twin-credentials-{part}"}} in sources
        own = [{"secretRef": {"name": "twin-credentials-backup", "optional": True}}]
        more = [source for source in sources if "secretRef" in source][1:]
        assert more == (own if profile == "backup" else []), "no part has those of another"
        assert "twin-settings" in made("ConfigMap", namespace)


@every_values_file
def test_settings_are_settings(render, values):
    """Every TWIN_ variable is one that the jobs read, and makes valid settings."""
    for config in find(render(values), "ConfigMap", "twin-settings"):
        names = {name.removeprefix("TWIN_").lower() for name in config["data"] if "TWIN_" in name}
        assert names <= set(Settings.model_fields)
        assert {"files_uri", "mlflow_tracking_uri", "ray_service", "endpoint_url"} <= names
        assert "index_url" in names
        Settings(**{name: config["data"][f"TWIN_{name.upper()}"] for name in names})


def test_addresses_follow_from_names(render):
    data = only(render(None, "serving.name=echo", "jobs.namespace=twin"), "ConfigMap")["data"]
    assert data["TWIN_RAY_SERVICE"] == "twin/echo"
    assert data["TWIN_ENDPOINT_URL"] == "http://echo-serve-svc.twin.svc.cluster.local:8000"
    given = render(None, "settings.TWIN_ENDPOINT_URL=https://twin.example.com")
    assert {item["data"]["TWIN_ENDPOINT_URL"] for item in find(given, "ConfigMap")} == {
        "https://twin.example.com"
    }


@pytest.mark.parametrize(
    ("values", "gpus"),
    [
        ((), None),
        (("serving.engines.enabled=true",), None),
        (("serving.autoscaling.enabled=true",), "0"),
        (("serving.autoscaling.enabled=true", "serving.engines.enabled=true"), "2"),
        (
            (
                "serving.autoscaling.enabled=true",
                "serving.engines.enabled=true",
                "serving.engines.maxReplicas=3",
                r"serving.engines.resources.limits.nvidia\.com/gpu=2",
                r"serving.engines.resources.requests.nvidia\.com/gpu=2",
            ),
            "6",
        ),
    ],
)
def test_a_rollout_knows_how_many_gpus_there_may_be(render, values, gpus):
    """Only where workers come as they are asked for; else Ray says how many there are."""
    for config in find(render(None, *values), "ConfigMap", "twin-settings"):
        assert config["data"].get("TWIN_RAY_MOST_GPUS") == gpus


def test_without_serving_nothing_of_it_is_left(render):
    manifests = render(None, "serving.enabled=false")
    assert not find(manifests, "RayService") and not find(manifests, "PodDisruptionBudget")
    accounts = {item["metadata"]["name"] for item in find(manifests, "ServiceAccount")}
    assert accounts == {"twin-job", "twin-crawl", "twin-fetch"}
    for config in find(manifests, "ConfigMap"):
        assert "TWIN_RAY_SERVICE" not in config["data"]


class TestIngress:
    def test_there_is_none_by_default(self, render):
        assert not find(render(), "Ingress")

    def test_it_leads_to_the_endpoint_and_always_over_tls(self, render):
        spec = only(render(PRODUCTION), "Ingress", "twin")["spec"]
        assert spec["tls"] == [{"hosts": ["twin.example.com"], "secretName": "twin-tls"}]
        (path,) = spec["rules"][0]["http"]["paths"]
        assert path["backend"]["service"] == {"name": "twin-serve-svc", "port": {"number": 8000}}

    def test_it_is_refused_without_serving(self, run_helm, chart):
        values = PRODUCTION
        done = run_helm(
            "template", "t", chart, "--values", values, "--set", "serving.enabled=false"
        )
        assert done.returncode != 0
        assert "there is nothing to reach while serving.enabled is false" in done.stderr


class TestGateway:
    ROUTE = (
        "gateway.enabled=true", "gateway.host=twin.example.com",
        "gateway.parentRefs[0].name=public", "gateway.parentRefs[0].namespace=gateways",
    )  # fmt: skip

    def test_there_is_none_by_default(self, render):
        assert not find(render(), "HTTPRoute")

    def test_it_leads_to_the_endpoint_and_waits_for_an_answer(self, render):
        manifests = render(None, *self.ROUTE)
        route = only(manifests, "HTTPRoute")
        validate(route)
        (rule,) = route["spec"]["rules"]
        assert rule["backendRefs"] == [{"name": "twin-serve-svc", "port": 8000}]
        assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]
        assert rule["timeouts"] == {"request": "300s"}
        assert route["spec"]["hostnames"] == ["twin.example.com"]
        assert route["spec"]["parentRefs"] == [{"name": "public", "namespace": "gateways"}]
        assert not find(manifests, "Ingress")


def test_namespace_of_jobs_enforces_restricted_pods_and_outlives_the_release(render):
    metadata = only(render(), "Namespace")["metadata"]
    assert metadata["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert metadata["annotations"]["helm.sh/resource-policy"] == "keep"
    assert not find(render(None, "jobs.namespace=twin"), "Namespace")
    assert not find(render(None, "jobs.createNamespace=false"), "Namespace")


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        (["--set", "credentials.source=existing"], "secret generic twin-credentials-crawl"),
        (["--values", PRODUCTION], "entries llm-twin/production/credentials/backup, llm-twin/"),
        (["--set", "networkPolicy.enabled=false"], "WARNING: networkPolicy.enabled is false"),
        (["--values", PRODUCTION], "https://twin.example.com/v1/models"),
        (["--values", DEV], "port-forward svc/twin-api-server 8080"),
        (["--values", DEV], "Task logs go to s3://twin/logs"),
        (["--set", "install.mlflow=true"], "-n twin create secret generic twin-stores"),
        (
            ["--set", ",".join(("install.airflow=true", *AIRFLOW_KEYS))],
            "airflow.remoteLogs.folder is empty",
        ),
        ([], "helm test twin -n twin --logs"),
    ],
)
def test_notes_tell_what_to_do_next(run_helm, chart, sets, expected):
    done = run_helm("install", "twin", chart, "--namespace", "twin", "--dry-run=client", *sets)
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout.partition("NOTES:")[2]
