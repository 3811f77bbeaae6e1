"""
# Models

Fetches a base model into the file store, pinned to what its revision is now: the recipe's own, or
the one that the form names. By hand only. It is the one job but the crawl that reaches the web;
all others read the file store, so run it before the first training on a new base.

**Reads** the model hub, a bucket or a package. **Writes** `bases/` in the file store. A model that
is kept already is left as it is.
"""

from airflow.sdk import DAG, Param, task_group

from include.jobs import JobOperator
from include.pipelines import RECIPE_OF_JOB, pipeline, which_recipes

with DAG(
    "models",
    description="Fetch a base model into the file store.",
    schedule=None,
    **pipeline(
        __doc__,
        params={
            "model": Param(
                "",
                type="string",
                pattern="^([0-9A-Za-z][0-9A-Za-z._/@:-]*)?$",
                title="Model",
                description="owner/name, owner/name@revision or s3://bucket/prefix; empty means "
                "the recipe's training.base_model.",
            )
        },
    ),
) as dag:

    @task_group
    def one_base(recipe: str) -> None:
        """Fetch the base of one recipe."""
        JobOperator(
            task_id="fetch",
            job="models fetch",
            profile="fetch",
            recipe=recipe,
            options=["{{ params.model }}"],
            map_index_template=RECIPE_OF_JOB,
        )

    one_base.expand(recipe=which_recipes())
