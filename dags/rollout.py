"""
# Rollout

Brings the champion into service: starts it beside the serving version, asks it real questions,
shifts the traffic, and puts the old version back if anything fails.

It runs when a model was promoted: by *evaluation*, or by anyone who moved the alias `champion`
in the MLflow UI. Rolling back is moving the alias back. It runs for a promoted prompt likewise:
the same version with another configuration goes the same steps.

With `serving.rollout.require_approval` in the recipe the new version keeps its last share, and the
DAG *full_traffic* asks a person about the rest.

**Reads** the model registry. **Writes** the configuration of Ray Serve.
"""

import datetime

from airflow.sdk import DAG, TriggerRule, task_group

from include.approval import AskForTraffic
from include.assets import champion
from include.jobs import JobOperator
from include.pipelines import RECIPE_OF_JOB, pipeline, which_recipes

with DAG(
    "rollout",
    description="Bring the champion into service.",
    schedule=[champion],
    **pipeline(__doc__, late_after=datetime.timedelta(hours=6)),
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
        rollout >> AskForTraffic(
            task_id="ask_for_traffic",
            recipe=recipe,
            brought_by="one_twin.rollout",
            # A rollout that finds one waiting has nothing to do.
            trigger_rule=TriggerRule.NONE_FAILED,
        )

    one_twin.expand(recipe=which_recipes())
