"""Section [twin] of Airflow's configuration."""

import os
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowConfigException

from include.runtime import (
    PROJECT,
    Mode,
    Runtime,
    as_jobs_see_it,
    child_environment,
    read_runtime,
)


def test_defaults_are_those_of_a_laptop() -> None:
    runtime = read_runtime()
    assert runtime.runtime is Mode.LOCAL
    assert runtime.files_uri == (PROJECT / ".twin" / "files").as_uri()


def test_every_option_can_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cpu.yaml").touch()
    given = {
        "RUNTIME": "kubernetes",
        "JOBS_BIN": "/opt/jobs/bin",
        "NAMESPACE": "twins",
        "IMAGE_REPOSITORY": "example.com/team/",
        "IMAGE_TAG": "1.0",
        "IMAGE_DIGESTS": f"features=sha256:{'b' * 64}",
        "PROFILES": str(tmp_path),
        "RECIPES": "/etc/recipes",
        "GPUS": "false",
        "MODELS_CLAIM": "models",
        "MODELS_BYTES": "200000000000",
        "FILES_URI": "s3://aws_default@bucket/twin/",
        "MLFLOW_URL": "http://mlflow:5000",
        "REGISTRY_WEBHOOK_SECRET": "s" * 32,
        "MLFLOW_UI_URL": "https://mlflow.example",
        "ENDPOINT_URL": "http://serve:8000",
        "CHAT_URL": "https://twin.example",
        "NIGHTLY_RECIPES": "handbook, other",
        "ALERT_CONNECTION": "pager",
    }
    assert {name.lower() for name in given} == set(Runtime.model_fields)
    for name, value in given.items():
        monkeypatch.setenv(f"AIRFLOW__TWIN__{name}", value)
    runtime = read_runtime()
    assert runtime.runtime is Mode.KUBERNETES
    assert runtime.image("crawl") == "example.com/team/crawl:1.0"
    assert runtime.image("features", "cuda") == "example.com/team/features-cuda:1.0"
    assert str(runtime.recipes) == "/etc/recipes"
    assert runtime.image("features") == f"example.com/team/features@sha256:{'b' * 64}"
    assert runtime.gpus is False
    assert runtime.profile("gpu-n") == tmp_path / "cpu.yaml"
    assert runtime.profile("crawl") == PROJECT / "include" / "profiles" / "crawl.yaml"
    assert (runtime.models_claim, runtime.models_bytes) == ("models", 200_000_000_000)
    assert runtime.nightly_recipes == ("handbook", "other")
    assert runtime.files_uri == "s3://aws_default@bucket/twin"
    assert runtime.links == {"MLflow": "https://mlflow.example", "Chat": "https://twin.example"}


def test_a_secret_that_is_too_short_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__TWIN__REGISTRY_WEBHOOK_SECRET", "guessed-by-nobody")
    with pytest.raises(AirflowConfigException, match=r"REGISTRY_WEBHOOK_SECRET.*at least 32") as e:
        read_runtime()
    assert "guessed" not in str(e.value)


def test_people_get_no_credentials_where_no_address_for_them_is_given() -> None:
    runtime = Runtime(
        mlflow_url="http://me:word@mlflow:5000/base", endpoint_url="http://serve:8000"
    )
    assert runtime.links == {"MLflow": "http://mlflow:5000/base", "Chat": "http://serve:8000"}


def test_it_is_read_anew_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__TWIN__NAMESPACE", "one")
    assert read_runtime().namespace == "one"
    monkeypatch.setenv("AIRFLOW__TWIN__NAMESPACE", "two")
    assert read_runtime().namespace == "two"


def test_a_wrong_value_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__TWIN__RUNTIME", "docker")
    with pytest.raises(AirflowConfigException) as caught:
        read_runtime()
    message = str(caught.value)
    assert "AIRFLOW__TWIN__RUNTIME" in message
    assert "'docker'" in message
    assert "'kubernetes'" in message
    assert "\n" not in message


def test_a_folder_may_be_given_as_path() -> None:
    assert Runtime(files_uri="/data/my files").files_uri == "file:///data/my%20files"


@pytest.mark.parametrize(
    ("uri", "job"),
    [
        ("file:///data/my%20files/a.json", "/data/my files/a.json"),
        ("s3://bucket/a.json", "s3://bucket/a.json"),
        ("s3://aws_default@bucket/a.json", "s3://bucket/a.json"),
    ],
)
def test_result_uri_as_the_job_sees_it(uri: str, job: str) -> None:
    assert as_jobs_see_it(uri) == job


def test_result_uri_keeps_run_ids_apart_and_within_the_folder() -> None:
    runtime = Runtime(files_uri="file:///data")
    one = runtime.result_uri("crawl", "manual__2026-01-01T00:00:00+00:00", "a.b", 0)
    assert one == "file:///data/results/crawl/manual__2026-01-01T00:00:00+00:00/a.b-0.json"
    assert "/../" not in runtime.result_uri("crawl", "../../etc", "a", -1)


def test_a_job_sees_nothing_of_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://u:secret@db/airflow")
    monkeypatch.setenv("AIRFLOW_CONN_MONGO_DEFAULT", "mongo://u:secret@db")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("TWIN_HOME", "/data/twin")
    monkeypatch.setenv("TWIN_X", "inherited")
    made = child_environment(Runtime(jobs_bin=Path("/opt/jobs/bin")), {"TWIN_X": "explicit"})
    assert not any("secret" in value for value in made.values())
    assert "PYTHONPATH" not in made
    assert made["PATH"].split(os.pathsep)[0] == "/opt/jobs/bin"
    assert made["TWIN_HOME"] == "/data/twin"
    assert made["TWIN_X"] == "explicit"


@pytest.mark.parametrize("given", ["crawl", "crawl=1.0", "crawl=sha256:12"])
def test_a_digest_is_a_whole_one(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("AIRFLOW__TWIN__IMAGE_DIGESTS", given)
    with pytest.raises(AirflowConfigException, match="'crawl' needs a digest: sha256: and 64 hex"):
        read_runtime()
