"""What the chart brings beside serving: Airflow, stores, queues, priorities, alerts, its tests."""

import functools
import hashlib
import json
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from tests import servers
from tests.helm.manifests import (
    AIRFLOW_KEYS,
    CHART,
    DEV,
    PRODUCTION,
    ROOT,
    STAGING,
    dependencies,
    every_values_file,
    find,
    given,
    gpu_profiles,
    only,
    pods,
    profiles,
)

INSTALLABLE = ("airflow", "qdrant", "kuberayOperator", "mongodb", "mlflow", "s3")


class TestDependencies:
    def test_they_are_pinned_and_locked(self):
        """The lock's digest is over both lists, so that helm refuses a lock that is behind."""
        lock = yaml.safe_load((CHART / "Chart.lock").read_text())
        fields = ("name", "version", "repository")
        locked = [{field: item[field] for field in fields} for item in dependencies()]
        assert [{field: item[field] for field in fields} for item in lock["dependencies"]] == locked
        for item in locked:
            assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", item["version"])
            assert item["repository"].startswith("https://")
        order = ("name", "version", "repository", "condition", "alias")
        asked = [{key: item[key] for key in order if key in item} for item in dependencies()]
        text = json.dumps([asked, locked], separators=(",", ":"))
        assert lock["digest"] == "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    def test_helm_agrees_with_the_lock(self, run_helm, tmp_path):
        """With dependencies that helm can reach: the same digest as the one computed above."""
        (tmp_path / "part").mkdir()
        (tmp_path / "part" / "Chart.yaml").write_text(
            "apiVersion: v2\nname: part\nversion: 1.0.0\n"
        )
        (tmp_path / "whole").mkdir()
        asked = {"name": "part", "version": "1.0.0", "repository": "file://../part",
                 "condition": "install.part", "alias": "partChart"}  # fmt: skip
        about = {"apiVersion": "v2", "name": "whole", "version": "1.0.0", "dependencies": [asked]}
        (tmp_path / "whole" / "Chart.yaml").write_text(yaml.safe_dump(about))
        done = run_helm("dependency", "update", tmp_path / "whole")
        assert done.returncode == 0, done.stderr
        locked = {key: asked[key] for key in ("name", "version", "repository")}
        text = json.dumps([[asked], [locked]], separators=(",", ":"))
        lock = yaml.safe_load((tmp_path / "whole" / "Chart.lock").read_text())
        assert lock["digest"] == "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    def test_make_fetches_them_as_the_lock_says(self, run_helm, root, tmp_path, monkeypatch):
        """From a repository of our own: those of the real ones are not reached by tests."""
        for name in ("CONFIG", "CACHE", "DATA"):
            monkeypatch.setenv(f"HELM_{name}_HOME", str(tmp_path / name))
        part, served, whole = (tmp_path / name for name in ("part", "served", "whole"))
        for folder in (part, served, whole):
            folder.mkdir()
        (part / "Chart.yaml").write_text("apiVersion: v2\nname: part\nversion: 1.0.0\n")
        assert run_helm("package", part, "--destination", served).returncode == 0
        assert run_helm("repo", "index", served).returncode == 0
        handler = functools.partial(SimpleHTTPRequestHandler, directory=str(served))
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        asked = {"name": "part", "version": "1.0.0", "repository": url}
        about = {"apiVersion": "v2", "name": "whole", "version": "1.0.0", "dependencies": [asked]}
        (whole / "Chart.yaml").write_text(yaml.safe_dump(about))

        def make():
            return subprocess.run(
                ["make", "--directory", root, "chart-dependencies", f"CHART={whole}"],
                capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip

        try:
            assert run_helm("dependency", "update", whole).returncode == 0
            (whole / "charts" / "part-1.0.0.tgz").unlink()
            done = make()
            assert done.returncode == 0, done.stderr
            assert (whole / "charts" / "part-1.0.0.tgz").is_file()
            lock = whole / "Chart.lock"
            lock.write_text(lock.read_text().replace("sha256:", "sha256:0"))
            assert "out of sync" in make().stderr
        finally:
            server.shutdown()
            server.server_close()

    @pytest.mark.parametrize("item", dependencies(), ids=lambda item: item["name"])
    def test_each_is_left_out_unless_asked_for(self, render, item):
        name = item.get("alias", item["name"])
        assert not find(render(), "DependencyValues", name)
        part = item["condition"]
        assert part.removeprefix("install.") in INSTALLABLE
        assert find(render(None, f"{part}=true", *AIRFLOW_KEYS), "DependencyValues", name)

    def test_our_own_stores_are_left_out_unless_asked_for(self, render):
        assert not find(render(), "StatefulSet") and not find(render(), "Deployment")
        for name in ("mongodb", "s3"):
            assert only(render(None, f"install.{name}=true"), "StatefulSet", name)
        assert only(render(None, "install.mlflow=true"), "Deployment", "mlflow")

    def test_versions_of_stores_are_those_of_compose(self, render):
        compose = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]
        manifests = render(DEV)
        for service, maker in (("mongodb", "StatefulSet"), ("s3", "StatefulSet")):
            container = only(manifests, maker, service)["spec"]["template"]["spec"]["containers"][0]
            assert container["image"] == compose[service]["image"]
        tag = given(manifests, "qdrant")["image"]["tag"]
        assert compose["qdrant"]["image"].endswith(f":{tag}")


