"""
# Training

Fine-tunes the base model on the newest samples: supervised (`sft`), then by preference (`dpo`): the
author's answers against what the model after `sft` writes (`pairs`). Then merges the adapter and
registers the model (`package`).

New samples start it, unless the recipe has the rule `monitoring.rules.training`: then *monitoring*
does, for the reasons and within the budget that stand there.

In the form a run can be given other values than the recipe's, such as
`training.sft.max_steps=12`. What it trains is a trial: *evaluation* measures it, and only a person
promotes it.

**Reads** sample sets. **Writes** adapters, preference pairs and weights to the file store, runs to
MLflow, and a version with alias `candidate` to the model registry. A training that was killed goes
on from its last checkpoint.
"""

import datetime

from airflow.sdk import DAG, Param, TriggerRule, chain, task_group

from include.assets import candidate, samples
from include.jobs import JobOperator
from include.pipelines import GPU_POOL, RECIPE_OF_JOB, pipeline, publish, which_recipes

with DAG(
    "training",
    description="Fine-tune the base model on the samples and register it.",
    schedule=[samples],
    **pipeline(
        __doc__,
        late_after=datetime.timedelta(hours=48),
        params={
            "set": Param(
                None,
                type=["string", "null"],
                pattern=r"^\s*training\.[a-z_.]+=[^,]+(,\s*training\.[a-z_.]+=[^,]+)*$",
                title="Other values",
                description="Values that hold in this run instead of the recipe's, with commas "
                "between: training.sft.max_steps=12, training.dpo.enabled=false",
            )
        },
    ),
) as dag:

    @task_group
    def one_model(recipe: str) -> None:
        """Train the model of one recipe."""
        steps = [
            JobOperator(
                task_id=step,
                job=f"training {step}",
                profile="gpu-1",
                pool=GPU_POOL,
                recipe=recipe,
                options=["{{ '--set=' ~ params.set if params.set else '' }}"],
                map_index_template=RECIPE_OF_JOB,
                # A step that had nothing to do is no reason to leave the next one out.
                trigger_rule=TriggerRule.NONE_FAILED,
                execution_timeout=datetime.timedelta(hours=24),
            )
            for step in ("sft", "pairs", "dpo", "package")
        ]
        chain(*steps, publish(candidate)(recipe=recipe))

    one_model.expand(recipe=which_recipes("training"))
