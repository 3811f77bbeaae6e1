"""
# Datasets

Makes instruct samples of the author's own passages and of written questions.

**Reads** chunks from the index. **Writes** Parquet files, split by document, and a card, under a
version that is a hash of everything they were made of.
"""

from airflow.sdk import DAG, chain, task_group

from include.assets import index, samples
from include.jobs import JobOperator
from include.pipelines import RECIPE_OF_JOB, pipeline, publish, which_recipes

with DAG(
    "datasets",
    description="Make training samples of the author's passages.",
    schedule=[index],
    **pipeline(__doc__),
) as dag:

    @task_group
    def one_sample_set(recipe: str) -> None:
        """Make the samples of one recipe."""
        make = JobOperator(
            task_id="make",
            job="datasets make",
            recipe=recipe,
            map_index_template=RECIPE_OF_JOB,
        )
        chain(make, publish(samples)(recipe=recipe))

    one_sample_set.expand(recipe=which_recipes())
