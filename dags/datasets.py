"""
# Datasets

Makes instruct samples of the author's own passages and of written questions, with a teacher's help
where the recipe names one.

In the form a run can be given other values than the recipe's: how many samples, what the teacher
writes and what it may spend, such as `datasets.teacher.budget.tokens=100000`. The next run makes
the recipe's own samples the newest again.

**Reads** chunks from the index. **Writes** Parquet files, split by document, and a card, under a
version that is a hash of everything they were made of.
"""

from airflow.sdk import DAG, Param, chain, task_group

from include.assets import index, samples
from include.jobs import JobOperator
from include.pipelines import RECIPE_OF_JOB, pipeline, publish, which_recipes

with DAG(
    "datasets",
    description="Make training samples of the author's passages.",
    schedule=[index],
    **pipeline(
        __doc__,
        params={
            "set": Param(
                None,
                type=["string", "null"],
                pattern=r"^\s*datasets\.[a-z_.]+=[^,]+(,\s*datasets\.[a-z_.]+=[^,]+)*$",
                title="Other values",
                description="Values that hold in this run instead of the recipe's, with commas "
                "between: datasets.max_samples=500, datasets.teacher.kinds.question=1, "
                "datasets.teacher.budget.tokens=100000, datasets.teacher.endpoint.model=another",
            )
        },
    ),
) as dag:

    @task_group
    def one_sample_set(recipe: str) -> None:
        """Make the samples of one recipe."""
        make = JobOperator(
            task_id="make",
            job="datasets make",
            recipe=recipe,
            options=["{{ '--set=' ~ params.set if params.set else '' }}"],
            map_index_template=RECIPE_OF_JOB,
        )
        chain(make, publish(samples)(recipe=recipe))

    one_sample_set.expand(recipe=which_recipes())
