"""The Compose file is valid, asks for its secrets, and starts things in an order that works."""

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.conftest import ROOT
from tests.images.test_dockerfiles import hashed, lineage, stages
from twin.settings import Settings

COMPOSE = ROOT / "docker-compose.yaml"
GPU = ROOT / "docker-compose.gpu.yaml"
FILES = pytest.mark.parametrize("path", [COMPOSE, GPU], ids=lambda path: path.name)
VARIABLE = re.compile(
    r"\$\{(?P<name>[A-Z][A-Z0-9_]*)(?P<operator>:\?|:-)?(?P<rest>[^}]*)\}|(?P<escaped>\$\$)"
)

SECRETS = {
    "POSTGRES_PASSWORD", "MONGO_PASSWORD", "QDRANT_API_KEY", "S3_SECRET_KEY",
    "AIRFLOW_ADMIN_PASSWORD", "AIRFLOW_FERNET_KEY", "AIRFLOW_SECRET_KEY", "AIRFLOW_JWT_SECRET",
    "TWIN_API_KEYS",
}  # fmt: skip


def example() -> dict[str, str]:
    """Variables of .env.example."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    pairs = (line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return dict(pairs)


def filled() -> dict[str, str]:
    """The same with every empty secret filled in."""
    return {name: value or f"secret-of-{name.lower()}" for name, value in example().items()}


def resolve(environment: dict[str, str], path: Path = COMPOSE) -> dict[str, Any]:
    """A Compose file with its variables put in, as `docker compose config` does.

    Raises:
        KeyError: a variable that must be given is not.
    """

    def put_in(match: "re.Match[str]") -> str:
        if match["escaped"]:
            return "$"
        value = environment.get(match["name"], "")
        if value:
            return value
        if match["operator"] == ":-":
            return match["rest"]
        raise KeyError(match["name"])

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: walk(value) for key, value in node.items()}
        if isinstance(node, list):
            return [walk(value) for value in node]
        return VARIABLE.sub(put_in, node) if isinstance(node, str) else node

    document = yaml.safe_load(path.read_text())
    return walk({key: value for key, value in document.items() if not key.startswith("x-")})


@cache
def compose() -> dict[str, Any]:
    return resolve(filled())


def services() -> dict[str, dict[str, Any]]:
    return compose()["services"]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The Compose specification's own schema."""
    path = ROOT / ".venvs" / "tools" / "compose.schema.json"
    assert path.is_file(), "no schema of Compose: `make tools` fetches it"
    return json.loads(path.read_text())


@FILES
def test_file_is_valid(path, schema):
    jsonschema.validate(resolve(filled(), path), schema)


def test_schema_would_notice_a_misspelt_key(schema):
    broken = json.loads(json.dumps(compose()))
    broken["services"]["mlflow"]["heathcheck"] = broken["services"]["mlflow"].pop("healthcheck")
    with pytest.raises(jsonschema.ValidationError, match="heathcheck"):
        jsonschema.validate(broken, schema)


def doubled(node: yaml.Node) -> list[str]:
    """Keys that a mapping has twice: Compose refuses them, the reader here keeps the last."""
    if isinstance(node, yaml.SequenceNode):
        return [key for item in node.value for key in doubled(item)]
    if not isinstance(node, yaml.MappingNode):
        return []
    keys = [key.value for key, _ in node.value]
    below = [key for _, value in node.value for key in doubled(value)]
    return below + [key for key in set(keys) if keys.count(key) > 1]


@FILES
def test_no_key_is_there_twice(path):
    assert doubled(yaml.compose(path.read_text())) == []


def test_a_key_that_is_there_twice_is_found():
    assert doubled(yaml.compose("services: {a: {b: 1, c: 2, b: 3}}")) == ["b"]


def plugin() -> list[str]:
    """Compose itself: docker's plugin, or the program that it also comes as."""
    for command in (["docker", "compose"], ["docker-compose"]):
        try:
            told = subprocess.run([*command, "version"], capture_output=True, check=False)
        except FileNotFoundError:
            continue
        if told.returncode == 0:
            return command
    pytest.skip("no Compose here; its schema is checked all the same")


