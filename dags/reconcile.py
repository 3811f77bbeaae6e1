"""
# Reconcile

Compares what the model registry says, what should be in service and what is, and repairs what
differs: a rollout that was killed is backed out, Ray Serve is told anew what it has lost, a
champion that was never rolled out is, or not with the recipe as it is now, and a version that was
kept warm long enough is retired. A champion whose rollout has failed is told of, as a failure of
this DAG.

Promotions themselves start the DAG *rollout* within seconds. This one is for what went wrong. On a
laptop it runs when a person starts it: each look would be a process more beside a training.

**Reads** the model registry, the rollouts' states, Ray Serve and the endpoint. **Writes** the
configuration of Ray Serve, where it differs.
"""

import datetime

from airflow.sdk import DAG, CronTriggerTimetable, task_group

from include.approval import AskForTraffic
from include.jobs import JobOperator
from include.pipelines import RECIPE_OF_JOB, pipeline, which_recipes
from include.runtime import Mode, read_runtime

# On a cluster each look is a pod of some seconds.
EVERY_FIVE_MINUTES = CronTriggerTimetable("*/5 * * * *", timezone="UTC")

with DAG(
    "reconcile",
    description="Compare the registry with what serves, and repair what differs.",
    schedule=None if read_runtime().runtime is Mode.LOCAL else EVERY_FIVE_MINUTES,
    **pipeline(__doc__, tags=["monitoring"]),
) as dag:

    @task_group
    def one_twin(recipe: str) -> None:
        """Compare and repair what serves for one recipe."""
        reconcile = JobOperator(
            task_id="reconcile",
            job="rollout reconcile",
            profile="rollout",
            recipe=recipe,
            map_index_template=RECIPE_OF_JOB,
            execution_timeout=datetime.timedelta(hours=1),
            retries=1,  # the next look comes soon enough
        )
        # It has mostly nothing to do, and then nobody is asked: no task is needed to say so.
        reconcile >> AskForTraffic(
            task_id="ask_for_traffic", recipe=recipe, brought_by="one_twin.reconcile"
        )

    one_twin.expand(recipe=which_recipes())
