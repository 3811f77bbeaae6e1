"""
# Questions

Groups what readers have asked and were not answered well, every Monday: *readers ask this, and you
have not written it*. The task's log names the page; `twin monitoring questions` makes it by hand.

Beside it the page of what the author writes about, month by month, and of that what readers ask for
more than is written: `twin monitoring topics`.

**Reads** kept answers that were refused, had no source, or were found bad by their callers;
the index, and what else was asked.
**Writes** pages, the same in Markdown, and questions proposed for the test, to the file store.
Personal data is masked, and what one caller alone has asked is left out.
"""

import datetime

from airflow.sdk import DAG, CronTriggerTimetable, task_group

from include.jobs import JobOperator
from include.pipelines import RECIPE_OF_JOB, pipeline, which_recipes

with DAG(
    "questions",
    description="Group what readers ask and are not answered well.",
    schedule=CronTriggerTimetable(
        "0 5 * * MON", timezone="UTC", run_immediately=datetime.timedelta(0)
    ),
    **pipeline(__doc__, tags=["weekly"]),
) as dag:

    @task_group
    def one_twin(recipe: str) -> None:
        """Make the pages of one recipe."""
        JobOperator(
            task_id="group",
            job="monitoring questions",
            recipe=recipe,
            image_target="train",  # it has scikit-learn, which groups them
            map_index_template=RECIPE_OF_JOB,
        )
        JobOperator(
            task_id="topics",
            job="monitoring topics",
            recipe=recipe,
            image_target="train",
            map_index_template=RECIPE_OF_JOB,
        )

    one_twin.expand(recipe=which_recipes())
