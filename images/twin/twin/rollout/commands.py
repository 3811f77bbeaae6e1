"""Commands of `twin rollout`."""

import json
from typing import Annotated

import typer

from twin.domain.errors import BadDataError, NothingToDo, TryAgainError
from twin.domain.rollout import ServedVersion
from twin.job import Job, RecipeOption, ResultOption, RunIdOption, log, run_job
from twin.recipes import Recipe
from twin.settings import Settings

app = typer.Typer(help="Bring the promoted model into service, or back out.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
ToOption = Annotated[
    str | None,
    typer.Option("--to", help="Version to go back to; the one that served before if not given."),
]


@app.command()
def start(recipe: RecipeOption, run_id: RunIdOption = None, result: ResultOption = None) -> None:
    """Bring the champion into service, without losing a request.

    Reads the alias `champion` of the model, and that of its prompt, from the registry, once. Starts
    that version beside what serves, asks it a real question, shifts the traffic to it by the
    recipe's steps, and retires the old version; whatever fails puts the old weights back. Writes
    `rollouts/<model>.json` to the file store and the configuration to Ray Serve (or KubeRay's
    RayService).
    """
    from twin.stores.champion_prompt import by_champion_prompt

    run_job(
        "rollout start", by_champion_prompt(_start), recipe=recipe, run_id=run_id, result=result
    )


@app.command()
def rollback(
    recipe: RecipeOption,
    to: ToOption = None,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Bring the version that served before back into service, and make it champion again.

    After a rollout that was killed half-way, that is the version from which it started. Reads
    `rollouts/<model>.json`, so it works while MLflow is down; the alias `champion` is then left
    to be moved by hand. Goes through the same steps as `start`.
    """
    from twin.stores.champion_prompt import by_champion_prompt

    run_job(
        "rollout rollback",
        by_champion_prompt(lambda job: _rollback(job, to)),
        recipe=recipe,
        run_id=run_id,
        result=result,
    )


@app.command()
def status(
    recipe: RecipeOption,
    as_json: JsonOption = False,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Show what should serve, what does, and the last rollouts.

    Reads `rollouts/<model>.json`, Ray Serve and the endpoint; writes nothing.
    """
    run_job(
        "rollout status",
        lambda job: _status(job, as_json=as_json),
        recipe=recipe,
        run_id=run_id,
        result=result,
    )


def _start(job: Job) -> None:
    from twin.stores.registry import CHAMPION, Registry
    from twin.stores.serve_config import served_version

    model = job.recipe.model_name
    with Registry(job.settings) as registry:
        champion = registry.by_alias(model, CHAMPION)
    if champion is None:
        raise BadDataError(
            f"{model} has no champion yet: run `twin evaluation run --recipe {job.recipe.name}`, "
            "or set the alias in MLflow"
        )
    _switch(job, served_version(champion, job.recipe), job.recipe)


def _rollback(job: Job, to: str | None) -> None:
    from twin.stores.audit import note_action
    from twin.stores.rollout_states import RolloutStates
    from twin.stores.serve_config import recipe_of

    state = RolloutStates(job.settings).load(job.recipe.model_name)
    version = _registered(job, to) if to else state.rollback_target
    if version is None:
        raise BadDataError(f"{state.model}: no version served before this one; name one by --to")
    recipe = recipe_of(version)
    _move_champion(job, version)
    _switch(job, version, recipe)
    what = f"{state.model} version {version.version}"
    note_action(
        job.settings, "rolled back", what, job.run_id, {"alias": job.result.detail["alias"]}
    )


def _registered(job: Job, version: str) -> ServedVersion:
    from twin.stores.registry import Registry
    from twin.stores.serve_config import served_version

    with Registry(job.settings) as registry:
        found = registry.version(job.recipe.model_name, version)
    if found is None:
        raise BadDataError(f"{job.recipe.model_name} has no version {version}")
    return served_version(found, job.recipe)


def _move_champion(job: Job, version: ServedVersion) -> None:
    """Move the alias back too, or the next look at the registry would roll forward again."""
    from twin.stores.registry import Registry

    try:
        with Registry(job.settings) as registry:
            registry.promote(job.recipe.model_name, version.version)
        _move_prompt(job, version)
        job.result.detail["alias"] = "moved"
    except TryAgainError as error:
        job.result.detail["alias"] = "not moved"
        log.warning(
            "alias champion is not moved: move it when MLflow answers, or the next rollout "
            "brings the other version back",
            version=version.version,
            reason=str(error),
        )


def _move_prompt(job: Job, version: ServedVersion) -> None:
    """Move the prompt's alias to what the version was asked by, if that was a registered one."""
    from twin.stores.prompts import Prompts, prompt_name
    from twin.stores.serve_config import recipe_of

    prompt = recipe_of(version).prompt
    if prompt.version is None:
        return
    try:
        with Prompts(job.settings) as prompts:
            prompts.promote(prompt_name(job.recipe.model_name), str(prompt.version))
    except BadDataError as error:
        log.warning("the prompt's alias champion is not moved", reason=str(error))


def _switch(job: Job, version: ServedVersion, recipe: Recipe) -> None:
    from twin.rollout.lock import one_rollout
    from twin.rollout.shift import Shift
    from twin.stores.deployments import open_deployments
    from twin.stores.files import open_files

    name = f"{recipe.model_name} version {version.version}"
    job.result.ids.update(model=recipe.model_name, model_version=version.version)
    job.result.uris.update(endpoint=job.settings.endpoint_url, weights=version.weights_uri)
    job.counts.read += 1
    files = open_files(job.settings)
    steps = len(recipe.serving.traffic_steps) + 4
    with one_rollout(job.settings), job.progress(f"rollout of {name}", steps) as advance:
        deployments = open_deployments(job.settings)
        shift = Shift(
            recipe.model_name, job.settings, deployments, run_id=job.run_id, advance=advance
        )
        if shift.is_serving(version):
            job.counts.skipped += 1
            raise NothingToDo(f"{name} is in service")
        for uri in filter(None, (version.weights_uri, version.base_uri)):
            if not files.is_published(files.relative(uri)):
                raise BadDataError(f"{name}: no weights at {uri}")
        shift.to(version, recipe.serving)
    job.counts.written += 1


def _status(job: Job, *, as_json: bool) -> None:
    found = _report(job.recipe.model_name, job.settings)
    job.result.detail.update(found)
    typer.echo(json.dumps(found, indent=2) if as_json else _table(found))


def _report(model: str, settings: Settings) -> dict[str, object]:
    from twin.domain.rollout import application_name
    from twin.rollout.endpoint import Endpoint
    from twin.stores.deployments import open_deployments
    from twin.stores.rollout_states import RolloutStates

    state = RolloutStates(settings).load(model)
    previous = state.rollback_target
    found = open_deployments(settings).applications()
    versions = {}
    for item in state.versions:
        application = found.get(application_name(model, item.version))
        versions[item.version] = {
            "weight": state.weights.get(item.version, 0),
            "status": application.status if application else "not there",
            "message": application.message if application else "",
            "weights": item.weights_uri,
        }
    return {
        "model": model,
        "versions": versions,
        "previous": previous.version if previous else None,
        "router": Endpoint(settings).weights(model),
        "history": [item.model_dump(mode="json") for item in state.history[-10:]],
    }


def _table(found: dict[str, object]) -> str:
    lines = [f"{found['model']}   (rollback goes to version {found['previous'] or '-'})"]
    versions = found["versions"]
    assert isinstance(versions, dict)  # noqa: S101 - made in _report
    for version, item in versions.items():
        lines.append(f"  v{version:<5} {item['weight']:>4}%  {item['status']}  {item['message']}")
    history = found["history"]
    assert isinstance(history, list)  # noqa: S101
    lines += [
        f"  {item['time'][:19]}  v{item['version']:<5} {item['event']}  {item['message']}"
        for item in history
    ]
    return "\n".join(lines)
