"""
# Restore

Puts a backup of a recipe back: the warehouse's records by their ids, the index as one new release.
By hand only, with the form. Every byte is checked against the digests taken when the backup was
made, before anything is written; restoring again changes nothing.

**Reads** `backups/<recipe>/` in the file store. **Writes** the warehouse and the index. Documents
that are in the warehouse and not in the backup stay. Then trigger *features*, which brings the
index up to date with the warehouse.
"""

from airflow.sdk import DAG, Param, task_group

from include.jobs import JobOperator
from include.pipelines import RECIPE_OF_JOB, pipeline, which_recipes

with DAG(
    "restore",
    description="Put a backup of warehouse and index back.",
    schedule=None,
    **pipeline(
        __doc__,
        params={
            "name": Param(
                "",
                type="string",
                pattern="^([0-9A-Za-z-]+)?$",
                title="Backup",
                description="Its name, as `twin backup list` shows it; empty means the newest.",
            )
        },
    ),
) as dag:

    @task_group
    def one_restoration(recipe: str) -> None:
        """Restore one recipe."""
        JobOperator(
            task_id="restore",
            job="backup restore",
            profile="backup",
            recipe=recipe,
            options=["{{ '--name=' ~ params.name if params.name else '' }}"],
            map_index_template=RECIPE_OF_JOB,
        )

    one_restoration.expand(recipe=which_recipes())
