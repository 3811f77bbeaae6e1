"""
# Backup

Copies warehouse and index of each recipe into the file store: every night before the crawl, or by
hand with the form. The newest are kept; a night in which nothing changed costs seconds.

**Reads** the warehouse and the index. **Writes** `backups/<recipe>/<moment>/` in the file store.
`twin backup restore` is the way back; the chart's README says how.
"""

import datetime

from airflow.sdk import DAG, CronTriggerTimetable, Param, task_group

from include.jobs import JobOperator
from include.pipelines import RECIPE_OF_JOB, pipeline, which_recipes

with DAG(
    "backup",
    description="Copy warehouse and index into the file store.",
    schedule=CronTriggerTimetable(
        "0 1 * * *", timezone="UTC", run_immediately=datetime.timedelta(0)
    ),
    **pipeline(
        __doc__,
        late_after=datetime.timedelta(hours=6),
        tags=["nightly"],
        params={
            "keep": Param(
                14,
                type="integer",
                minimum=1,
                title="Backups to keep",
                description="The oldest beyond this number are deleted.",
            )
        },
    ),
) as dag:

    @task_group
    def one_backup(recipe: str) -> None:
        """Back up one recipe."""
        JobOperator(
            task_id="create",
            job="backup create",
            recipe=recipe,
            options=["--keep", "{{ params.keep }}"],
            map_index_template=RECIPE_OF_JOB,
        )

    one_backup.expand(recipe=which_recipes())
