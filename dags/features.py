"""
# Features

Cleans, chunks and embeds the documents and brings the index up to date with the warehouse.

**Reads** live documents from the warehouse. **Writes** chunks to the index; only what changed is
embedded again.
"""

import datetime

from airflow.sdk import DAG, chain, task_group

from include.assets import documents, index
from include.jobs import JobOperator
from include.pipelines import RECIPE_OF_JOB, pipeline, publish, which_recipes

with DAG(
    "features",
    description="Chunk and embed the documents into the index.",
    schedule=[documents],
    **pipeline(__doc__, late_after=datetime.timedelta(hours=6)),
) as dag:

    @task_group
    def one_index(recipe: str) -> None:
        """Build the index of one recipe."""
        build = JobOperator(
            task_id="build",
            job="features build",
            recipe=recipe,
            map_index_template=RECIPE_OF_JOB,
        )
        chain(build, publish(index)(recipe=recipe))

    one_index.expand(recipe=which_recipes())
