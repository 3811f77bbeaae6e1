"""What a job's pod is made of: the profile, what the recipe asks for, and whose pod it is."""

import os
import re
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from include.job_resources import (
    IMAGE_VARIANT,
    ResourcesError,
    asked_by,
    profiles_of,
    template_for,
)
from include.recipe_files import read_recipe, recipe_names
from include.runtime import Runtime

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.jobs import JobOperator

#: Target of images/twin/Dockerfile that carries what a stage needs.
IMAGE_OF_STAGE = {
    "backup": "features",
    "crawl": "crawl",
    "features": "features",
    "models": "train",
    "datasets": "train",
    "training": "train",
    "evaluation": "train",
    "monitoring": "serve",
    "rollout": "serve",
    "serving": "serve",
}

#: Secret, if there is one, whose variables go before those of the profile's, by stage: training may
#: come to the model registry as a user that can promote nothing.
CREDENTIALS_OF_STAGE = {"training": "twin-credentials-training"}

#: Target for jobs whose profile has a browser beside them: of another image than their stage's.
IMAGE_OF_PROFILE = {"crawl-browser": "crawl-browser"}

#: What profiles name in place of the job's image.
NO_IMAGE = "set-by-the-operator"

#: Annotations of a profile: how long Airflow waits for a node to take the pod (a node pool may
#: have to grow first), and then for its container to run (images are pulled meanwhile).
SCHEDULE_TIMEOUT = "llm-twin/schedule-timeout-seconds"
STARTUP_TIMEOUT = "llm-twin/startup-timeout-seconds"

#: Annotations that say whose pod it is: labels hold hashes where a name has other characters
#: than labels may have. `include.orphans` reads them.
DAG_ID, TASK_ID = "llm-twin/dag-id", "llm-twin/task-id"
RUN_ID, MAP_INDEX = "llm-twin/run-id", "llm-twin/map-index"

#: The setting by which a job's audit log names who acts.
ACTOR = "TWIN_ACTOR"
#: Variables of OpenLineage: the run that a job's events have as their parent, and whose it is.
PARENT, LINEAGE_NAMESPACE = "OPENLINEAGE_PARENT_ID", "OPENLINEAGE_NAMESPACE"


def pod_name(job: str) -> str:
    """How the pods of a job are called, before Airflow makes the name unique."""
    return "twin-" + "-".join(re.findall(r"[a-z0-9]+", job))


def asked_for(recipe: object, stage: str, profile: str) -> dict[str, Any]:
    """What a recipe asks for the pod of a job.

    Args:
        recipe: its name; of one that is unknown here nothing is known (its job refuses it).
        stage: of the job.
        profile: of the job; another than its stage's own is for a small job, which asks nothing.

    Raises:
        AirflowFailException: the recipe is no YAML mapping.
    """
    name = str(recipe)
    if profile not in profiles_of(stage) or name not in recipe_names():
        return {}
    return asked_by(read_recipe(name), stage)


def template_of(runtime: Runtime, job: "JobOperator") -> dict[str, Any]:
    """The pod template of a job: its profile with what its recipe asks for.

    Raises:
        AirflowFailException: this cluster does not give that.
    """
    asked = asked_for(job.recipe, job.stage, job.profile)
    try:
        return template_for(runtime, job.profile, asked, several_gpus=job.several_gpus)
    except ResourcesError as error:
        raise AirflowFailException(f"recipe {job.recipe}: resources.{job.stage}: {error}") from None


def with_image(template: dict[str, Any], image: str) -> dict[str, Any]:
    """The template, whose containers beside the job (a browser) run the job's image where they name
    none of their own."""
    for container in template["spec"].get("initContainers", ()):
        if container.get("image", NO_IMAGE) == NO_IMAGE:
            container["image"] = image
    return template


def variant_of(template: Mapping[str, Any]) -> str | None:
    """The kind of image that a pod template asks for, such as ``cuda``; None: for processors."""
    variant: str | None = (template["metadata"].get("annotations") or {}).get(IMAGE_VARIANT)
    return variant


def whose(ti: Any) -> dict[str, str]:
    """Annotations that name the task of a pod."""
    return {
        DAG_ID: ti.dag_id,
        TASK_ID: ti.task_id,
        RUN_ID: ti.run_id,
        MAP_INDEX: str(-1 if ti.map_index is None else ti.map_index),
    }


def parent_run(ti: Any) -> str:
    """The DAG's run as OpenLineage names a parent: namespace, name and an id that is a UUID."""
    namespace = os.environ.get(LINEAGE_NAMESPACE, "llm-twin")
    identity = uuid.uuid5(uuid.NAMESPACE_URL, f"{namespace}/{ti.dag_id}/{ti.run_id}")
    return f"{namespace}/{ti.dag_id}/{identity}"


def actor(context: "Context") -> str:
    """The user who started the run in Airflow, or Airflow itself."""
    user = getattr(context.get("dag_run"), "triggering_user_name", None)
    return f"airflow:{user}" if user else "airflow"
