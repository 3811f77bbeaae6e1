"""
# Restore drill

Restores the newest backups in a scratch place, compares counts and digests with what was saved, and
throws it away: every week, or by hand with the form. A backup that cannot be restored fails here,
months before somebody needs it.

**Reads** `backups/<recipe>/` and `database-backups/` in the file store. **Writes** a database
`…_drill_<recipe>` beside the warehouse's and a temporary folder, both gone at the end; warehouse,
index and databases are not touched.
"""

import datetime

from airflow.sdk import DAG, CronTriggerTimetable, task_group

from include.jobs import JobOperator
from include.pipelines import RECIPE_OF_JOB, pipeline, which_recipes

with DAG(
    "drill",
    description="Prove that the newest backups can be restored.",
    schedule=CronTriggerTimetable(
        "0 5 * * 0", timezone="UTC", run_immediately=datetime.timedelta(0)
    ),
    **pipeline(__doc__, late_after=datetime.timedelta(hours=12), tags=["weekly"]),
) as dag:

    @task_group
    def one_drill(recipe: str) -> None:
        """Restore one recipe's newest backup."""
        JobOperator(
            task_id="drill",
            job="backup drill",
            profile="backup",
            recipe=recipe,
            map_index_template=RECIPE_OF_JOB,
        )

    one_drill.expand(recipe=which_recipes())
    JobOperator(
        task_id="databases",
        job="backup drill-databases",
        profile="backup",
        recipe="{{ params.recipe }}",
    )
