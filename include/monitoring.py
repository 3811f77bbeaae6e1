"""What the DAG *monitoring* does with what its job has found: it tells people, starts DAGs, and
gives the figures to Airflow's metrics, which outlive the job's pod."""

import re
from typing import Any

from airflow.sdk import TriggerRule, task
from airflow.sdk.observability import stats

from include.alerts import Alert, UnsentError

LOOK = "look"
#: Airflow variable that, while it holds anything, keeps monitoring from starting pipelines.
SWITCH = "monitoring_paused"
PAUSED = f"{{{{ '--paused' if var.value.get('{SWITCH}', '') else '' }}}}"

#: Airflow's metrics of what a look has found, as ``FIGURES.<recipe>.<measure>.<figure>``. The chart
#: maps them to Prometheus' twin_monitoring, with these as labels (airflowChart.statsd).
FIGURES = "twin.monitoring"
#: What Airflow takes no metric's name with.
_REFUSED = re.compile(r"[^A-Za-z0-9_./-]")

Started = dict[str, Any]


@task(trigger_rule=TriggerRule.ALL_DONE)
def tell(recipes: list[str], *, ti: Any) -> int:
    """Send what the jobs want people to know; returns how many texts.

    The jobs count them as told, so a text that reached nobody is tried again, with the others of
    the same look.

    Raises:
        UnsentError: some were not sent.
    """
    alert, unsent = Alert(), []
    texts = [text for detail in _details(recipes, ti) for text in detail.get("told", ())]
    for text in texts:
        alert.log.error("%s", text)
        try:
            alert.send(text)
        except UnsentError as error:
            unsent.append(str(error))
    if unsent:
        raise UnsentError(f"{len(unsent)} of {len(texts)} alerts were not sent: {unsent[0]}")
    return len(texts)


@task(trigger_rule=TriggerRule.ALL_DONE)
def measure(recipes: list[str], *, ti: Any) -> int:
    """Set Airflow's metrics to what the looks have found; returns how many figures."""
    figures = {
        _REFUSED.sub("_", f"{FIGURES}.{recipe}.{name}.{figure}"): value
        for recipe, detail in zip(recipes, _details(recipes, ti), strict=True)
        for name, found in detail.get("figures", {}).items()
        for figure, value in found.items()
    }
    for name, value in figures.items():
        stats.gauge(name, value)
    return len(figures)


@task(trigger_rule=TriggerRule.ALL_DONE)
def list_starts(recipes: list[str], *, ti: Any) -> list[Started]:
    """What to start: arguments of one `TriggerDagRunOperator` each.

    Those of the last day are among them: their runs are there already, by the same id, and are left
    as they are. So nothing is missed if Airflow was down, and nothing is started twice.
    """
    return [
        {
            "trigger_dag_id": start["pipeline"],
            "trigger_run_id": start["run_id"],
            "conf": {"recipe": recipe},
            "note": f"Started by monitoring: {start['reason']}",
        }
        for recipe, detail in zip(recipes, _details(recipes, ti), strict=True)
        for start in detail.get("starts", ())
    ]


def _details(recipes: list[str], ti: Any) -> list[dict[str, Any]]:
    """The detail of each recipe's result; empty where its job has failed."""
    return [
        ti.xcom_pull(task_ids=LOOK, key="detail", map_indexes=index) or {}
        for index in range(len(recipes))
    ]
