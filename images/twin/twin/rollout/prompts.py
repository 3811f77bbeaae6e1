"""The alias of a model's prompt follows what serves: it goes back with it."""

from twin.domain.errors import BadDataError, TwinError
from twin.domain.rollout import ServedVersion
from twin.job import Job, log
from twin.stores.prompts import Prompts, prompt_name
from twin.stores.serve_config import recipe_of

UNMOVED = "the prompt's alias champion is not moved"


def move_prompt(job: Job, version: ServedVersion) -> None:
    """Move the alias to what the version was asked by, if that was a registered prompt.

    Raises:
        TryAgainError: MLflow is away.
    """
    prompt = recipe_of(version).prompt
    if prompt.version is None:
        return
    try:
        with Prompts(job.settings) as prompts:
            prompts.promote(prompt_name(job.recipe.model_name), str(prompt.version))
    except BadDataError as error:
        log.warning(UNMOVED, reason=str(error))


def restore_prompt(job: Job, serving: ServedVersion, *, failed: ServedVersion) -> None:
    """Point the alias back at the prompt that serves, if it still is at the one that has failed.

    That MLflow is away changes nothing of what serves.
    """
    tried, kept = (recipe_of(item).prompt.version for item in (failed, serving))
    if tried is None or tried == kept:
        return
    if kept is None:
        log.warning(
            "what serves is asked by the recipe's own prompt, which no alias can name: remove the "
            "alias champion of the prompt in MLflow, or move it",
            failed=tried,
        )
        return
    name = prompt_name(job.recipe.model_name)
    try:
        with Prompts(job.settings) as prompts:
            champion = prompts.champion(name)
            if champion is not None and champion.version == str(tried):
                prompts.promote(name, str(kept))
    except TwinError as error:
        log.warning(UNMOVED, reason=str(error))
