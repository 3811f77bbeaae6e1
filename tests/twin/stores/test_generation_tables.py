"""What trainings show of samples is emptied in a real MLflow, once, and no other training's."""

import json

import httpx
import mlflow
import pytest

from twin.stores.generation_tables import (
    COLUMNS,
    TABLE,
    GenerationTables,
    forget_in_generations,
)
from twin.stores.tracking import tracking_run


def test_without_a_sample_set_mlflow_is_not_asked(settings):
    away = settings.model_copy(update={"mlflow_tracking_uri": "http://127.0.0.1:1"})
    assert forget_in_generations(away, []) == (0, ())


def test_tables_of_trainings_on_these_samples_are_emptied_and_no_others(
    settings, mlflow_url, tmp_path
):
    used = settings.model_copy(update={"mlflow_tracking_uri": mlflow_url})
    recipe = f"tables-{tmp_path.name}"
    runs = {}
    for version in ("v1", "v2"):
        with tracking_run(
            used, experiment=recipe, name="sft", version=version, tags={"dataset_version": version}
        ) as run:
            rows = [[1, "Why?", "A secret.", "x"]]
            run.log_table(json.dumps({"columns": COLUMNS, "data": rows}), TABLE)
            runs[version] = run.id
    with tracking_run(
        used, experiment=recipe, name="dpo", version="v1", tags={"dataset_version": "v1"}
    ):
        pass  # it has no table
    assert forget_in_generations(used, [(recipe, "v1"), ("nobody", "v1")]) == (1, ())

    def rows_of(version):
        uri = f"runs:/{runs[version]}/{TABLE}"
        return json.loads(mlflow.artifacts.load_text(uri))["data"]

    mlflow.set_tracking_uri(mlflow_url)
    assert (rows_of("v1"), rows_of("v2")) == ([], [[1, "Why?", "A secret.", "x"]])
    assert forget_in_generations(used, [(recipe, "v1")]) == (0, ())


@pytest.mark.parametrize("stage", ["active", "deleted"])
def test_a_table_elsewhere_is_named_and_a_deleted_run_takes_no_tag(settings, stage):
    tags = [{"key": "mlflow.loggedArtifacts", "value": json.dumps([{"path": TABLE}])}]

    def run(uri):
        info = {"run_id": "r", "artifact_uri": uri, "lifecycle_stage": stage}
        return {"info": info, "data": {"tags": tags}}

    runs = [run("s3://bucket/1/abc/artifacts"), run("mlflow-artifacts:/1/r/artifacts")]
    asked = []

    def server(request):
        asked.append((request.method, request.url.path.rpartition("mlflow")[2]))
        body = {"experiment": {"experiment_id": "1"}} if request.method == "GET" else {}
        return httpx.Response(200, json=body | {"runs": runs})

    with GenerationTables(settings) as tables:
        tables._http = httpx.Client(base_url="http://m", transport=httpx.MockTransport(server))
        emptied, left = tables.forget("tiny", "v1")
    assert left == [f"s3://bucket/1/abc/artifacts/{TABLE}"]
    assert ("PUT", f"-artifacts/artifacts/1/r/artifacts/{TABLE}") in asked
    assert (("POST", "/runs/set-tag") in asked) == (stage == "active") == bool(emptied)
