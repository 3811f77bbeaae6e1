"""The chart renders, and what it renders is valid and fits what the rest of the project expects."""

import base64
import json
import re

import pytest
import yaml

from tests.helm.manifests import (
    AIRFLOW_KEYS,
    CHART,
    DEV,
    PRODUCTION,
    ROOT,
    every_values_file,
    find,
    gpu_profiles,
    only,
    part_of,
    profiles,
    ray_pods,
)
from tests.helm.test_manifests import validate
from twin.recipes import load_recipe
from twin.serving.vllm_engine import RESOURCE, EngineSpec, deployment_options
from twin.settings import Settings
from twin.stores import serve_config


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
        assert len(sources) == 2, "no part has the credentials of another"
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


def test_without_serving_nothing_of_it_is_left(render):
    manifests = render(None, "serving.enabled=false")
    assert not find(manifests, "RayService") and not find(manifests, "PodDisruptionBudget")
    accounts = {item["metadata"]["name"] for item in find(manifests, "ServiceAccount")}
    assert accounts == {"twin-job", "twin-crawl", "twin-fetch"}
    for config in find(manifests, "ConfigMap"):
        assert "TWIN_RAY_SERVICE" not in config["data"]


class TestCredentials:
    SECRETS = ("example-key", "example-secret")
    PARTS = ("crawl", "fetch", "job", "rollout")

    def test_none_are_made_by_default(self, render):
        assert not find(render(), "Secret")

    def test_given_ones_are_in_the_secret_and_nowhere_else(self, render):
        manifests = render(CHART / "ci" / "laptop-values.yaml")
        secret = only(manifests, "Secret", "twin-credentials-serving")
        held = {base64.b64decode(value).decode() for value in secret["data"].values()}
        assert set(self.SECRETS) <= held
        rest = yaml.safe_dump([item for item in manifests if item["kind"] != "Secret"])
        for value in held:
            assert value not in rest

    def test_external_ones_are_fetched_into_both_namespaces(self, render):
        manifests = render(PRODUCTION)
        assert not find(manifests, "Secret")
        external = find(manifests, "ExternalSecret")
        where = {
            (item["spec"]["target"]["name"], item["metadata"]["namespace"]) for item in external
        }
        assert where == {
            ("twin-credentials-serving", "twin"),
            *((f"twin-credentials-{part}", "twin-jobs") for part in self.PARTS),
            ("twin-airflow", "twin"),
            ("twin-stores", "twin"),
        }
        entries = {item["spec"]["dataFrom"][0]["extract"]["key"] for item in external}
        assert len(entries) == 7, "each Secret has an entry of its own"

    def test_jobs_cannot_read_what_only_servers_and_airflow_need(self, render):
        secrets = find(render(DEV), "Secret")
        assert len(secrets) == 7
        among_jobs = [item for item in secrets if item["metadata"]["namespace"] == "twin-jobs"]
        assert {item["metadata"]["name"] for item in among_jobs} == {
            f"twin-credentials-{part}" for part in self.PARTS
        }
        for item in among_jobs:
            assert not {"ADMIN_PASSWORD", "MONGO_INITDB_ROOT_PASSWORD"} & set(item["data"])

    def held(self, render, *sets):
        """Names of the variables that each part is given of one that knows them all."""
        names = (
            "TWIN_MONGO_URI", "TWIN_API_KEYS", "TWIN_INDEX_API_KEY", "TWIN_MLFLOW_USERNAME",
            "TWIN_MLFLOW_PASSWORD", "TWIN_HUB_TOKEN", "TWIN_GITHUB_TOKEN", "TWIN_REMOTE_API_KEY",
            "TWIN_JUDGE_API_KEY", "TWIN_TEACHER_API_KEY", "TWIN_LABEL_STUDIO_TOKEN",
            "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
        )  # fmt: skip
        given = [f"credentials.values.{name}=of-all" for name in names]
        manifests = render(None, "credentials.source=values", *given, *sets)
        return {
            item["metadata"]["name"].removeprefix("twin-credentials-"): {
                name: base64.b64decode(value).decode() for name, value in item["data"].items()
            }
            for item in find(manifests, "Secret")
        }

    def test_each_part_is_given_what_it_needs_and_no_more(self, render):
        bucket = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
        registry = {"TWIN_MLFLOW_USERNAME", "TWIN_MLFLOW_PASSWORD"}
        remote = {"TWIN_REMOTE_API_KEY", "TWIN_JUDGE_API_KEY"}
        index = {"TWIN_INDEX_API_KEY"}
        held = {part: set(values) - bucket for part, values in self.held(render).items()}
        assert held == {
            "crawl": {"TWIN_MONGO_URI", "TWIN_GITHUB_TOKEN"},
            "fetch": {"TWIN_HUB_TOKEN"},
            "job": {"TWIN_MONGO_URI", "TWIN_TEACHER_API_KEY", "TWIN_LABEL_STUDIO_TOKEN"}
            | registry | remote | index,
            "rollout": {"TWIN_MONGO_URI", "TWIN_API_KEYS"} | registry | index,
            "serving": {"TWIN_MONGO_URI", "TWIN_API_KEYS"} | registry | remote | index,
        }  # fmt: skip
        for values in self.held(render).values():
            assert bucket <= set(values)

    def test_a_part_may_have_a_user_of_its_own(self, render):
        held = self.held(render, "credentials.parts.crawl.TWIN_MONGO_URI=of-the-crawl")
        users = {part: values.get("TWIN_MONGO_URI") for part, values in held.items()}
        assert users.pop("crawl") == "of-the-crawl"
        assert set(users.values()) == {"of-all", None}


