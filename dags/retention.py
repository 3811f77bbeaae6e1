"""
# Retention

Deletes traces of answers that are older than the recipe keeps them (`serving.traces.kept_days`),
every night. Traces of evaluations stay with their runs.

**Reads** and **writes** the experiment of each recipe in MLflow.
"""

import datetime

from airflow.sdk import DAG, CronTriggerTimetable, task_group

from include.jobs import JobOperator
from include.pipelines import RECIPE_OF_JOB, pipeline, which_recipes

with DAG(
    "retention",
    description="Delete traces of answers whose time is over.",
    schedule=CronTriggerTimetable(
        "0 2 * * *", timezone="UTC", run_immediately=datetime.timedelta(0)
    ),
    **pipeline(__doc__, tags=["nightly"]),
) as dag:

    @task_group
    def one_twin(recipe: str) -> None:
        """Delete the old traces of one recipe."""
        JobOperator(
            task_id="traces",
            job="serving prune-traces",
            recipe=recipe,
            map_index_template=RECIPE_OF_JOB,
        )

    one_twin.expand(recipe=which_recipes())
