"""What the DAGs of all pipelines have in common.

Every pipeline has the same shape: find out which recipes it is about, work on each of them on
its own (one that fails holds up no other), and update an asset for each that succeeded. A job
with nothing to do counts as success: its output is known to be current. So any run of the crawl
walks the whole chain and repairs a link that broke last time.
"""

import datetime
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference, Param, TriggerRule, task
from airflow.sdk.exceptions import AirflowSkipException

from include.alerts import Alert, tell_late
from include.links import check_links
from include.recipe_files import broken_recipes, has_rule, recipe_names
from include.runtime import read_runtime

if TYPE_CHECKING:
    from airflow.sdk import Asset
    from airflow.sdk.definitions.xcom_arg import XComArg

OWNER = "llm-twin"
#: How a task of one recipe is called in the web UI.
RECIPE_OF_JOB = "{{ task.recipe }}"
RECIPE_OF_TASK = "{{ task.op_kwargs['recipe'] }}"
#: The pool of tasks that load a model; it counts deferred tasks too.
GPU_POOL = "gpu"


def pipeline(
    doc: str | None, *, late_after: datetime.timedelta | None = None, **more: Any
) -> dict[str, Any]:
    """Arguments of `airflow.sdk.DAG` that all pipelines share, and ``more``.

    Args:
        doc: what the pipeline does; recipes that the form does not offer are told below it.
        late_after: since a run was queued, after which people are told that it has not ended.
        more: of this pipeline.
    """
    if late_after:
        more["deadline"] = DeadlineAlert(
            DeadlineReference.DAGRUN_QUEUED_AT, late_after, AsyncCallback(tell_late)
        )
    broken = broken_recipes()
    params = {"recipe": recipe_param(broken), **more.pop("params", {})}
    return shared(params=params, doc_md=f"{doc or ''}{_told(broken)}", **more)


def _told(broken: Mapping[str, str]) -> str:
    """What the documentation of a DAG says of recipes that are not offered."""
    if not broken:
        return ""
    lines = (f"- `{name}`: {fault}" for name, fault in sorted(broken.items()))
    return (
        "\n## Recipes that are not offered\n\n"
        "These are broken; `twin recipe check NAME` says more. Once mended, they are offered "
        "within seconds:\n\n" + "\n".join(lines) + "\n"
    )


def shared(**more: Any) -> dict[str, Any]:
    """Arguments of `airflow.sdk.DAG` that all DAGs here share, and ``more``.

    Failures that may pass (a store away, a node gone) are retried with growing pauses;
    `include.jobs.JobOperator` says which are not worth it.
    """
    tags = ["llm-twin", *more.pop("tags", ())]
    defaults = {
        "owner": OWNER,
        "retries": 3,
        "retry_delay": datetime.timedelta(seconds=30),
        "retry_exponential_backoff": 2,
        "max_retry_delay": datetime.timedelta(minutes=15),
        "execution_timeout": datetime.timedelta(hours=6),
        "on_failure_callback": [Alert()],
    }
    return {
        "catchup": False,
        "max_active_runs": 1,
        "default_args": defaults,
        "tags": tags,
        "render_template_as_native_obj": False,
        **more,
    }


def recipe_param(broken: Collection[str] = ()) -> Param:
    """The field of the form in which one picks a recipe, of those that are not ``broken``."""
    names = [name for name in recipe_names() if name not in broken]
    return Param(
        names[0] if names else None,
        type="string",
        enum=names,
        title="Recipe",
        description="The twin to work on: a file of include/recipes.",
    )


@task(execution_timeout=datetime.timedelta(minutes=5))
def which_recipes(
    rule: str = "",
    *,
    params: dict[str, Any],
    triggering_asset_events: Any = None,
    dag_run: Any = None,
) -> list[str]:
    """The recipes of this run: those its input was updated for, or the one picked in the form.

    A model registry may be shared with others, so names that no recipe here has are left out.

    Args:
        rule: of the recipe's `monitoring.rules`: a recipe that has it is left out where its input
            was updated, since monitoring then decides when this pipeline runs.
        params: filled in by Airflow, as is what follows.
        triggering_asset_events: the updates of the input.
        dag_run: this run.

    Raises:
        AirflowFailException: the form was given links, and one is none.
    """
    check_links(params.get("links") or ())

    named = [
        name
        for events in (triggering_asset_events or {}).values()
        for event in events
        for name in recipes_of_event(event.extra)
    ]
    if rule and named:
        return [name for name in _known(named) if not has_rule(name, rule)]
    if not named and str(getattr(dag_run, "run_type", "")) == "scheduled":
        named = list(read_runtime().nightly_recipes)
    return _known(named or [params["recipe"]])


def _known(named: Collection[str]) -> list[str]:
    """Those that a recipe here has."""
    import logging

    unknown = sorted(set(named) - set(recipe_names()))
    if unknown:
        logging.getLogger(__name__).warning("No recipe here is named %s", ", ".join(unknown))
    return sorted(set(named) - set(unknown))


def recipes_of_event(extra: dict[str, Any]) -> list[str]:
    """The recipes that an asset event names: one of ours, or one of `ChampionTrigger`."""
    if extra.get("from_trigger"):
        return [str(extra["payload"]["recipe"])]
    return [str(name) for name in extra.get("recipes", ())]


def publish(
    asset: "Asset", *, only_if: Callable[[str], str | None] | None = None
) -> "Callable[..., XComArg]":
    """A task ``publish`` that updates ``asset``; to be called with ``recipe=…``.

    It runs if no task before it failed, also if they had nothing to do.

    Args:
        asset: what to update.
        only_if: asked with the recipe's name for a reason not to update; None means do.
    """

    @task(
        task_id="publish",
        outlets=[asset],
        trigger_rule=TriggerRule.NONE_FAILED,
        map_index_template=RECIPE_OF_TASK,
        execution_timeout=datetime.timedelta(minutes=5),
    )
    def publish_asset(recipe: str, *, outlet_events: Any = None) -> None:
        if only_if and (reason := only_if(recipe)):
            raise AirflowSkipException(reason)
        outlet_events[asset].extra = {"recipes": [recipe]}

    made: Callable[..., XComArg] = publish_asset
    return made
