"""
# Monitoring

Looks at every twin in service, every hour, and does what follows: sources that are late, an index
that is behind, known questions that are answered wrong, errors and waiting, drift of what is asked
and told, feedback. `docs`: *Watch a twin, and let it keep itself up to date*.

People are told once when something has become bad, and once when it is good again (`[twin]
alert_connection`). What the recipe's `monitoring.rules` decide is started, with the reason as the
run's note: *features*, *datasets*, *training*. Nothing is started while the recipe says
`monitoring.paused`, or while the Airflow variable `monitoring_paused` holds anything.

On a laptop it runs when a person starts it: each look asks the model questions.

**Reads** the warehouse, the index, the registry, samples, and the endpoint, which it asks.
**Writes** what it remembers to the file store, a run a look to MLflow, and Airflow's metrics
`twin.monitoring.…`.
"""

import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, CronTriggerTimetable, TriggerRule

from include.jobs import JobOperator
from include.monitoring import LOOK, PAUSED, list_starts, measure, tell
from include.pipelines import RECIPE_OF_JOB, pipeline, which_recipes
from include.runtime import Mode, read_runtime

#: Not at the full hour, when the nightly pipelines begin.
EVERY_HOUR = CronTriggerTimetable("37 * * * *", timezone="UTC")

with DAG(
    "monitoring",
    description="Look at the twins in service; tell people, and start what is due.",
    schedule=None if read_runtime().runtime is Mode.LOCAL else EVERY_HOUR,
    **pipeline(__doc__, tags=["monitoring"]),
) as dag:
    recipes = which_recipes()
    look = JobOperator.partial(
        task_id=LOOK,
        job="monitoring run",
        # The one profile that may ask the endpoint.
        profile="rollout",
        options=[PAUSED],
        map_index_template=RECIPE_OF_JOB,
        execution_timeout=datetime.timedelta(minutes=50),
        retries=1,  # the next look comes soon enough
    ).expand(recipe=recipes)
    starts = list_starts(recipes)
    # Without the last one a run whose job has failed would count as well ended.
    look >> [tell(recipes), measure(recipes), starts, EmptyOperator(task_id="looked")]
    TriggerDagRunOperator.partial(
        task_id="start",
        skip_when_already_exists=True,
        trigger_rule=TriggerRule.ALL_DONE,
        map_index_template="{{ task.trigger_dag_id }}",
        execution_timeout=datetime.timedelta(minutes=5),
    ).expand_kwargs(starts)
