"""The RayService: what KubeRay makes of it is what serves, and a rollout keeps it."""

import json
import re

import pytest
import yaml

from tests.helm.manifests import (
    PRODUCTION,
    ROOT,
    every_values_file,
    find,
    gpu_profiles,
    only,
    profiles,
    ray_pods,
)
from twin.recipes import load_recipe
from twin.serving.vllm_engine import RESOURCE, EngineSpec, deployment_options
from twin.settings import Settings
from twin.stores import serve_config


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
        own = cluster["headGroupSpec"]["template"]["metadata"]["annotations"]
        assert marks.items() <= own.items()
        for group in cluster["workerGroupSpecs"]:
            notes = group["template"]["metadata"].get("annotations", {})
            assert not notes.keys() & marks.keys(), "these are replaced"

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
