"""A recipe with the prompt that its models are asked by: the registry's champion, else its own.

Training, evaluation, exported samples and rollouts all come by it here, once, when a job begins;
so one job sees one prompt, and a replica that serves reads no registry.
"""

from collections.abc import Callable

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from twin.domain.errors import TryAgainError
from twin.job import Job
from twin.recipes import Recipe
from twin.recipes.prompt import BUILT_IN_VERSION, PromptSection
from twin.settings import Settings
from twin.stores.files import FileStore, open_files
from twin.stores.prompts import Prompts, PromptVersion, check_registered, prompt_name
from twin.stores.registry import ModelVersion
from twin.stores.rerankers import with_pinned_reranker

FOLDER = "prompts"

#: Tags of a model version: the prompt that it was trained with, by its label and by its text.
PROMPT_VERSION = "prompt_version"
PROMPT_DIGEST = "prompt_digest"

log = structlog.get_logger("twin")


class _LastKnown(BaseModel):
    """What the registry said when it last answered; without a version: there is no champion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: PromptSection | None = None


def with_champion_prompt(recipe: Recipe, settings: Settings) -> Recipe:
    """The recipe with the champion of its prompt in place of its own template, if there is one.

    While MLflow is away it is the last one known, from ``prompts/<model>.json`` in the file store.

    Raises:
        BadDataError: the champion's template can't be shown; says what to do.
        BadConfigurationError: MLflow refuses the credentials.
    """
    files = open_files(settings)
    name = prompt_name(recipe.model_name)
    try:
        with Prompts(settings) as prompts:
            champion = prompts.champion(name)
    except TryAgainError as error:
        prompt = _last_known(files, recipe.model_name)
        log.warning(
            "the prompt registry does not answer: going on with the last prompt known",
            prompt=(prompt or recipe.prompt).label,
            reason=str(error),
        )
        return _with(recipe, prompt)
    prompt = None if champion is None else _section(champion)
    _keep(files, recipe.model_name, prompt)
    return _with(recipe, prompt)


def by_champion_prompt(body: Callable[[Job], None]) -> Callable[[Job], None]:
    """A job's body whose recipe has the prompt and the reranker that are served now."""

    def prompted(job: Job) -> None:
        recipe = with_champion_prompt(job.recipe, job.settings)
        job.recipe = with_pinned_reranker(recipe, job.settings)
        job.result.ids["prompt_version"] = job.recipe.prompt.label
        body(job)

    return prompted


def warn_of_another_prompt(version: ModelVersion, prompt: PromptSection) -> bool:
    """Log that a model is asked by another prompt than in its training; whether it is so."""
    trained = _trained_with(version)
    if trained in (None, prompt.digest):
        return False
    log.warning(
        "this version was trained with another prompt than it is asked by: compare its answers "
        "by twin evaluation run, or train it anew",
        model=version.name, version=version.version,
        trained=version.tags.get(PROMPT_VERSION), asked=prompt.label,
    )  # fmt: skip
    return True


def _trained_with(version: ModelVersion) -> str | None:
    """Digest of the prompt that a version was trained with; None: nobody knows."""
    if PROMPT_DIGEST in version.tags:
        return version.tags[PROMPT_DIGEST]
    # Versions of before prompts could differ have no digest.
    is_built_in = version.tags.get(PROMPT_VERSION) == BUILT_IN_VERSION
    return PromptSection().digest if is_built_in else None


def _section(champion: PromptVersion) -> PromptSection:
    check_registered(champion)
    return PromptSection(template=champion.template, version=int(champion.version))


def _with(recipe: Recipe, prompt: PromptSection | None) -> Recipe:
    return recipe if prompt is None else recipe.model_copy(update={"prompt": prompt})


def _name(model: str) -> str:
    return f"{FOLDER}/{model}.json"


def _last_known(files: FileStore, model: str) -> PromptSection | None:
    if not files.exists(_name(model)):
        return None
    try:
        return _LastKnown.model_validate_json(files.read_bytes(_name(model))).prompt
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        log.warning("the last prompt known can't be read", file=_name(model), reason=reason)
        return None


def _keep(files: FileStore, model: str, prompt: PromptSection | None) -> None:
    known = _LastKnown(prompt=prompt).model_dump_json()
    if prompt is None and not files.exists(_name(model)):
        return
    if not files.exists(_name(model)) or files.read_text(_name(model)) != known:
        files.write_text(_name(model), known)