class TestRayService:
    @every_values_file
    def test_serve_configuration_is_what_a_rollout_makes_of_no_models(self, render, values):
        """So the first rollout changes nothing about the router but its routes."""
        manifests = render(values)
        config = yaml.safe_load(only(manifests, "RayService")["spec"]["serveConfigV2"])
        data = find(manifests, "ConfigMap", "twin-settings")[0]["data"]
        given = {
            name.removeprefix("TWIN_").lower(): value
            for name, value in data.items()
            if name.startswith("TWIN_")
        }
        assert config == serve_config.render([], Settings(**given))

    def test_serve_accepts_it(self, render):
        from ray.serve.schema import ServeDeploySchema

        service = only(render(), "RayService")
        schema = ServeDeploySchema.model_validate(yaml.safe_load(service["spec"]["serveConfigV2"]))
        assert schema.applications[0].deployments[0].num_replicas >= 2

    def test_ray_is_the_one_in_the_image(self, render):
        locked = (ROOT / "images/twin/requirements/serve.txt").read_text()
        version = only(render(), "RayService")["spec"]["rayClusterConfig"]["rayVersion"]
        assert f"\nray=={version} " in locked

    @every_values_file
    def test_head_computes_nothing_and_workers_spread(self, render, values):
        cluster = only(render(values), "RayService")["spec"]["rayClusterConfig"]
        assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
        for group in cluster["workerGroupSpecs"]:
            assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
            spread = group["template"]["spec"]["topologySpreadConstraints"]
            labels = group["template"]["metadata"]["labels"]
            assert spread[0]["labelSelector"]["matchLabels"].items() <= labels.items()

    def test_gpus_are_the_engines_and_in_the_gpu_pool(self, render):
        _, worker, engine = ray_pods(render(PRODUCTION))
        assert "nvidia.com/gpu" not in worker["spec"]["containers"][0]["resources"]["limits"]
        resources = engine["spec"]["containers"][0]["resources"]
        gpu = profiles()[gpu_profiles()[0]]["spec"]
        assert resources["limits"]["nvidia.com/gpu"] == resources["requests"]["nvidia.com/gpu"]
        assert engine["spec"]["nodeSelector"] == gpu["nodeSelector"]
        assert all(one in gpu["tolerations"] for one in engine["spec"]["tolerations"])

    def test_engines_are_off_by_default(self, render):
        groups = only(render(), "RayService")["spec"]["rayClusterConfig"]["workerGroupSpecs"]
        assert [group["groupName"] for group in groups] == ["replicas"]
        assert len(find(render(), "PodDisruptionBudget")) == 1

    def test_engines_run_in_vllm_s_image_where_its_replicas_ask_for(self, render):
        """What an engine replica reserves is found in the group's pods, and nowhere else."""
        manifests = render(
            None,
            "serving.engines.enabled=true",
            "serving.engines.replicas=2",
            "images.tag=1.2.3",
        )
        cluster = only(manifests, "RayService")["spec"]["rayClusterConfig"]
        replicas, engines = cluster["workerGroupSpecs"]
        assert json.loads(json.loads(engines["rayStartParams"]["resources"])) == {RESOURCE: 1}
        assert "resources" not in replicas["rayStartParams"]
        images = [
            group["template"]["spec"]["containers"][0]["image"] for group in (replicas, engines)
        ]
        assert [image.rsplit("/", 1)[1] for image in images] == [
            "serve:1.2.3",
            "serve-vllm-cuda:1.2.3",
        ]
        recipe = load_recipe("llama-3.1-8b", ROOT / "include" / "recipes")
        spec = EngineSpec(weights_uri="u", weights_digest="d", serving=recipe.serving)
        settings = Settings(ray_service="twin/twin")
        limits = engines["template"]["spec"]["containers"][0]["resources"]["limits"]
        for bundle in deployment_options(spec, settings)["placement_group_bundles"]:
            assert set(bundle) == {"CPU", "GPU", RESOURCE}
            assert bundle["GPU"] <= int(limits["nvidia.com/gpu"])
            assert bundle["CPU"] <= int(limits["cpu"])
        budgets = {item["metadata"]["name"] for item in find(manifests, "PodDisruptionBudget")}
        assert budgets == {"twin-replicas", "twin-engines"}

    def test_engines_of_a_digest(self, render):
        digest = f"sha256:{'a' * 64}"
        manifests = render(
            None, "serving.engines.enabled=true", f"images.digests.serve-vllm-cuda={digest}"
        )
        _, worker, engine = (pod["spec"]["containers"][0]["image"] for pod in ray_pods(manifests))
        assert engine.endswith(f"serve-vllm-cuda@{digest}") and digest not in worker

    @every_values_file
    def test_nobody_empties_a_node_of_the_head_to_save_the_node(self, render, values):
        """There is one head, and no budget that would hold it."""
        cluster = only(render(values), "RayService")["spec"]["rayClusterConfig"]
        marks = {
            "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
            "karpenter.sh/do-not-disrupt": "true",
        }
        assert cluster["headGroupSpec"]["template"]["metadata"]["annotations"] == marks
        for group in cluster["workerGroupSpecs"]:
            assert "annotations" not in group["template"]["metadata"], "these are replaced"

    def test_what_the_head_knows_is_kept_in_redis_where_there_is_one(self, render):
        def options(*sets):
            cluster = only(render(None, *sets), "RayService")["spec"]["rayClusterConfig"]
            return cluster.get("gcsFaultToleranceOptions")

        assert options() is None
        there = ("serving.head.redis.address=redis:6379", "networkPolicy.enabled=false")
        assert options(*there) == {"redisAddress": "redis:6379"}
        assert options(
            *there, "serving.head.redis.username=ray", "serving.head.redis.passwordSecret.name=own"
        ) == {
            "redisAddress": "redis:6379",
            "redisUsername": {"value": "ray"},
            "redisPassword": {"valueFrom": {"secretKeyRef": {"name": "own", "key": "password"}}},
        }
        production = only(render(PRODUCTION), "RayService")["spec"]["rayClusterConfig"]
        redis = production["gcsFaultToleranceOptions"]
        assert redis["redisAddress"].startswith("rediss://") and "redisPassword" in redis

    def test_a_redis_that_the_head_may_not_reach_is_refused(self, run_helm, chart):
        done = run_helm("template", "t", chart, "--set", "serving.head.redis.address=redis:6379")
        assert done.returncode != 0
        assert "name the egress rule to it in networkPolicy.redis" in done.stderr

    @every_values_file
    def test_disruption_budgets_are_ones_that_let_a_node_drain(self, render, values):
        """A RayCluster has no scale subresource: of pods that nothing scales, the disruption
        controller takes a whole number of minAvailable and nothing else."""
        manifests = render(values)
        groups = only(manifests, "RayService")["spec"]["rayClusterConfig"]["workerGroupSpecs"]
        fewest = {
            group["template"]["metadata"]["labels"]["app.kubernetes.io/component"]: min(
                group["replicas"], group["minReplicas"]
            )
            for group in groups
        }
        for item in find(manifests, "PodDisruptionBudget"):
            labels = item["spec"]["selector"]["matchLabels"]
            if labels["app.kubernetes.io/name"] != "twin-serving":
                continue
            assert set(item["spec"]) == {"minAvailable", "selector"}
            assert type(item["spec"]["minAvailable"]) is int
            assert item["spec"]["minAvailable"] >= 1
            assert item["spec"]["minAvailable"] < fewest[labels["app.kubernetes.io/component"]]

    @every_values_file
    def test_a_pod_with_gpus_runs_an_image_that_sees_them(self, render, values):
        """And one without a smaller one; the digest of `serve` is never another image's."""
        names = {"head": "serve", "worker": "serve", "engine": "serve-vllm"}
        for pod in ray_pods(render(values)):
            container = pod["spec"]["containers"][0]
            name = names[pod["metadata"]["labels"]["app.kubernetes.io/component"]]
            if "nvidia.com/gpu" in container["resources"]["limits"]:
                name += "-cuda"
            image = container["image"].rsplit("/", 1)[1]
            assert re.split("[:@]", image)[0] == name
            assert "@" not in image or name == "serve"

    @pytest.mark.parametrize(
        ("sets", "available"),
        [
            ((), 1),
            (("serving.workers.replicas=4",), 3),
            (("serving.workers.replicas=4", "serving.autoscaling.enabled=true"), 1),
            (("serving.workers.replicas=4", "serving.podDisruptionBudget.maxUnavailable=2"), 2),
            # It would be broken by every drain, or not kept: there is none.
            (("serving.podDisruptionBudget.maxUnavailable=2",), None),
            (("serving.workers.replicas=1",), None),
        ],
    )
    def test_disruption_budget_keeps_what_is_surely_there_but_one(self, render, sets, available):
        manifests = render(None, *sets)
        budgets = find(manifests, "PodDisruptionBudget")
        assert [item["spec"]["minAvailable"] for item in budgets] == (
            [] if available is None else [available]
        )
        head, worker = (pod["metadata"]["labels"] for pod in ray_pods(manifests))
        for item in budgets:
            selector = item["spec"]["selector"]["matchLabels"].items()
            assert selector <= worker.items() and not selector <= head.items()

    @pytest.mark.parametrize(
        ("tag", "image"),
        [
            ("1.2.3", "ghcr.io/llm-twin/serve:1.2.3"),
            ("sha256:" + "a" * 64, "ghcr.io/llm-twin/serve@sha256:" + "a" * 64),
        ],
    )
    def test_image_by_tag_or_digest(self, render, tag, image):
        for pod in ray_pods(render(None, f"images.tag={tag}", "images.jobsTag=1.2.3")):
            assert pod["spec"]["containers"][0]["image"] == image

    def test_a_digest_by_name_goes_before_the_tag(self, render):
        digest = "sha256:" + "b" * 64
        made = render(None, f"images.digests.serve={digest}", "images.tag=1.2.3")
        for pod in ray_pods(made):
            image = pod["spec"]["containers"][0]["image"]
            assert image == f"ghcr.io/llm-twin/serve@{digest}"

    def test_a_digest_alone_is_refused_since_it_names_one_image(self, run_helm, chart):
        done = run_helm("template", "t", chart, "--set", "images.tag=sha256:" + "a" * 64)
        assert done.returncode != 0
        assert "images.jobsTag: images.tag is a digest" in done.stderr


class TestIngress:
    def test_there_is_none_by_default(self, render):
        assert not find(render(), "Ingress")

    def test_it_leads_to_the_endpoint_and_always_over_tls(self, render):
        spec = only(render(PRODUCTION), "Ingress")["spec"]
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
        (["--values", PRODUCTION], "entries llm-twin/production/credentials/crawl, llm-twin/"),
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