class TestAddresses:
    """What is installed is what jobs are pointed to; what is not is looked for elsewhere."""

    @pytest.mark.parametrize(
        ("part", "setting", "port"),
        [("qdrant", "TWIN_INDEX_URL", 6333), ("mlflow", "TWIN_MLFLOW_TRACKING_URI", 5000)],
    )
    def test_they_follow_what_is_installed(self, render, part, setting, port):
        def address(*sets):
            return find(render(None, *sets), "ConfigMap", "twin-settings")[0]["data"][setting]

        assert address() == f"http://{part}.stores.svc.cluster.local:{port}"
        assert address(f"settings.{setting}=http://x:1") == "http://x:1"
        assert address(f"install.{part}=true") == f"http://{part}.twin.svc.cluster.local:{port}"

    def test_a_setting_can_be_left_to_the_jobs(self, render):
        data = find(render(None, "settings.TWIN_INDEX_URL=null"), "ConfigMap")[0]["data"]
        assert "TWIN_INDEX_URL" not in data

    def test_services_bear_the_names_that_settings_and_connections_use(self, render):
        manifests = render(DEV)
        services = {item["metadata"]["name"] for item in find(manifests, "Service")}
        assert services == {"mongodb", "mlflow", "s3"}
        assert given(manifests, "qdrant")["fullnameOverride"] == "qdrant"


