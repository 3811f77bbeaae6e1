"""
# Rollout

Brings the champion into service: starts it beside the serving version, asks it real questions,
shifts the traffic, and puts the old version back if anything fails.

It runs when a model was promoted: by *evaluation*, or by anyone who moved the alias `champion`
in the MLflow UI. Rolling back is moving the alias back.

With `serving.rollout.require_approval` in the recipe the new version keeps its last share, and the
DAG *full_traffic* asks a person about the rest.

**Reads** the model registry. **Writes** the configuration of Ray Serve.
"""

import datetime
from typing import Any

from airflow.sdk import DAG, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

from include.assets import canary, champion
from include.jobs import JobOperator
from include.pipelines import RECIPE_OF_JOB, RECIPE_OF_TASK, pipeline, which_recipes

#: What `twin rollout start` says of a version that a person has to approve.
AWAITS = "awaiting approval"
ROLLOUT = "one_twin.rollout"


@task(outlets=[canary], map_index_template=RECIPE_OF_TASK)
def publish(recipe: str, *, ti: Any = None, outlet_events: Any = None) -> None:
    """Have a person asked, if the version waits for one; what it is asked with goes along."""
    told, ids = (
        ti.xcom_pull(task_ids=ROLLOUT, key=key, map_indexes=ti.map_index) or {}
        for key in ("detail", "ids")
    )
    if told.get("decision") != AWAITS:
        raise AirflowSkipException(f"nobody is asked about recipe {recipe!r}")
    asked = {"recipe": recipe, "version": ids["model_version"], "evidence": told["evidence"]}
    outlet_events[canary].extra = {"recipes": [recipe], "asked": asked}


with DAG(
    "rollout",
    description="Bring the champion into service.",
    schedule=[champion],
    **pipeline(__doc__),
) as dag:

    @task_group
    def one_twin(recipe: str) -> None:
        """Roll out the champion of one recipe."""
        rollout = JobOperator(
            task_id="rollout",
            job="rollout start",
            profile="rollout",
            recipe=recipe,
            map_index_template=RECIPE_OF_JOB,
            execution_timeout=datetime.timedelta(hours=1),
        )
        rollout >> publish(recipe=recipe)

    one_twin.expand(recipe=which_recipes())
