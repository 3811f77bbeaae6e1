"""Alerts, monitors and the dashboard ask for metrics that exist."""

import json
import re
import subprocess
from itertools import product
from pathlib import Path

import pytest

from tests.helm.manifests import (
    AIRFLOW_KEYS,
    PRODUCTION,
    ROOT,
    find,
    given,
    only,
)


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


#: Names of `twin.monitoring`'s measures, which runs in an environment of its own.
MEASURES_OF_LOOKS = (
    *("fresh.my.site", "index.behind", "samples.behind", "data.changed", "canaries", "feedback"),
    *("live.errors", "drift.questions", "drift.languages", "component.warehouse"),
)


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
        for one in (one for one in expressions if "twin_monitoring" not in one):
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

    def test_looks_are_shown_by_what_the_exporter_makes_of_airflows_metrics(
        self, expressions, render
    ):
        (mapping,) = given(render(PRODUCTION), "airflowChart")["statsd"]["extraMappings"]
        assert given(render(PRODUCTION), "airflowChart")["statsd"]["enabled"] is True
        # Without its client Airflow sends nothing, and says so in a log only.
        assert re.search(r"^statsd==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
        shown = [one for one in expressions if "twin_monitoring" in one]
        assert len(shown) >= 6
        names = {name for one in shown for name in re.findall(r"(\w+)\{", one)}
        assert names == {mapping["name"]}
        # What include/monitoring.py sends, with Airflow's prefix.
        source = (ROOT / "include" / "monitoring.py").read_text()
        (figures,) = re.findall(r'^FIGURES = "([a-z._]+)"', source, re.MULTILINE)
        sent = f"airflow.{figures}.handbook.{{}}.{{}}"
        labels = mapping["labels"]
        for measure, figure in product(MEASURES_OF_LOOKS, ("value", "low", "high", "good")):
            found = re.fullmatch(mapping["match"], sent.format(measure, figure))
            assert found.expand(labels["measure"].replace("$", "\\")) == measure
            assert found.expand(labels["figure"].replace("$", "\\")) == figure
            assert found.expand(labels["recipe"].replace("$", "\\")) == "handbook"
        assert re.fullmatch(mapping["match"], "airflow.twin.jobs_out_of_memory") is None
        for one in shown:
            selector = dict(re.findall(r'(\w+)=~?"([^"]*)"', one))
            assert selector.keys() <= {"namespace", *labels}
            assert 'namespace="$namespace"' in one
            wanted = selector.get("measure", ".*")
            assert any(re.fullmatch(wanted, each) for each in MEASURES_OF_LOOKS), one

    def test_panels_do_not_overlap(self, board):
        places = [tuple(panel["gridPos"].values()) for panel in board["panels"]]
        assert len({(x, y) for _, _, x, y in places}) == len(places)
        assert len({panel["id"] for panel in board["panels"]}) == len(places)