class TestAirflow:
    def test_it_runs_pods_of_the_same_build_in_the_namespace_of_jobs(self, render):
        data = only(render(DEV), "ConfigMap", "twin-airflow")["data"]
        assert data["AIRFLOW__TWIN__RUNTIME"] == "kubernetes"
        assert data["AIRFLOW__TWIN__NAMESPACE"] == "twin-jobs"
        assert data["AIRFLOW__TWIN__IMAGE_REPOSITORY"] == "llm-twin"
        assert data["AIRFLOW__TWIN__IMAGE_TAG"] == "dev"
        assert data["AIRFLOW__TWIN__FILES_URI"] == "s3://aws_default@twin"
        assert data["AIRFLOW__TWIN__GPUS"] == "false"
        production = only(render(PRODUCTION), "ConfigMap", "twin-airflow")["data"]
        assert production["AIRFLOW__TWIN__IMAGE_TAG"] == "v0.2.0"
        files = "s3://aws_default@example-llm-twin/production"
        assert production["AIRFLOW__TWIN__FILES_URI"] == files

    def test_its_page_knows_the_endpoint_and_where_people_find_what_it_links_to(self, render):
        data = only(render(PRODUCTION), "ConfigMap", "twin-airflow")["data"]
        assert data["AIRFLOW__TWIN__ENDPOINT_URL"].endswith(".svc.cluster.local:8000")
        assert data["AIRFLOW__TWIN__MLFLOW_UI_URL"] == "https://mlflow.twin.example.com"
        (ingress,) = [
            each
            for each in find(render(PRODUCTION), "Ingress")
            if each["metadata"]["name"] != "airflow"
        ]
        host = ingress["spec"]["rules"][0]["host"]
        assert data["AIRFLOW__TWIN__CHAT_URL"] == f"https://{host}"
        inside = only(render(DEV, "ingress.enabled=false"), "ConfigMap", "twin-airflow")["data"]
        assert "AIRFLOW__TWIN__CHAT_URL" not in inside
        sets = ("ingress.enabled=false", "gateway.enabled=true", "gateway.host=twin.example")
        gateway = only(
            render(DEV, *sets, "gateway.parentRefs[0].name=public"), "ConfigMap", "twin-airflow"
        )["data"]
        assert gateway["AIRFLOW__TWIN__CHAT_URL"] == "https://twin.example"

    def test_its_settings_are_options_of_the_project(self, render):
        runtime = (ROOT / "include" / "runtime.py").read_text()
        options = set(re.findall(r"^    (\w+): .+ = ", runtime, re.MULTILINE))
        assert {"runtime", "files_uri"} <= options
        for values in (DEV, STAGING, PRODUCTION):
            data = only(render(values), "ConfigMap", "twin-airflow")["data"]
            named = {name for name in data if name.startswith("AIRFLOW__TWIN__")}
            assert {name.removeprefix("AIRFLOW__TWIN__").lower() for name in named} <= options

    def test_task_logs_go_to_the_bucket_if_one_is_named(self, render):
        data = only(render(PRODUCTION), "ConfigMap", "twin-airflow")["data"]
        assert data["AIRFLOW__LOGGING__REMOTE_LOGGING"] == "True"
        folder = data["AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER"]
        assert folder == "s3://example-llm-twin/production/logs"
        assert data["AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID"] == "aws_default"
        without = only(
            render(None, "install.airflow=true", *AIRFLOW_KEYS), "ConfigMap", "twin-airflow"
        )["data"]
        assert not any("LOGGING" in name for name in without)

    def test_every_component_reads_config_map_and_secret(self, render):
        environment = only(render(DEV), "DependencyValues", "airflowChart")["environment"]
        assert environment == [
            {"configMapRef": {"name": "twin-airflow"}},
            {"secretRef": {"name": "twin-airflow"}},
        ]

    def test_the_official_chart_gives_it_no_rights(self, render):
        values = given(render(PRODUCTION), "airflowChart")
        assert (
            values["rbac"] == {"create": False, "createSCCRoleBinding": False}
            or not (values["rbac"]["create"])
        )
        assert values["allowPodLaunching"] is False

    @pytest.mark.parametrize("values", [DEV, STAGING, PRODUCTION], ids=lambda path: path.stem)
    def test_scheduler_and_triggerer_may_start_jobs_and_nobody_else(self, render, values):
        manifests = render(values)
        accounts = given(manifests, "airflowChart")
        subjects = only(manifests, "RoleBinding", "twin-airflow")["subjects"]
        assert subjects == [
            {
                "kind": "ServiceAccount",
                "name": accounts[part]["serviceAccount"]["name"],
                "namespace": "twin",
            }
            for part in ("scheduler", "triggerer")
        ]
        others = {"apiServer", "dagProcessor"}
        for part in others:
            assert accounts[part]["serviceAccount"]["automountServiceAccountToken"] is False

    def test_it_is_the_airflow_in_the_image(self, render):
        version = given(render(DEV), "airflowChart")["airflowVersion"]
        assert f"\napache-airflow=={version} " in (ROOT / "requirements.txt").read_text()

    def test_images_of_airflow_and_of_jobs_are_of_one_build(self, render):
        for values in (DEV, STAGING, PRODUCTION):
            manifests = render(values)
            data = only(manifests, "ConfigMap", "twin-airflow")["data"]
            airflow = given(manifests, "airflowChart")
            assert airflow["defaultAirflowTag"] == data["AIRFLOW__TWIN__IMAGE_TAG"]
            repository = data["AIRFLOW__TWIN__IMAGE_REPOSITORY"]
            assert airflow["defaultAirflowRepository"] == f"{repository}/airflow"

    def test_airflow_is_told_the_digests_of_the_jobs_images(self, render):
        crawl, mlflow = "sha256:" + "c" * 64, "sha256:" + "d" * 64
        made = render(DEV, f"images.digests.crawl={crawl}", f"images.digests.mlflow={mlflow}")
        data = only(made, "ConfigMap", "twin-airflow")["data"]
        # `[twin] image_digests` splits it at commas; see tests/include/test_runtime.py.
        assert data["AIRFLOW__TWIN__IMAGE_DIGESTS"] == f"crawl={crawl},mlflow={mlflow}"
        images = [
            container["image"]
            for one in made
            if one["kind"] == "Deployment"
            for container in one["spec"]["template"]["spec"]["containers"]
        ]
        assert any(image.endswith(f"/mlflow@{mlflow}") for image in images)
        assert (
            "AIRFLOW__TWIN__IMAGE_DIGESTS"
            not in only(render(DEV), "ConfigMap", "twin-airflow")["data"]
        )

    def test_nothing_calls_scripts_that_the_image_lacks(self, render):
        """The chart's defaults are those of the public image: /entrypoint and /clean-logs."""
        values = given(render(DEV), "airflowChart")
        for part in ("scheduler", "triggerer", "dagProcessor"):
            assert values[part]["livenessProbe"]["command"][:2] == ["bash", "-c"]
            assert (
                values[part]["logGroomerSidecar"] == {"enabled": False}
                or not (values[part]["logGroomerSidecar"]["enabled"])
            )

    @pytest.mark.parametrize(
        ("missing", "says"),
        [
            (0, "airflowChart.jwtSecretName: name a Secret"),
            (1, "give Airflow's database a password of your own"),
        ],
    )
    def test_what_would_be_known_to_all_or_new_with_each_upgrade_is_refused(
        self, run_helm, chart, missing, says
    ):
        kept = [item for number, item in enumerate(AIRFLOW_KEYS) if number != missing]
        sets = ",".join(("install.airflow=true", *kept))
        done = run_helm("template", "t", chart, "--set", sets)
        assert done.returncode != 0 and says in done.stderr

    @every_values_file
    def test_the_password_of_airflows_database_is_the_same_on_both_ends(self, render, values):
        for item in find(render(values), "DependencyValues", "airflowChart"):
            own = item["values"]
            if password := own.get("data", {}).get("metadataConnection", {}).get("pass"):
                assert own["postgresql"]["auth"]["postgresPassword"] == password != "postgres"
            else:
                assert own["data"]["metadataSecretName"]

    def migrate(self, render, tmp_path, *, pool_there: bool, values=PRODUCTION) -> list[str]:
        """Run what the migration job runs, with a stand-in for `airflow`; the commands it got."""
        manifests = render(values)
        told = tmp_path / "told"
        program = tmp_path / "airflow"
        program.write_text(
            f'#!/bin/bash\necho "$*" >> {told}\n'
            f'[ "$1 $2" != "pools get" ] || exit {0 if pool_there else 1}\n'
        )
        program.chmod(0o755)
        command = given(manifests, "airflowChart")["migrateDatabaseJob"]["args"]
        slots = only(manifests, "ConfigMap", "twin-airflow")["data"]["TWIN_GPU_SLOTS"]
        subprocess.run(
            command, check=True, timeout=60,
            env={"PATH": f"{tmp_path}:/usr/bin:/bin", "TWIN_GPU_SLOTS": slots},
        )  # fmt: skip
        return told.read_text().splitlines()

    def test_the_pool_of_gpus_is_made_once_and_counts_deferred_tasks(self, render, tmp_path):
        migrate, get, pool = self.migrate(render, tmp_path, pool_there=False)
        assert (migrate, get) == ("db migrate", "pools get gpu")
        assert re.fullmatch(r"pools set gpu 4 .+ --include-deferred", pool)

    def test_a_pool_that_somebody_has_sized_is_left_alone(self, render, tmp_path):
        commands = self.migrate(render, tmp_path, pool_there=True)
        assert commands == ["db migrate", "pools get gpu"]

    def test_the_pool_has_a_slot_a_gpu_of_the_queue(self, render):
        manifests = render(PRODUCTION)
        (group,) = only(manifests, "ClusterQueue")["spec"]["resourceGroups"]
        gpus = sum(
            int(item["nominalQuota"])
            for flavor in group["flavors"]
            for item in flavor["resources"]
            if item["name"] == "nvidia.com/gpu"
        )
        slots = only(manifests, "ConfigMap", "twin-airflow")["data"]["TWIN_GPU_SLOTS"]
        assert int(slots) == gpus


