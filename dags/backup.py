"""
# Backup

Copies warehouse and index of each recipe into the file store, and the databases of MLflow and
Airflow where `TWIN_DATABASES` names them: every night before the crawl, or by hand with the form.
The newest are kept. Copies go from store to store as streams: no disk has to hold one.

**Reads** the warehouse, the index and the databases. **Writes** `backups/<recipe>/<moment>/` and
`database-backups/<moment>/` in the file store. The DAG `restore` is the way back, `twin backup
restore-database` that of a database; the DAG `drill` proves every week that there is one.
"""

import datetime

from airflow.sdk import DAG, CronTriggerTimetable, Param, task_group

from include.jobs import JobOperator
from include.pipelines import RECIPE_OF_JOB, pipeline, which_recipes

with DAG(
    "backup",
    description="Copy warehouse, index and databases into the file store.",
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
            profile="backup",
            recipe=recipe,
            options=["--keep", "{{ params.keep }}"],
            map_index_template=RECIPE_OF_JOB,
        )

    one_backup.expand(recipe=which_recipes())
    # They belong to all recipes, so any of them will do.
    JobOperator(
        task_id="databases",
        job="backup databases",
        profile="backup",
        recipe="{{ params.recipe }}",
        options=["--keep", "{{ params.keep }}"],
    )
