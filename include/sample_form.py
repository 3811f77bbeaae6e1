"""What the form of the pipeline *datasets* asks for, as options of its jobs."""

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Param, task

KINDS = ("instruction", "question", "rewrite")
"""What a teacher can write to a passage: the fields of `datasets.teacher.kinds`."""

AS_IN_RECIPE, NO_TEACHER = "as in the recipe", "none"

MOST_SHARDS = 64

#: `values_option` of a run, as the pipeline's macro of this name gives it.
VALUES = "{{ values_option(params) }}"

#: How the task of one shard is called in the web UI.
SHARD_OF_JOB = "{{ task.recipe }}: {{ task.options[0].partition('=')[2] }}"


def sample_params() -> dict[str, Param]:
    """The fields of the form; each left as it is means what the recipe says."""
    return {
        "samples": Param(
            None,
            type=["integer", "null"],
            minimum=1,
            title="Samples",
            description="At most so many, those that a person wrote before any other.",
        ),
        "teacher": Param(
            AS_IN_RECIPE,
            type="string",
            enum=[AS_IN_RECIPE, NO_TEACHER],
            title="Teacher",
            description="Whether a language model helps, where the recipe names one.",
        ),
        "kinds": Param(
            [],
            type=["array", "null"],
            items={"type": "string", "enum": list(KINDS)},
            examples=list(KINDS),
            title="What the teacher writes",
            description="These to every passage that is trained on, and no others; none chosen: "
            "what the recipe says.",
        ),
        "tokens": Param(
            None,
            type=["integer", "null"],
            minimum=1,
            title="Budget of the teacher",
            description="Tokens, of prompts and answers, at which it ends.",
        ),
        "shards": Param(
            1,
            type="integer",
            minimum=1,
            maximum=MOST_SHARDS,
            title="Shards",
            description="Tasks, each with a pod of its own, that read the index at the same time; "
            "they pay from some 50,000 passages on. The samples are the same.",
        ),
        "set": Param(
            None,
            type=["string", "null"],
            pattern=r"^\s*datasets\.[a-z_.]+=[^,]+(,\s*datasets\.[a-z_.]+=[^,]+)*$",
            title="Other values",
            description="Values that hold in this run instead of the recipe's, with commas "
            "between: datasets.seed=12, datasets.teacher.endpoint.model=another",
        ),
    }


def values_option(params: Mapping[str, Any]) -> str:
    """The option ``--set`` with all that the form was given; "" for nothing."""
    values = [f"datasets.max_samples={params['samples']}"] if params["samples"] else []
    if params["teacher"] == NO_TEACHER:
        values.append("datasets.teacher=null")
    else:
        values += _teachers(params)
    if params["set"]:
        values.append(params["set"].strip())
    return f"--set={','.join(values)}" if values else ""


def _teachers(params: Mapping[str, Any]) -> list[str]:
    chosen = set(params["kinds"] or ())
    values = [f"datasets.teacher.kinds.{kind}={int(kind in chosen)}" for kind in KINDS]
    tokens = [f"datasets.teacher.budget.tokens={params['tokens']}"] if params["tokens"] else []
    return [*(values if chosen else []), *tokens]


def shards_of(recipe: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Arguments of one `include.jobs.JobOperator` for each shard; of a single one none."""
    count = params["shards"]
    if count == 1:
        return []
    # The values as a template: what is mapped is rendered by Jinja, and these come from a form.
    return [
        {"recipe": recipe, "options": [f"--shard={number}/{count}", VALUES]}
        for number in range(1, count + 1)
    ]


@task
def list_shards(recipes: list[str], *, params: dict[str, Any]) -> list[dict[str, Any]]:
    """The shards of these recipes: none where the job that joins them does all."""
    return [shard for recipe in recipes for shard in shards_of(recipe, params)]
