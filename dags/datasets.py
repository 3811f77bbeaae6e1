"""
# Datasets

Makes instruct samples of the author's own passages and of written questions, with a teacher's help
where the recipe names one.

In the form a run can be given other values than the recipe's: how many samples, whether a teacher
helps, what it writes and what it may spend. The next run makes the recipe's own samples the newest
again. With several shards the index is read by as many tasks at the same time (`prepare`), and
`make` joins what they have made; a shard that is done is not done again.

**Reads** chunks from the index. **Writes** Parquet files, split by document, and a card, under a
version that is a hash of everything they were made of. What callers said of answers becomes
candidate pairs (`feedback`), which wait for a person's review and hold nothing else up.
"""

import datetime

from airflow.sdk import DAG, TriggerRule, chain, task_group

from include.assets import index, samples
from include.jobs import JobOperator
from include.pipelines import RECIPE_OF_JOB, pipeline, publish, which_recipes
from include.sample_form import SHARD_OF_JOB, VALUES, list_shards, sample_params, values_option

with DAG(
    "datasets",
    description="Make training samples of the author's passages.",
    schedule=[index],
    user_defined_macros={"values_option": values_option},
    **pipeline(__doc__, late_after=datetime.timedelta(hours=12), params=sample_params()),
) as dag:
    recipes = which_recipes()
    prepare = JobOperator.partial(
        task_id="prepare", job="datasets prepare", map_index_template=SHARD_OF_JOB
    ).expand_kwargs(list_shards(recipes))

    @task_group
    def one_sample_set(recipe: str) -> None:
        """Make the samples of one recipe, and candidate pairs of its callers' feedback."""
        make = JobOperator(
            task_id="make",
            job="datasets make",
            recipe=recipe,
            options=[
                VALUES,
                "{{ '--shards=' ~ params.shards if params.shards > 1 else '' }}",
            ],
            map_index_template=RECIPE_OF_JOB,
            # Also without shards, and where these had nothing to do.
            trigger_rule=TriggerRule.NONE_FAILED,
        )
        # By the documents that the new samples may be made of.
        feedback = JobOperator(
            task_id="feedback",
            job="datasets feedback",
            recipe=recipe,
            map_index_template=RECIPE_OF_JOB,
            trigger_rule=TriggerRule.NONE_FAILED,
        )
        chain(make, [publish(samples)(recipe=recipe), feedback])

    prepare >> one_sample_set.expand(recipe=recipes)
