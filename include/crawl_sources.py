"""What one run of the pipeline *crawl* fetches: a task for every source, or for every link."""

from typing import Any

from airflow.sdk import TriggerRule, task
from airflow.sdk.exceptions import AirflowFailException

from include.pipelines import RECIPE_OF_TASK
from include.recipe_files import read_sources

#: Profiles: a source whose pages only a browser can read needs the second, which has one beside it.
CRAWL, CRAWL_IN_BROWSER = "crawl", "crawl-browser"

#: How the task of one source is called in the web UI.
SOURCE_OF_JOB = "{{ task.recipe }}: {{ task.options[0].partition('=')[2] or 'all sources' }}"

GOOD_STATES = {"success", "skipped"}

Crawl = dict[str, Any]


def crawls_of(recipe: str, links: list[str], full: bool) -> list[Crawl]:
    """Arguments of one `include.jobs.JobOperator` each: the links, or every source.

    A recipe that cannot be read gets one task, whose job says what is wrong with it; so it holds
    up no other recipe.
    """
    try:
        sources = read_sources(recipe)
    except AirflowFailException:
        sources = []
    profiles = [(f"--link={url}", CRAWL) for url in links] or [
        (f"--source={source['name']}", CRAWL_IN_BROWSER if source.get("javascript") else CRAWL)
        for source in sources
    ]
    more = ["--full"] if full else []
    return [
        {"recipe": recipe, "options": [option, *more], "profile": profile}
        for option, profile in profiles or [("", CRAWL)]
    ]


@task
def list_crawls(recipes: list[str], *, params: dict[str, Any]) -> list[Crawl]:
    """One crawl for every source of these recipes, or for every link pasted into the form."""
    links = [_encoded(link) for link in params["links"] or ()]
    return [crawl for recipe in recipes for crawl in crawls_of(recipe, links, params["full"])]


def _encoded(link: str) -> str:
    """A link with its braces as URLs carry them (RFC 3986): what is mapped is rendered by Jinja."""
    return link.strip().replace("{", "%7B").replace("}", "%7D")


@task(trigger_rule=TriggerRule.ALL_DONE, map_index_template=RECIPE_OF_TASK)
def check_crawls(recipe: str, crawls: list[Crawl], task_id: str, *, ti: Any) -> None:
    """Fail if a source of this recipe failed; the others have been crawled all the same.

    Args:
        recipe: name of the recipe.
        crawls: what `list_crawls` gave, in that order.
        task_id: of the mapped task that did them.
        ti: filled in by Airflow.

    Raises:
        AirflowFailException: names the sources that failed.
    """
    states = ti.get_task_states(ti.dag_id, task_ids=[task_id], run_ids=[ti.run_id])[ti.run_id]
    failed = [
        crawl["options"][0].partition("=")[2] or "all sources"
        for index, crawl in enumerate(crawls)
        if crawl["recipe"] == recipe and states.get(f"{task_id}_{index}") not in GOOD_STATES
    ]
    if failed:
        raise AirflowFailException(
            f"recipe {recipe}: not crawled: {', '.join(failed)}. What the other sources gave is "
            "stored. The logs of these tasks say why; clear them to try again."
        )