class TestCloud:
    """Production reaches buckets by roles of service accounts, and holds no key."""

    def test_every_account_that_reaches_the_bucket_has_a_role(self, render):
        manifests = render(PRODUCTION)
        for item in find(manifests, "ServiceAccount"):
            role = item["metadata"]["annotations"]["eks.amazonaws.com/role-arn"]
            assert role.startswith("arn:aws:iam::")
        airflow = given(manifests, "airflowChart")
        for part in ("scheduler", "triggerer", "apiServer"):
            annotations = airflow[part]["serviceAccount"]["annotations"]
            assert annotations["eks.amazonaws.com/role-arn"].endswith("role/twin-airflow")

    @pytest.mark.parametrize("values", [STAGING, PRODUCTION], ids=lambda path: path.stem)
    def test_no_secret_is_in_the_values(self, render, values):
        manifests = render(values)
        assert not find(manifests, "Secret")
        text = values.read_text()
        assert "AWS_SECRET_ACCESS_KEY" not in text and "source: external" in text


class TestMlflow:
    def test_sqlite_is_for_one_server(self, run_helm, chart):
        sets = "install.mlflow=true,mlflow.autoscaling.enabled=true"
        done = run_helm("template", "t", chart, "--set", sets)
        assert done.returncode != 0 and "several servers cannot share" in done.stderr

    def test_the_registry_outlives_the_release(self, render):
        claim = only(render(None, "install.mlflow=true"), "PersistentVolumeClaim", "mlflow")
        assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"

    def test_it_answers_to_the_name_that_jobs_use(self, render):
        manifests = render(DEV)
        address = find(manifests, "ConfigMap", "twin-settings")[0]["data"]
        host = address["TWIN_MLFLOW_TRACKING_URI"].removeprefix("http://")
        deployment = only(manifests, "Deployment", "mlflow")["spec"]["template"]["spec"]
        environment = {
            item["name"]: item.get("value") for item in deployment["containers"][0]["env"]
        }
        assert host in environment["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
        assert environment["MLFLOW_BACKEND_STORE_URI"].startswith("sqlite:////data/")

    def test_production_runs_two_on_a_database(self, render):
        manifests = render(PRODUCTION)
        assert only(manifests, "HorizontalPodAutoscaler", "mlflow")["spec"]["minReplicas"] == 2
        assert not find(manifests, "PersistentVolumeClaim")
        container = only(manifests, "Deployment", "mlflow")["spec"]["template"]["spec"][
            "containers"
        ][0]
        (uri,) = (item for item in container["env"] if item["name"] == "MLFLOW_BACKEND_STORE_URI")
        assert uri["valueFrom"]["secretKeyRef"]["name"] == "twin-stores"


class TestIndex:
    def test_production_loses_a_server_and_no_shard(self, render):
        values = given(render(PRODUCTION), "qdrant")
        copies = values["config"]["storage"]["collection"]["replication_factor"]
        away = values["podDisruptionBudget"]["maxUnavailable"]
        assert away < copies <= values["replicaCount"]
        spread = {item["topologyKey"]: item for item in values["topologySpreadConstraints"]}
        assert spread["kubernetes.io/hostname"]["whenUnsatisfiable"] == "DoNotSchedule"
        assert "topology.kubernetes.io/zone" in spread
        for item in spread.values():
            assert item["labelSelector"]["matchLabels"]["app.kubernetes.io/instance"] == "twin"


class TestPriorities:
    def test_serving_outranks_stores_and_jobs_have_none(self, render):
        manifests = render(PRODUCTION)
        values = {
            item["metadata"]["name"]: item["value"] for item in find(manifests, "PriorityClass")
        }
        assert values["twin-serving"] > values["twin-stores"] > 0
        for pod in pods(manifests):
            name = pod["metadata"]["labels"]["app.kubernetes.io/name"]
            wanted = {"twin-serving": "twin-serving", "twin-job": None}.get(name, "twin-stores")
            assert pod["spec"].get("priorityClassName") == wanted
        assert given(manifests, "qdrant")["priorityClassName"] == "twin-stores"

    def test_an_existing_class_may_be_named(self, render):
        (service,) = find(render(None, "serving.priorityClassName=gold"), "RayService")
        head = service["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]
        assert head["priorityClassName"] == "gold"


class TestKueue:
    def test_jobs_wait_in_the_queue_of_their_namespace(self, render):
        manifests = render(PRODUCTION)
        local = only(manifests, "LocalQueue", "default")
        assert local["metadata"]["namespace"] == "twin-jobs"
        queue = only(manifests, "ClusterQueue", local["spec"]["clusterQueue"])
        (group,) = queue["spec"]["resourceGroups"]
        flavors = {item["metadata"]["name"] for item in find(manifests, "ResourceFlavor")}
        assert {item["name"] for item in group["flavors"]} == flavors
        for item in group["flavors"]:
            assert [one["name"] for one in item["resources"]] == group["coveredResources"]

    def test_the_gpu_flavor_is_the_pool_of_the_gpu_profile(self, render):
        flavor = only(render(PRODUCTION), "ResourceFlavor", "twin-gpu")["spec"]
        for name in gpu_profiles():
            gpu = profiles()[name]["spec"]
            assert flavor["nodeLabels"] == gpu["nodeSelector"]
            assert all(one in gpu["tolerations"] for one in flavor["tolerations"])

    def test_flavors_that_name_other_resources_are_refused(self, run_helm, chart):
        flavors = '[{"name": "a", "quota": {"cpu": 1}}, {"name": "b", "quota": {"memory": 1}}]'
        sets = f"kueue.flavors={flavors}"
        done = run_helm("template", "t", chart, "--set", "kueue.enabled=true", "--set-json", sets)
        assert done.returncode != 0 and "Kueue wants the same resources in each" in done.stderr


class TestGpuRules:
    POOL = (
        "serving.workers.resources.limits.nvidia\\.com/gpu=1",
        "serving.workers.resources.requests.nvidia\\.com/gpu=1",
        "serving.workers.nodeSelector.pool=gpu",
        "serving.workers.tolerations[0].key=nvidia.com/gpu",
    )

    def test_all_of_it_is_taken(self, render):
        assert render(None, *self.POOL)

    @pytest.mark.parametrize(
        ("missing", "says"),
        [
            (0, "must stand in requests and limits"),
            (1, "must stand in requests and limits"),
            (2, "serving.workers.nodeSelector: name the node pool"),
            (3, "serving.workers.tolerations: tolerate nvidia.com/gpu"),
        ],
    )
    def test_a_part_of_it_is_refused(self, run_helm, chart, missing, says):
        sets = [item for number, item in enumerate(self.POOL) if number != missing]
        done = run_helm("template", "t", chart, *(word for one in sets for word in ("--set", one)))
        assert done.returncode != 0 and says in done.stderr

    def test_the_engines_of_vllm_keep_the_same_rules(self, run_helm, chart):
        sets = ("serving.engines.enabled=true", "serving.engines.tolerations=null")
        done = run_helm("template", "t", chart, *(word for one in sets for word in ("--set", one)))
        assert "serving.engines.tolerations: tolerate nvidia.com/gpu" in done.stderr


class TestAlerts:
    @pytest.fixture
    def rules(self, render):
        groups = only(render(PRODUCTION), "PrometheusRule")["spec"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def test_there_are_none_by_default(self, render):
        assert not find(render(), "PrometheusRule")

    def test_expressions_parse(self, rules, root: Path):
        """By Prometheus' own grammar."""
        python = root / ".venvs" / "tools" / "bin" / "python"
        program = (
            "import json, sys, promql_parser\n"
            "for expression in json.load(sys.stdin): promql_parser.parse(expression)\n"
        )

        def parse(*expressions):
            return subprocess.run(
                [python, "-c", program], input=json.dumps(expressions), text=True,
                capture_output=True, timeout=60, check=False,
            )  # fmt: skip

        done = parse(*(rule["expr"] for rule in rules))
        assert done.returncode == 0, done.stderr
        assert parse("sum(rate(x[5m])").returncode != 0

    def test_each_says_how_bad_it_is_and_what_to_do(self, rules):
        assert len({rule["alert"] for rule in rules}) == len(rules) >= 9
        for rule in rules:
            assert rule["labels"]["severity"] in {"critical", "warning"}
            assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
            assert rule["annotations"]["runbook_url"].endswith("#" + rule["alert"].lower())

    def test_metrics_of_serve_are_ones_that_ray_exports(self, rules):
        import ray.serve

        source = "".join(
            path.read_text() for path in Path(ray.serve.__file__).parent.rglob("*.py")
        ).replace("{protocol_name}", "http")
        exported = set(re.findall(r'"(serve_\w+)"', source))
        used = {
            name
            for rule in rules
            for name in re.findall(r"ray_(serve_\w+?)(?:_total|_bucket)?\{", rule["expr"])
        }
        assert len(used) >= 4
        # Written by helm as f"serve_{protocol}_request_latency_ms" is in Ray.
        assert used <= exported | {"serve_http_request_latency_ms"}
        assert "request_latency_ms" in source

    def test_metrics_of_the_twin_are_ones_that_its_code_measures(self, rules):
        used = {name for rule in rules for name in twins_metrics(rule["expr"])}
        assert used == {"ray_twin_answers_dropped_total", "ray_twin_spans_dropped_total"}
        assert used <= measured()

    def test_a_job_out_of_memory_is_told_by_what_outlives_its_pod(self, rules, render):
        """Airflow's exporter writes dots of a metric as underscores, after its own name."""
        source = (ROOT / "include" / "job_endings.py").read_text()
        (metric,) = re.findall(r'^OUT_OF_MEMORY = "([a-z._]+)"', source, re.MULTILINE)
        (rule,) = (rule for rule in rules if rule["alert"] == "TwinJobOutOfMemory")
        assert f"airflow_{metric.replace('.', '_')}{{" in rule["expr"]
        assert not any("terminated_reason" in rule["expr"] for rule in rules)
        without = render(PRODUCTION, "serviceMonitor.enabled=false")
        groups = only(without, "PrometheusRule")["spec"]["groups"]
        assert "TwinJobOutOfMemory" not in str(groups)

    def test_each_looks_at_its_own_namespace_only(self, rules):
        for rule in rules:
            for selector in re.findall(r"\{([^}]*)\}", rule["expr"]):
                assert re.search(r'namespace="twin(-jobs)?"', selector)

    def test_thresholds_are_values(self, render, tmp_path):
        values = tmp_path / "values.yaml"
        values.write_text("alerts: {enabled: true, errorShare: 0.2, latencySeconds: 2}")
        groups = only(render(values), "PrometheusRule")["spec"]["groups"]
        text = "\n".join(rule["expr"] for group in groups for rule in group["rules"])
        assert "> 0.2" in text and "> 2000" in text
        assert [group["name"] for group in groups] == ["llm-twin.endpoint", "llm-twin.jobs"]


class TestMonitors:
    def test_airflows_needs_its_exporter(self, run_helm, chart):
        sets = ",".join(("serviceMonitor.enabled=true", "install.airflow=true", *AIRFLOW_KEYS))
        done = run_helm("template", "t", chart, "--set", sets)
        assert done.returncode != 0 and "airflowChart.statsd.enabled" in done.stderr

    def test_production_has_all_of_them(self, render):
        manifests = render(PRODUCTION)
        (monitor,) = find(manifests, "ServiceMonitor")
        assert monitor["spec"]["selector"]["matchLabels"]["component"] == "statsd"
        assert only(manifests, "PodMonitor")["metadata"]["labels"]["release"] == "prometheus"
        for chart in ("qdrant", "kuberay-operator"):
            assert given(manifests, chart)["metrics"]["serviceMonitor"]["enabled"] is True


def twins_metrics(expression: str) -> set[str]:
    """Names of the twin's own metrics in an expression."""
    return set(re.findall(r"ray_twin_\w+", expression))


def measured() -> set[str]:
    """Names of all that the code measures, as Ray exports them."""
    from twin.serving.metrics import MEASURES

    suffixes = {"counter": ("total",), "histogram": ("bucket", "sum", "count")}
    return {f"ray_{one.name}_{end}" for one in MEASURES for end in suffixes[one.kind]}


class TestDashboard:
    @pytest.fixture
    def dashboard(self, render):
        return only(render(PRODUCTION), "ConfigMap", "twin-llm-twin-dashboard")

    @pytest.fixture
    def board(self, dashboard):
        return json.loads(dashboard["data"]["llm-twin.json"])

    @pytest.fixture
    def expressions(self, board):
        return [target["expr"] for panel in board["panels"] for target in panel["targets"]]

    def test_grafana_finds_it_by_its_label(self, dashboard, render):
        assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert not [
            one for one in find(render(), "ConfigMap") if "dashboard" in one["metadata"]["name"]
        ]

    def test_it_shows_each_metric_that_the_code_measures_and_no_other(self, board, expressions):
        used = set().union(*map(twins_metrics, expressions))
        assert used <= measured()
        from twin.serving.metrics import MEASURES

        shown = "\n".join(expressions)
        assert [one.name for one in MEASURES if f"ray_{one.name}_" not in shown] == []
        for variable in board["templating"]["list"][1:]:
            assert twins_metrics(variable["query"]["query"]) <= measured()

    def test_serves_own_metrics_are_ones_that_ray_exports(self, expressions):
        import ray.serve

        source = "".join(path.read_text() for path in Path(ray.serve.__file__).parent.rglob("*.py"))
        used = {name for one in expressions for name in re.findall(r"ray_(serve_\w+)", one)}
        assert used
        for name in used:
            assert f'"{name}"' in source

    def test_labels_are_those_that_are_measured(self, expressions):
        from twin.serving.metrics import MEASURES

        labels = {label for one in MEASURES for label in one.labels}
        of_cluster = {"namespace", "le", "application", "deployment"}
        for one in expressions:
            for selector in re.findall(r"\{([^}]*)\}", one):
                assert 'namespace="$namespace"' in selector
                assert set(re.findall(r'(\w+)=~?"', selector)) <= labels | of_cluster
            for grouped in re.findall(r"by \(([^)]*)\)", one):
                assert set(grouped.split(", ")) <= labels | of_cluster

    def test_expressions_parse(self, expressions, root: Path):
        """By Prometheus' own grammar, with an interval as Grafana puts it in."""
        python = root / ".venvs" / "tools" / "bin" / "python"
        program = (
            "import json, sys, promql_parser\n"
            "for expression in json.load(sys.stdin): promql_parser.parse(expression)\n"
        )
        filled = [one.replace("$__rate_interval", "5m") for one in expressions]
        done = subprocess.run(
            [python, "-c", program], input=json.dumps(filled), text=True,
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def test_panels_do_not_overlap(self, board):
        places = [tuple(panel["gridPos"].values()) for panel in board["panels"]]
        assert len({(x, y) for _, _, x, y in places}) == len(places)
        assert len({panel["id"] for panel in board["panels"]}) == len(places)


class Endpoint(BaseHTTPRequestHandler):
    """Answers as the endpoint does to somebody with the key ``right``."""

    open_to_all = False
    models = ()
    answers = True

    def do_GET(self):
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        good = self.path == "/healthz" or key == "right" or self.open_to_all
        self.send_response(200 if good else 401)
        self.end_headers()
        if good:
            data = [{"id": name} for name in self.models]
            self.wfile.write(json.dumps({"data": data}).encode())

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        right = self.headers["Authorization"] == "Bearer right"
        asked = body["model"] in self.models and body["messages"][0]["content"]
        good = self.path == "/v1/chat/completions" and right and asked and self.answers
        self.send_response(200 if good else 503)
        self.end_headers()

    def log_message(self, *args):
        pass


class TestHelmTests:
    """Pods of `helm test`: what they run, run here."""

    def script(self, render, name, values=None):
        pod = only(render(values), "Pod", f"twin-test-{name}")
        *command, program = pod["spec"]["containers"][0]["args"]
        assert command == ["python", "-c"]
        return program

    def run(self, program, **environment):
        return subprocess.run(
            [sys.executable, "-c", program], env={"PATH": "/usr/bin", **environment},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    @every_values_file
    def test_they_run_as_jobs_do(self, render, values):
        manifests = render(values)
        accounts = {
            (item["metadata"]["namespace"], item["metadata"]["name"])
            for item in find(manifests, "ServiceAccount")
        }
        found = find(manifests, "Pod")
        assert {pod["metadata"]["name"] for pod in found} == {
            "twin-test-stores",
            "twin-test-endpoint",
        }
        for pod in found:
            assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
            assert (pod["metadata"]["namespace"], pod["spec"]["serviceAccountName"]) in accounts

    def test_they_can_be_left_out(self, render):
        assert not find(render(None, "tests.enabled=false"), "Pod")

    @pytest.fixture
    def endpoint(self):
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Endpoint,), {}))
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
        server.server_close()

    def ask(self, render, port, key):
        url = f"http://127.0.0.1:{port}"
        return self.run(
            self.script(render, "endpoint"),
            TWIN_ENDPOINT_URL=url,
            TWIN_API_KEYS=f"{key}, other",
            SECONDS_TO_COME_UP="1",
        )

    def test_endpoint_that_lives_and_keeps_strangers_out(self, render, endpoint):
        done = self.ask(render, endpoint.server_port, "right")
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count(": yes") == 3

    def test_each_model_is_asked_a_question(self, render, endpoint):
        endpoint.RequestHandlerClass.models = ("twin-handbook", "twin-jane")
        done = self.ask(render, endpoint.server_port, "right")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "twin-handbook answers: yes" in done.stdout
        assert "twin-jane answers: yes" in done.stdout
        endpoint.RequestHandlerClass.answers = False
        done = self.ask(render, endpoint.server_port, "right")
        assert done.returncode == 1
        assert "twin-jane answers: NO: 503 instead of 200" in done.stdout

    def test_endpoint_with_another_key(self, render, endpoint):
        done = self.ask(render, endpoint.server_port, "wrong")
        assert done.returncode == 1
        assert "a caller with a key is served: NO: 401 instead of 200" in done.stdout

    def test_endpoint_open_to_all(self, render, endpoint):
        endpoint.RequestHandlerClass.open_to_all = True
        done = self.ask(render, endpoint.server_port, "right")
        assert done.returncode == 1
        assert "a caller without a key is refused: NO: 200 instead of 401" in done.stdout

    def test_endpoint_that_is_not_there(self, render, endpoint):
        done = self.ask(render, 1, "right")
        assert done.returncode == 1 and "it lives: NO: " in done.stdout

    def test_stores_that_all_answer(self, render, endpoint, tmp_path):
        endpoint.RequestHandlerClass.open_to_all = True  # stands in for Qdrant and MLflow
        url = f"http://127.0.0.1:{endpoint.server_port}"
        with servers.warehouse_server(tmp_path / "warehouse") as (uri, _, _):
            done = self.run(
                self.script(render, "stores"),
                TWIN_MONGO_URI=uri,
                TWIN_INDEX_URL=url,
                TWIN_MLFLOW_TRACKING_URI=url,
                TWIN_FILES_URI=str(tmp_path),
                HOME=str(tmp_path),
            )
        assert done.returncode == 0, done.stdout + done.stderr
        lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
        assert lines["warehouse"] == "0 documents"
        assert lines["index"] == f"200 from {url}/collections"
        assert lines["mlflow"] == f"200 from {url}/health"

    def test_stores_that_do_not_answer_are_each_named(self, render, tmp_path):
        done = self.run(
            self.script(render, "stores"),
            TWIN_MONGO_URI="mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=500",
            TWIN_INDEX_URL="http://127.0.0.1:1",
            TWIN_MLFLOW_TRACKING_URI="http://127.0.0.1:1",
            TWIN_FILES_URI=str(tmp_path),
            HOME=str(tmp_path),
        )
        assert done.returncode == 1
        lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
        assert lines["files"] == f"0 names in {tmp_path}"
        for store in ("warehouse", "index", "mlflow"):
            assert lines[store].startswith("NO ANSWER")


@every_values_file
def test_only_what_belongs_to_the_whole_cluster_reaches_beyond_a_namespace(render, values):
    wide = {item["kind"] for item in render(values) if "namespace" not in item["metadata"]}
    expected = {"Namespace"}
    if values == PRODUCTION:
        expected |= {"PriorityClass", "ResourceFlavor", "ClusterQueue"}
    assert wide <= expected