@pytest.mark.parametrize("files", [[COMPOSE], [COMPOSE, GPU]], ids=["cpu", "gpu"])
def test_compose_agrees(files, tmp_path):
    """With Compose here, its own word counts."""
    given = tmp_path / "env"
    given.write_text("".join(f"{name}={value}\n" for name, value in filled().items()))
    chosen = [part for path in files for part in ("-f", str(path))]
    command = [*plugin(), "--env-file", str(given), *chosen, "config"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(yaml.safe_load(done.stdout)["services"]) == set(services())


class TestVariables:
    def test_example_lists_every_one_and_no_other(self):
        text = COMPOSE.read_text() + GPU.read_text()
        used = {match["name"] for match in VARIABLE.finditer(text)} - {None}
        assert used | {"COMPOSE_FILE", "COMPOSE_PROJECT_NAME"} == set(example())

    def test_secrets_have_no_default(self):
        assert {name for name, value in example().items() if not value} == SECRETS
        for match in VARIABLE.finditer(COMPOSE.read_text()):
            if match["name"] in SECRETS:
                assert match["operator"] == ":?"

    @pytest.mark.parametrize("missing", sorted(SECRETS))
    def test_nothing_starts_without_a_secret(self, missing):
        with pytest.raises(KeyError, match=missing):
            resolve({**filled(), missing: ""})

    def test_defaults_are_those_of_the_example(self):
        given = {name: value for name, value in filled().items() if name in SECRETS}
        assert resolve(given) == compose()
        assert resolve(given, GPU) == resolve(filled(), GPU)

    def test_files_that_compose_reads_by_default_are_there(self):
        """COMPOSE_FILE of the example, and what its comment says for a GPU."""
        assert example()["COMPOSE_FILE"] == COMPOSE.name
        assert f"{COMPOSE.name}:{GPU.name}" in (ROOT / ".env.example").read_text()


class TestServices:
    def test_all_components_are_there(self):
        assert set(services()) >= {
            "postgres", "mongodb", "qdrant", "s3", "mlflow", "serving", "airflow-api-server",
            "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer",
        }  # fmt: skip

    @pytest.mark.parametrize("name", sorted(services()))
    def test_it_says_when_it_is_ready(self, name):
        once = name in {"airflow-init", "buckets"}
        assert ("healthcheck" in services()[name]) != once
        assert services()[name]["restart"] == ("on-failure" if once else "unless-stopped")

    @pytest.mark.parametrize("name", sorted(services()))
    def test_it_waits_for_what_it_needs(self, name):
        for needed, how in services()[name].get("depends_on", {}).items():
            ready = "service_healthy" if "healthcheck" in services()[needed] else None
            assert how["condition"] == (ready or "service_completed_successfully")

    def test_nobody_waits_in_a_circle(self):
        def needs(name: str, above: tuple[str, ...] = ()) -> None:
            assert name not in above, (*above, name)
            for needed in services()[name].get("depends_on", {}):
                needs(needed, (*above, name))

        for name in services():
            needs(name)

    @pytest.mark.parametrize("name", sorted(services()))
    def test_hosts_it_calls_are_services(self, name):
        text = json.dumps(services()[name])
        called = set(
            re.findall(
                r"(?:https?|mongodb|postgresql\+psycopg2)://(?:[^@/\s\"]*@)?([a-z0-9.-]+)", text
            )
        )
        assert called <= set(services()) | {"127.0.0.1", "localhost", "0.0.0.0"}

    @pytest.mark.parametrize("name", sorted(services()))
    def test_volumes_are_named_ones_or_files_that_come_along(self, name):
        for volume in services()[name].get("volumes", []):
            source, *rest = volume.split(":")
            if source.startswith("./"):
                assert (ROOT / source).is_file() and rest[1:] == ["ro"]
            else:
                assert source in compose()["volumes"]

    @pytest.mark.parametrize("name", sorted(services()))
    def test_image_is_pinned(self, name):
        _, _, tag = services()[name]["image"].rpartition(":")
        assert re.fullmatch(r"dev|v?\d+\.\d+(\.\d+)?(-alpine)?", tag)

    @pytest.mark.parametrize("name", sorted(services()))
    def test_ports_are_published_on_loopback_unless_told_otherwise(self, name):
        for port in services()[name].get("ports", []):
            assert port.startswith("127.0.0.1:")

    def test_images_of_ours_are_built_from_targets_that_exist(self):
        for service in services().values():
            if "build" in service:
                build = service["build"]
                assert build["target"] in stages(ROOT / build["dockerfile"])
                assert service["image"] == f"llm-twin/{build['target']}:dev"

    @pytest.mark.parametrize(
        "name", sorted(name for name, item in services().items() if "llm-twin/" in item["image"])
    )
    def test_containers_of_ours_may_do_little(self, name):
        service = services()[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service

    @pytest.mark.parametrize(
        "name", sorted(name for name, item in services().items() if "build" in item)
    )
    def test_what_is_written_to_belongs_to_the_user(self, name):
        """Each folder that the image declares writable is a tmpfs of its user's, or a volume."""
        service = services()[name]
        made = lineage(ROOT / service["build"]["dockerfile"], service["build"]["target"])
        user, group = [rest for kind, rest in made if kind == "USER"][-1].split(":")
        declared = set(json.loads(next(rest for kind, rest in made if kind == "VOLUME")))
        mounted = {volume.split(":")[1] for volume in service.get("volumes", [])}
        for mount in service["tmpfs"]:
            folder, _, options = mount.partition(":")
            mounted.add(folder)
            assert folder == "/tmp" or options.startswith(f"uid={user},gid={group},")
        assert mounted == declared


class TestGpu:
    def test_those_that_load_models_get_one(self):
        extended = resolve(filled(), GPU)["services"]
        assert set(extended) == {"serving", "airflow-scheduler"}
        for name, service in extended.items():
            (device,) = service["deploy"]["resources"]["reservations"]["devices"]
            assert device == {"driver": "nvidia", "count": "1", "capabilities": ["gpu"]}
            assert services()[name]["build"]["args"] == {"ACCELERATOR": "cpu"}


class TestJobs:
    def test_scheduler_runs_jobs_beside_itself(self):
        """It carries the jobs' environment, and shares Ray's loopback, where rollout calls it."""
        scheduler = services()["airflow-scheduler"]
        assert scheduler["build"]["target"] == "airflow-jobs"
        assert scheduler["network_mode"] == "service:serving"
        environment = scheduler["environment"]
        assert environment["TWIN_SERVE_API_URL"].startswith("http://127.0.0.1:")
        made = dict(stages(ROOT / "images/airflow/Dockerfile")["airflow-jobs"])
        assert "AIRFLOW__TWIN__JOBS_BIN=/opt/venv/bin" in made["ENV"]
        assert "AIRFLOW__TWIN__RUNTIME=local" in made["ENV"]

    def test_ray_is_published_nowhere(self):
        for service in services().values():
            assert not any(port.endswith(":8265") for port in service.get("ports", []))
        assert services()["serving"]["ports"] == ["127.0.0.1:8000:8000"]

    @pytest.mark.parametrize("name", ["airflow-scheduler", "serving"])
    def test_settings_are_settings(self, name):
        given = {
            variable.removeprefix("TWIN_").lower(): str(value)
            for variable, value in services()[name]["environment"].items()
            if variable.startswith("TWIN_")
        }
        assert set(given) <= set(Settings.model_fields)
        settings = Settings(**given)
        assert settings.files_root == "s3://twin"
        assert len(settings.api_keys) == 1

    def test_airflow_and_jobs_mean_the_same_stores(self):
        environment = services()["airflow-scheduler"]["environment"]
        mongo = json.loads(environment["AIRFLOW_CONN_MONGO_DEFAULT"])
        expected = (
            f"mongodb://{mongo['login']}:{mongo['password']}@{mongo['host']}:{mongo['port']}/"
        )
        assert environment["TWIN_MONGO_URI"].startswith(expected)
        s3 = json.loads(environment["AIRFLOW_CONN_AWS_DEFAULT"])
        assert s3["password"] == environment["AWS_SECRET_ACCESS_KEY"]
        assert s3["extra"]["endpoint_url"] == environment["AWS_ENDPOINT_URL"]
        files = environment["AIRFLOW__TWIN__FILES_URI"].replace("aws_default@", "")
        assert files == environment["TWIN_FILES_URI"]
        assert environment["AIRFLOW__TWIN__MLFLOW_URL"] == environment["TWIN_MLFLOW_TRACKING_URI"]

    def test_airflow_carries_the_drivers_of_its_stores(self):
        """Postgres for its database; s3fs, without which a path in a bucket cannot be opened."""
        locked = hashed(ROOT / "requirements.txt")
        assert {"psycopg2-binary", "asyncpg", "s3fs"} <= set(locked)

    def test_the_pool_of_models_is_made(self):
        pool = re.search(r'GPU_POOL = "(\w+)"', Path(ROOT / "include/pipelines.py").read_text())
        assert pool
        script = services()["airflow-init"]["command"][-1]
        assert f"airflow pools set {pool[1]} " in script and "--include-deferred" in script
