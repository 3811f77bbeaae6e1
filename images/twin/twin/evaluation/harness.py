"""Tasks of lm-eval, done by a model of the house.

lm-eval reads the tasks, writes the prompts and tells right from wrong; its own adapter for
transformers tokenizes and generates. Likelihoods alone are computed by the house's output head,
only where a word of an answer is predicted, and summed in more than half precision: lm-eval's way
is to hold the scores of all words (262,144 of Gemma's) at each position of each prompt, in bf16.
On a Gemma of 270M that took a gigabyte more (2.5 GB against 1.5) for the same answers as fast.

Sources: L. Gao et al., "The Language Model Evaluation Harness", zenodo.10256836; S. Biderman et
al., "Lessons from the Trenches on Reproducible Evaluation of Language Models", 2024,
arXiv:2405.14782.
"""

import importlib.util
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from twin.domain.errors import BadConfigurationError, BadDataError
from twin.models.engines.transformers_model import TransformersModel
from twin.recipes.abilities import AbilitiesSection
from twin.settings import Settings

PACKAGE = "lm_eval"
BATCH = 16
"""Prompts read at once: more gain nothing on processors, and on a GPU little for small tasks."""
SEED = 13
"""Of the draw of worked examples, the same for every model."""


class TaskScores(BaseModel):
    """What a model makes of one task.

    Attributes:
        task: its name.
        metric: the first that the task names.
        items: of each question the digest that lm-eval gives it, in the task's order.
        scores: of each question, 0 to 1; of most tasks 1 where the answer is right.
    """

    model_config = ConfigDict(frozen=True)

    task: str
    metric: str
    items: tuple[str, ...]
    scores: tuple[float, ...]


def reach_harness(settings: Settings) -> None:
    """Let lm-eval be imported.

    Raises:
        BadConfigurationError: it is not there.
    """
    if importlib.util.find_spec(PACKAGE) is not None:
        return
    folder = settings.abilities_packages.resolve()
    if not (folder / PACKAGE).is_dir():
        raise BadConfigurationError(
            f"evaluation.abilities needs lm-eval, which is not in {folder}: run `make abilities`, "
            "set TWIN_ABILITIES_PACKAGES to the folder in which it is installed, or take the tasks "
            "out of the recipe"
        )
    sys.path.append(str(folder))


def load_tasks(section: AbilitiesSection, scratch: Path) -> dict[str, Any]:
    """The tasks with their questions, by name; a group's or a tag's tasks one by one.

    Args:
        section: of the recipe.
        scratch: a folder that what is read of questions may be written to.

    Raises:
        BadDataError: there is no such task, or its questions can't be read.
    """
    import datasets
    from lm_eval.tasks import TaskManager

    datasets.disable_progress_bars()
    logging.getLogger(PACKAGE).setLevel(logging.ERROR)
    own = TaskManager(include_path=section.folder, include_defaults=False)
    # To look through the 15,000 files of lm-eval takes half a minute.
    brought = set(section.tasks) - set(own.all_tasks)
    manager = TaskManager(include_path=section.folder) if brought else own
    if unknown := brought - set(manager.all_tasks):
        where = f"{section.folder} has {', '.join(own.all_tasks) or 'none'}"
        raise BadDataError(
            f"evaluation.abilities: no task {', '.join(sorted(unknown))}: "
            f"{where if section.folder else 'no folder of tasks is named'}, and lm-eval "
            "brings no such one"
        )
    wanted = [_task(name, manager, scratch, own=name not in brought) for name in section.tasks]
    try:
        return dict(manager.load(wanted)["tasks"])
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise BadDataError(
            f"evaluation.abilities: {', '.join(section.tasks)} can't be read: "
            f"{type(error).__name__}: {reason}"
        ) from None


def _task(name: str, manager: Any, scratch: Path, *, own: bool) -> str | dict[str, Any]:
    """A task as lm-eval loads it; of one's own, its questions are sought beside its file."""
    from lm_eval.tasks._yaml_loader import load_yaml

    path = manager.task_index[name].yaml_path
    if not own or path is None:
        return name
    read: dict[str, Any] = load_yaml(path, resolve_func=True)
    if "group" in read:
        return name
    local = {"data_dir": str(path.parent), "cache_dir": str(scratch)}
    read["dataset_kwargs"] = {**local, **(read.get("dataset_kwargs") or {})}
    return read


def do_tasks(
    model: TransformersModel, tasks: dict[str, Any], section: AbilitiesSection
) -> tuple[TaskScores, ...]:
    """Let a model do the tasks.

    Args:
        model: that does them.
        tasks: of `load_tasks`.
        section: of the recipe.

    Raises:
        BadDataError: a task has no score for each question, or needs what the model can't do.
    """
    from lm_eval.evaluator import evaluate  # what is about it describes the machine, for seconds

    for task in tasks.values():
        own = task.get_config("num_fewshot") or 0
        task.set_config(
            key="num_fewshot", value=own if section.few_shot is None else section.few_shot
        )
        task.set_fewshot_seed(seed=SEED)
    try:
        found = evaluate(
            lm=_adapter(model),
            task_dict={"tasks": tasks},
            limit=section.limit,
            apply_chat_template=section.chat,
            fewshot_as_multiturn=section.chat,
            bootstrap_iters=0,  # intervals are the house's, over pairs of answers
        )
    except (ValueError, TypeError, KeyError, AssertionError) as error:
        reason = " ".join(str(error).split())[:300]
        raise BadDataError(
            f"evaluation.abilities: {', '.join(tasks)} can't be done by {model.id}: {reason}"
        ) from None
    return tuple(_scores(name, found["samples"][name]) for name in tasks)


def _scores(name: str, samples: Sequence[dict[str, Any]]) -> TaskScores:
    """Of the first metric, and the first filter of answers, that the task names."""
    first = samples[0]
    metric = first["metrics"][0]
    chosen = [each for each in samples if each["filter"] == first["filter"]]
    scores = [each[metric] for each in chosen]
    if not all(isinstance(score, int | float) and 0 <= score <= 1 for score in scores):
        raise BadDataError(
            f"evaluation.abilities: the first metric of {name}, {metric}, is no score from 0 to 1 "
            "of each question: name another one first in its metric_list (acc, exact_match)"
        )
    return TaskScores(
        task=name,
        metric=metric,
        items=tuple(each["doc_hash"] for each in chosen),
        scores=tuple(map(float, scores)),
    )


def _adapter(model: TransformersModel) -> Any:
    """lm-eval's adapter, with the house's way to compute likelihoods."""
    from lm_eval.models.huggingface import HFLM

    class Adapter(HFLM):  # type: ignore[misc]
        def loglikelihood(self, requests: Any, disable_tqdm: bool = True) -> Any:  # noqa: ARG002
            return super().loglikelihood(requests, disable_tqdm=True)

        def generate_until(self, requests: Any, disable_tqdm: bool = True) -> Any:  # noqa: ARG002
            return super().generate_until(requests, disable_tqdm=True)

        def _loglikelihood_tokens(
            self,
            requests: Any,
            disable_tqdm: bool = False,  # noqa: ARG002
            override_bs: int | None = None,  # noqa: ARG002
        ) -> list[tuple[float, bool]]:
            most = self.max_length
            prompts, ends = [], []
            for _, prompt, end in requests:
                room = most - len(end)
                prompts.append(prompt[-room:] if room > 0 else prompt[-1:])
                ends.append(end)
            return model.token_likelihoods(prompts, ends)

    return Adapter(
        pretrained=model.model, tokenizer=model.tokenizer, backend="causal", batch_size=BATCH
    )
