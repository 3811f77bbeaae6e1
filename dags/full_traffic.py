"""
# Full traffic

Asks a person before a new version gets all the traffic, where the recipe says so
(`serving.rollout.require_approval`). The version has its last share below 100% by then, and keeps
it: the task `approve` shows under *Required Actions* who has which share and what the comparison of
their answers says.

*Approve* gives it the rest; *Reject* puts the old weights back, and the alias `champion` with them.
Without an answer in seven days `approve` fails and nothing changes: `twin rollout promote`, `twin
rollout abort` or a run of this DAG by hand decides. A newer version that is rolled out meanwhile
takes its place, and an answer about the old one then does nothing.

**Reads** and **writes** what *rollout* does.
"""

import datetime
from typing import Any

from airflow.sdk import DAG, chain, task, task_group

from include.approval import APPROVE, REJECT, Approval, answered
from include.assets import canary
from include.jobs import JobOperator
from include.pipelines import RECIPE_OF_JOB, pipeline

ASK = "one_twin.approve"
#: Template of what is known of the version that this instance of a task is about.
WAITING = "ti.xcom_pull(task_ids='waiting')[ti.map_index]"
#: Only this version: by the time of the answer another one may be on its way.
THAT_VERSION = (
    f"{{% set version = {WAITING}['version'] %}}"
    "{% if version %}--model-version={{ version }}{% endif %}"
)


@task(execution_timeout=datetime.timedelta(minutes=5))
def waiting(*, params: dict[str, Any], triggering_asset_events: Any = None) -> list[dict[str, str]]:
    """What a person is asked about: the newest of each recipe, or the one picked in the form."""
    asked = {
        event.extra["asked"]["recipe"]: event.extra["asked"]
        for events in (triggering_asset_events or {}).values()
        for event in events
    }
    by_hand = {
        "recipe": params["recipe"],
        "version": "",
        "evidence": "Asked by hand: see `twin rollout status`, or the page Twin.",
    }
    return [asked[recipe] for recipe in sorted(asked)] or [by_hand]


with DAG(
    "full_traffic",
    description="Ask a person before a new version gets all the traffic.",
    schedule=[canary],
    # A run that waits for a person must not hold up the question about another twin.
    **pipeline(__doc__, max_active_runs=4),
) as dag:

    @task_group
    def one_twin(recipe: Any, version: Any, evidence: Any) -> None:  # noqa: ARG001 - by template
        """Ask about one twin, and do as the person says."""
        approve = Approval(
            task_id="approve",
            subject=f"Give {{{{ {WAITING}['recipe'] }}}} version {{{{ {WAITING}['version'] }}}} "
            "all the traffic?",
            body=f"{{{{ {WAITING}['evidence'] }}}}",
            unanswered="the version keeps its share: `twin rollout promote` or `abort` decides, or "
            "another run of this DAG",
            response_timeout=datetime.timedelta(days=7),
        )
        for answer, gate, job in ((APPROVE, "approved", "promote"), (REJECT, "rejected", "abort")):
            chain(
                approve,
                answered.override(task_id=gate)(answer=answer, recipe=recipe, asked_by=ASK),
                JobOperator(
                    task_id=job,
                    job=f"rollout {job}",
                    profile="rollout",
                    recipe=recipe,
                    options=[THAT_VERSION],
                    map_index_template=RECIPE_OF_JOB,
                    execution_timeout=datetime.timedelta(hours=1),
                ),
            )

    one_twin.expand_kwargs(waiting())
