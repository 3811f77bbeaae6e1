"""
# Evaluation

Measures the candidate on the test split against the base model and against the champion. The
recipe's gate says *promote*, *hold* or *reject*: the first it does, the second it leaves to a
person (`twin evaluation promote`, or the alias in MLflow), the third needs force.

With `evaluation.gate.require_approval` in the recipe, a candidate that is not rejected waits for a
person: the task `approve` shows the verdict with its reasons, figures with intervals, some answers
side by side and the way to the report under *Required Actions*. Rejecting leaves the champion as it
is, and is recorded on the version: nobody is asked about it again. Without an answer in seven days
`approve` fails, nothing changes, and the next run asks again.

With several *pods* in the form, each answers a share of the questions first.

**Reads** the candidate, the champion and the test split. **Writes** a report to MLflow and the
file store, and the alias `champion`.
"""

import datetime
from typing import Any

from airflow.sdk import DAG, Param, TriggerRule, chain, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

from include.approval import APPROVE, REJECT, Approval, answered, left_by
from include.assets import candidate, champion
from include.jobs import JobOperator
from include.pipelines import (
    GPU_POOL,
    RECIPE_OF_JOB,
    RECIPE_OF_TASK,
    pipeline,
    publish,
    which_recipes,
)
from include.promotion import MODEL_PREFIX, champion_of

#: What `twin evaluation run` says of a candidate that the gate leaves to a person.
AWAITS = "awaiting approval"

EVALUATE = "one_candidate.evaluate"
ASK = "one_candidate.approve"
#: How a task of one share is called in the web UI.
SHARE_OF_JOB = "{{ task.recipe }}: {{ task.options[0].partition('=')[2] }}"
#: The version that was measured, and so the one that is approved: a newer candidate may wait.
VERSION = left_by(EVALUATE, "ids", "version")


@task
def shares(recipes: list[str], *, params: dict[str, Any]) -> list[dict[str, Any]]:
    """Arguments of one job for each share of the answers; none where one pod does everything."""
    pods = params["pods"]
    return [
        {"recipe": recipe, "options": [f"--shard={number}/{pods}"]}
        for recipe in recipes
        for number in range(1, pods + 1)
        if pods > 1
    ]


@task(map_index_template=RECIPE_OF_TASK)
def needs_a_person(recipe: str, *, ti: Any = None) -> None:
    """Skip what follows unless the candidate waits for a person's decision."""
    told = ti.xcom_pull(task_ids=EVALUATE, key="detail", map_indexes=ti.map_index) or {}
    decision = told.get("decision", "not evaluated")
    if decision != AWAITS:
        raise AirflowSkipException(f"nobody is asked about recipe {recipe!r}: {decision}")


def no_champion(recipe: str) -> str | None:
    """The reason not to roll out: no version has passed the gate yet."""
    model = f"{MODEL_PREFIX}{recipe}"
    return None if champion_of(model) else f"{model} has no champion yet"


with DAG(
    "evaluation",
    description="Measure the candidate; the gate promotes, holds or rejects it.",
    schedule=[candidate],
    # A run that waits for a person must not hold up the evaluation of the next candidate.
    **pipeline(
        __doc__,
        max_active_runs=4,
        params={
            "pods": Param(
                1,
                type="integer",
                minimum=1,
                maximum=64,
                title="Pods",
                description="That answer the questions, a share each, before they are measured. "
                "With 1 the pod that measures answers them too.",
            )
        },
    ),
) as dag:
    recipes = which_recipes()
    answers = JobOperator.partial(
        task_id="answer",
        job="evaluation answer",
        profile="gpu-1",
        pool=GPU_POOL,
        map_index_template=SHARE_OF_JOB,
    ).expand_kwargs(shares(recipes))

    @task_group
    def one_candidate(recipe: Any) -> None:
        """Evaluate the candidate of one recipe."""
        evaluate = JobOperator(
            task_id="evaluate",
            job="evaluation run",
            profile="gpu-1",
            pool=GPU_POOL,
            recipe=recipe,
            map_index_template=RECIPE_OF_JOB,
            # With one pod there are no shares, and a share may find all answered already.
            trigger_rule=TriggerRule.NONE_FAILED,
        )
        approve = Approval(
            task_id="approve",
            subject=f"Promote version {VERSION} of {left_by(EVALUATE, 'ids', 'model')}?",
            # What `twin evaluation run` has left: figures with intervals, the reasons of the
            # verdict, answers side by side, and where the report is.
            body=left_by(
                EVALUATE,
                "detail",
                "evidence",
                otherwise="The evaluation has left no evidence: read its log before you approve.",
            ),
            unanswered="nothing is promoted or rejected, the champion stays as it is, and the next "
            "run of the evaluation asks again",
            # As long as `twin evaluation run` lets nobody else ask.
            response_timeout=datetime.timedelta(days=7),
        )
        done = publish(champion, only_if=no_champion)(recipe=recipe)
        chain(evaluate, needs_a_person(recipe=recipe), approve)
        for answer, gate, step in (
            (APPROVE, "approved", "promote"),
            (REJECT, "rejected", "reject"),
        ):
            recorded = JobOperator(
                task_id=step,
                job=f"evaluation {step}",
                recipe=recipe,
                options=["--model-version", VERSION],
                map_index_template=RECIPE_OF_JOB,
            )
            chain(
                approve,
                answered.override(task_id=gate)(answer=answer, recipe=recipe, asked_by=ASK),
                recorded,
                done,
            )

    answers >> one_candidate.expand(recipe=recipes)
