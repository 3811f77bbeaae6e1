"""What the chart brings beside serving: Airflow, stores, queues, priorities."""

import re
import subprocess

import pytest

from tests.helm.manifests import (
    AIRFLOW_KEYS,
    DEV,
    PRODUCTION,
    ROOT,
    STAGING,
    every_values_file,
    find,
    given,
    gpu_profiles,
    only,
    pods,
    profiles,
)


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
            if each["metadata"]["name"] not in ("airflow", "mlflow")
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


@every_values_file
def test_only_what_belongs_to_the_whole_cluster_reaches_beyond_a_namespace(render, values):
    wide = {item["kind"] for item in render(values) if "namespace" not in item["metadata"]}
    expected = {"Namespace"}
    if values == PRODUCTION:
        expected |= {"PriorityClass", "ResourceFlavor", "ClusterQueue"}
    assert wide <= expected
