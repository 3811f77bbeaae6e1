"""
# Training

Fine-tunes the base model on the newest samples: supervised (`sft`), then by preference (`dpo`): the
author's answers against what the model after `sft` writes (`pairs`). Then merges the adapter and
registers the model (`package`).

New samples start it, unless the recipe has the rule `monitoring.rules.training`: then *monitoring*
does, for the reasons and within the budget that stand there.

In the form a run can be given other values than the recipe's: steps, learning rate, rank, base
model, method, and any other of the section `training`. `check` refuses what can't be trained
before a GPU is asked for. What such a run trains is a trial: it is named on the MLflow runs and on
the version, *evaluation* measures it against its own base model, and only a person promotes it.

**Reads** sample sets. **Writes** adapters, preference pairs and weights to the file store, runs to
MLflow, and a version with alias `candidate` to the model registry. A training that was killed goes
on from its last checkpoint.
"""

import datetime

from airflow.sdk import DAG, TriggerRule, chain, task_group

from include.assets import candidate, samples
from include.jobs import JobOperator
from include.pipelines import GPU_POOL, RECIPE_OF_JOB, pipeline, publish, which_recipes
from include.training_form import VALUES, training_params, values_option

with DAG(
    "training",
    description="Fine-tune the base model on the samples and register it.",
    schedule=[samples],
    user_defined_macros={"values_option": values_option},
    **pipeline(__doc__, late_after=datetime.timedelta(hours=48), params=training_params()),
) as dag:

    @task_group
    def one_model(recipe: str) -> None:
        """Train the model of one recipe."""
        check = JobOperator(
            task_id="check",
            job="training check",
            recipe=recipe,
            options=[VALUES],
            map_index_template=RECIPE_OF_JOB,
            execution_timeout=datetime.timedelta(hours=1),  # a base model may have to be fetched
        )
        steps = [
            JobOperator(
                task_id=step,
                job=f"training {step}",
                profile="gpu-1",
                pool=GPU_POOL,
                recipe=recipe,
                # These two start a process on each GPU.
                several_gpus=step in ("sft", "dpo"),
                options=[VALUES],
                map_index_template=RECIPE_OF_JOB,
                # A step that had nothing to do is no reason to leave the next one out.
                trigger_rule=TriggerRule.NONE_FAILED,
                execution_timeout=datetime.timedelta(hours=24),
            )
            for step in ("sft", "pairs", "dpo", "package")
        ]
        chain(check, *steps, publish(candidate)(recipe=recipe))

    one_model.expand(recipe=which_recipes("training"))
