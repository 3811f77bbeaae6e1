"""
# Garbage

Finds what nothing needs any more, every Sunday: weights, trainings with their adapters and
checkpoints, rerankers, sample sets with their pairs, copies of the index, answers of evaluations.
It deletes them where the recipe has `monitoring.garbage.delete`, or where the form says so;
otherwise the task's result and log name them with their sizes.

Kept is what an alias points at, serves or would be gone back to, is being trained, measured or
rolled out, is among the newest or younger than `monitoring.garbage.least_days`, is asked for by a
report of such a version, and all that it learnt from.

**Reads** the registry, MLflow's runs, rollout states and the file store. **Writes** deletions, a
tag on each version whose weights go, and an entry in the audit log.
"""

import datetime

from airflow.sdk import DAG, CronTriggerTimetable, Param, task_group

from include.jobs import JobOperator
from include.pipelines import RECIPE_OF_JOB, pipeline, which_recipes

DELETE = "{{ '--delete' if params.delete else '' }}"

with DAG(
    "garbage",
    description="Find, and delete where that is wanted, what nothing needs any more.",
    # After the week's last nightly chain.
    schedule=CronTriggerTimetable(
        "0 12 * * SUN", timezone="UTC", run_immediately=datetime.timedelta(0)
    ),
    **pipeline(
        __doc__,
        tags=["weekly"],
        params={
            "delete": Param(
                False,
                type="boolean",
                title="Delete",
                description="Delete what is found, whatever the recipe says.",
            )
        },
    ),
) as dag:

    @task_group
    def one_twin(recipe: str) -> None:
        """Collect the garbage of one recipe."""
        JobOperator(
            task_id="collect",
            job="monitoring gc",
            recipe=recipe,
            options=[DELETE],
            map_index_template=RECIPE_OF_JOB,
        )

    one_twin.expand(recipe=which_recipes())
