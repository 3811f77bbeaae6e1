"""
# Crawl

Fetches what the author has published into the warehouse: every night, or by hand with the form.

Every source of a recipe is a task of its own: one that fails stops no other, but fails the run.
Links pasted into the form are crawled instead of the sources, each by a task of its own.

One run walks the whole chain. When the documents of a recipe are known to be current, the asset
`documents` is updated, and *features*, *datasets*, *training*, *evaluation* and *rollout* follow
of themselves; each finds out within seconds if nothing changed.

**Reads** the recipe's sources. **Writes** documents and their revisions to the warehouse.
"""

import datetime

from airflow.sdk import DAG, CronTriggerTimetable, Param, chain, task, task_group
from airflow.sdk.exceptions import AirflowException

from include.assets import documents
from include.crawl_sources import SOURCE_OF_JOB, check_crawls, list_crawls
from include.jobs import JobOperator
from include.pipelines import RECIPE_OF_TASK, pipeline, publish, which_recipes
from include.recipe_files import author_id

MONGO_CONNECTION = "mongo_default"
#: Where the jobs keep documents, unless the connection's schema names another database.
DATABASE = "twin"


@task(map_index_template=RECIPE_OF_TASK, trigger_rule="none_failed")
def count_documents(recipe: str) -> int:
    """Count the author's live documents; none at all is an error, whatever the crawl said."""
    from airflow.providers.mongo.hooks.mongo import MongoHook

    author = author_id(recipe)
    with MongoHook(MONGO_CONNECTION) as warehouse:
        database = warehouse.connection.schema or DATABASE
        count = warehouse.get_collection("documents", database).count_documents(
            {"author_id": author, "status": "live"}
        )
    if count == 0:
        raise AirflowException(
            f"the warehouse holds no live document of author {author!r}: does recipe "
            f"{recipe!r} name the right sources, and does connection {MONGO_CONNECTION} lead to "
            "the warehouse that the jobs write to?"
        )
    return int(count)


with DAG(
    "crawl",
    description="Fetch what the author has published into the warehouse.",
    # Without a start date and with no look back, a new installation waits for its first night.
    schedule=CronTriggerTimetable(
        "0 3 * * *", timezone="UTC", run_immediately=datetime.timedelta(0)
    ),
    **pipeline(
        __doc__,
        late_after=datetime.timedelta(hours=14),
        tags=["nightly"],
        params={
            "full": Param(
                False,
                type="boolean",
                title="Fetch everything again",
                description="Also fetch what has not changed since the last crawl.",
            ),
            "links": Param(
                [],
                type=["array", "null"],
                items={"type": "string"},
                title="Links",
                description="Pages or publications to crawl instead of the recipe's sources, "
                "one a line.",
            ),
        },
    ),
) as dag:
    recipes = which_recipes()
    crawls = list_crawls(recipes)
    crawl = JobOperator.partial(
        task_id="crawl",
        job="crawl run",
        map_index_template=SOURCE_OF_JOB,
        # Politeness takes time; the pod of the profile has as much.
        execution_timeout=datetime.timedelta(hours=12),
    ).expand_kwargs(crawls)

    @task_group
    def one_author(recipe: str) -> None:
        """Close the crawl of one recipe."""
        chain(
            check_crawls(recipe=recipe, crawls=crawls, task_id=crawl.task_id),
            count_documents(recipe=recipe),
            publish(documents)(recipe=recipe),
        )

    crawl >> one_author.expand(recipe=recipes)
