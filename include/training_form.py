"""What the form of the pipeline *training* asks for, as an option of its jobs."""

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Param

from include.sample_form import AS_IN_RECIPE

METHODS = ("lora", "dora", "qlora", "full")
"""Ways of training: the values of `training.method`."""

MAX_RANK = 1024
"""Of an adapter, as the recipe's schema has it."""

#: `values_option` of a run, as the pipeline's macro of this name gives it.
VALUES = "{{ values_option(params) }}"

#: Field of the form to the recipe's key.
KEYS = {
    "base_model": "training.base_model",
    "steps": "training.sft.max_steps",
    "learning_rate": "training.sft.learning_rate",
    "rank": "training.lora.rank",
}


def training_params() -> dict[str, Param]:
    """The fields of the form; each left as it is means what the recipe says."""
    return {
        "steps": Param(
            None,
            type=["integer", "null"],
            minimum=1,
            title="Steps",
            description="Of fine-tuning (sft), whatever the number of epochs.",
        ),
        "learning_rate": Param(
            None,
            type=["number", "null"],
            exclusiveMinimum=0,
            exclusiveMaximum=1,
            title="Learning rate",
            description="Of fine-tuning (sft), at its highest.",
        ),
        "rank": Param(
            None,
            type=["integer", "null"],
            minimum=1,
            maximum=MAX_RANK,
            title="Rank",
            description="Of the adapter; training.lora.alpha stays, so a larger rank makes each "
            "step of it smaller.",
        ),
        "base_model": Param(
            None,
            type=["string", "null"],
            pattern=r"^[^\s,]+$",
            title="Base model",
            description="A name as recipes have it: gemma3-270m, owner/model@revision.",
        ),
        "method": Param(
            AS_IN_RECIPE,
            type="string",
            enum=[AS_IN_RECIPE, *METHODS],
            title="Method",
            description="What is trained: an adapter (lora, dora, qlora) or every weight (full).",
        ),
        "set": Param(
            None,
            type=["string", "null"],
            pattern=r"^\s*training\.[a-z_.]+=[^,]+(,\s*training\.[a-z_.]+=[^,]+)*$",
            title="Other values",
            description="Values that hold in this run instead of the recipe's, with commas "
            "between: training.seed=12, training.dpo.enabled=false",
        ),
    }


def values_option(params: Mapping[str, Any]) -> str:
    """The option ``--set`` with all that the form was given; "" for nothing."""
    given = {key: params[field] for field, key in KEYS.items() if params[field] is not None}
    if params["method"] != AS_IN_RECIPE:
        given["training.method"] = params["method"]
    values = [f"{key}={value}" for key, value in given.items()]
    if params["set"]:
        values.append(params["set"].strip())
    return f"--set={','.join(values)}" if values else ""
