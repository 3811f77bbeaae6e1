"""What MLflow's server does not keep itself is named for a person; tests/twin/evaluation has the
rest, on an evaluation."""

from twin.stores.evaluation_forgetting import EvaluationRuns
from twin.stores.kept_reports import RedactedReport


def test_artifacts_elsewhere_are_named_and_not_touched(settings):
    away = settings.model_copy(update={"mlflow_tracking_uri": "http://127.0.0.1:1"})
    with EvaluationRuns(away) as runs:
        left = runs._replace("s3://bucket/1/abc/artifacts", {"report.md": "", "report.html": ""})
    assert left == [
        "s3://bucket/1/abc/artifacts/report/report.md",
        "s3://bucket/1/abc/artifacts/report/report.html",
    ]


def test_a_report_of_no_run_needs_no_mlflow(settings):
    away = settings.model_copy(update={"mlflow_tracking_uri": "http://127.0.0.1:1"})
    with EvaluationRuns(away) as runs:
        assert (
            runs.forget(RedactedReport("reports/m/1", {"report.md": ""}, "", ("s",)), {"d"}) == []
        )
