"""Commands of `twin rollout`."""

import json
from typing import Annotated

import typer

from twin.domain.errors import BadConfigurationError
from twin.domain.rollout import Wish
from twin.job import Job, RecipeOption, ResultOption, RunIdOption, log, plain_errors, run_job

app = typer.Typer(help="Bring the promoted model into service, or back out.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
ToOption = Annotated[
    str | None,
    typer.Option(
        "--to",
        help="Version to go back to, by its number, or by its name in `status` (7-1f3a09bc); the "
        "one that served before if not given.",
    ),
]


VersionOption = Annotated[
    str | None,
    typer.Option("--model-version", help="Only if this is the one that is being brought in."),
]


OnlyWaitingOption = Annotated[
    bool,
    typer.Option("--only-waiting", help="Only if it waits for approval; else do nothing (99)."),
]


@app.command()
def start(recipe: RecipeOption, run_id: RunIdOption = None, result: ResultOption = None) -> None:
    """Bring the champion into service, without losing a request.

    Reads the alias `champion` of the model, and that of its prompt, from the registry, once. Starts
    that version, with the recipe's configuration, beside what serves, asks it real questions,
    mirrors callers' questions to it if the recipe says so, and shifts the traffic to it by the
    recipe's steps while its answers are compared with the running version's; before the last step
    it may wait for a person, by recipe.
    Whatever fails puts the old weights back and, by recipe, the alias. Where only the prompt, the
    retrieval or the decoding has changed, the same is done: nothing that serves is replaced before
    the new configuration is proven, and both share one engine. Waits for another rollout of
    this model. Writes `rollouts/<model>.json` to the file store and the configuration to Ray Serve
    (or KubeRay's RayService).
    """

    def body(job: Job) -> None:
        from twin.rollout.running import start as start_rollout
        from twin.stores.champion_prompt import by_champion_prompt

        by_champion_prompt(start_rollout)(job)

    run_job("rollout start", body, recipe=recipe, run_id=run_id, result=result)


@app.command()
def rollback(
    recipe: RecipeOption,
    to: ToOption = None,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Bring what served before back into service, and make it champion again.

    That is another version, or another configuration of the same one, which keeps the recipe that
    it served with; the recipe's file stays as it is, and is not rolled out again by itself.
    A rollout that is under way is ended first. After one that was killed half-way, the version
    from which it started is meant. Reads `rollouts/<model>.json`, so it works while MLflow is down,
    unless `--to` names a version that has not served of late; the alias `champion` is then left to
    be moved by hand. Goes through the same steps as `start`.
    """

    def body(job: Job) -> None:
        from twin.rollout.running import rollback as roll_back
        from twin.stores.champion_prompt import by_champion_prompt

        by_champion_prompt(lambda job: roll_back(job, to))(job)

    run_job("rollout rollback", body, recipe=recipe, run_id=run_id, result=result)


@app.command()
def pause(recipe: RecipeOption, run_id: RunIdOption = None, result: ResultOption = None) -> None:
    """Keep the rollout that is under way at its share of traffic, until `resume`."""
    _wish("pause", recipe, run_id, result)


@app.command()
def resume(recipe: RecipeOption, run_id: RunIdOption = None, result: ResultOption = None) -> None:
    """Let a rollout that is paused go on."""

    def body(job: Job) -> None:
        from twin.rollout.steering import resume as resume_rollout
        from twin.stores.rollout_states import RolloutStates

        resume_rollout(RolloutStates(job.settings), job.recipe.model_name)
        job.counts.written += 1

    run_job("rollout resume", body, recipe=recipe, run_id=run_id, result=result)


@app.command()
def promote(
    recipe: RecipeOption,
    version: VersionOption = None,
    only_waiting: OnlyWaitingOption = False,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Give the version that is being brought in all the traffic, without its further steps.

    So too one that waits for approval (`serving.rollout.require_approval`). Its answers are not
    compared any more; that its replicas run and that it answers is still seen to.
    """

    def body(job: Job) -> None:
        from twin.rollout.running import promote as promote_version

        promote_version(job, version, only_waiting=only_waiting)

    run_job("rollout promote", body, recipe=recipe, run_id=run_id, result=result)


@app.command()
def abort(
    recipe: RecipeOption,
    version: VersionOption = None,
    only_waiting: OnlyWaitingOption = False,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """End the rollout that is under way, waits for approval or was killed: the old weights return.

    Waits until they are in force again; the alias `champion` goes back with them.
    """

    def body(job: Job) -> None:
        from twin.rollout.running import abort as abort_rollout

        abort_rollout(job, version, only_waiting=only_waiting)

    run_job("rollout abort", body, recipe=recipe, run_id=run_id, result=result)


@app.command()
def reconcile(
    recipe: RecipeOption, run_id: RunIdOption = None, result: ResultOption = None
) -> None:
    """Compare registry, wanted state and what serves; repair what differs.

    A rollout that was killed is backed out, Serve is told anew what it has lost, a warm version
    whose time is over is retired, and a champion that never was rolled out is, or not with the
    recipe as it is now. One whose rollout has failed is told of (exit code 65). Ends with 99 where
    all agree.
    """

    def body(job: Job) -> None:
        from twin.rollout.reconciling import reconcile as reconcile_model
        from twin.stores.champion_prompt import by_champion_prompt

        by_champion_prompt(reconcile_model)(job)

    run_job("rollout reconcile", body, recipe=recipe, run_id=run_id, result=result)


@app.command()
def status(
    recipe: RecipeOption,
    as_json: JsonOption = False,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Show what should serve, what does, what is being brought in, and the last steps.

    Reads `rollouts/<model>.json`, Ray Serve and the endpoint; writes nothing.
    """

    def body(job: Job) -> None:
        from twin.rollout.standing import standing, table

        found = standing(job.recipe.model_name, job.settings)
        job.result.detail.update(found)
        typer.echo(json.dumps(found, indent=2) if as_json else table(found))

    run_job("rollout status", body, recipe=recipe, run_id=run_id, result=result)


@app.command()
def history(
    recipe: RecipeOption,
    as_json: JsonOption = False,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Show every step of the last rollouts, with the reasons of those that failed.

    Reads `rollouts/<model>.json` alone.
    """

    def body(job: Job) -> None:
        from twin.rollout.standing import history as events_of
        from twin.rollout.standing import history_lines
        from twin.stores.rollout_states import RolloutStates

        events = events_of(RolloutStates(job.settings).load(job.recipe.model_name).history)
        job.result.detail["history"] = events
        typer.echo(json.dumps(events, indent=2) if as_json else "\n".join(history_lines(events)))

    run_job("rollout history", body, recipe=recipe, run_id=run_id, result=result)


@app.command()
def webhook(
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            help="Of Airflow's page, as MLflow reaches it: https://HOST/twin/registry-webhook.",
        ),
    ],
) -> None:
    """Have MLflow tell Airflow at once that an alias has moved, signed by a secret.

    Takes TWIN_REGISTRY_WEBHOOK_SECRET, which Airflow has as AIRFLOW__TWIN__REGISTRY_WEBHOOK_SECRET.
    It is a hint: Airflow looks at the registry every 15 seconds without it. Writes one webhook to
    MLflow, or changes it; with MLflow's basic auth the user has to be an administrator. Ends with
    99 where it is as it should be.
    """
    with plain_errors("rollout webhook"):
        from twin.settings import get_settings
        from twin.stores.registry_webhook import RegistryWebhook

        settings = get_settings()
        if settings.registry_webhook_secret is None:
            raise BadConfigurationError(
                "TWIN_REGISTRY_WEBHOOK_SECRET is not set: give it 32 random characters or more, "
                "and Airflow the same (AIRFLOW__TWIN__REGISTRY_WEBHOOK_SECRET)"
            )
        with RegistryWebhook(settings) as hook:
            identity = hook.ensure(url, settings.registry_webhook_secret)
        typer.echo(f"MLflow tells {url} of aliases that move (webhook {identity})")


def _wish(what: Wish, recipe: str, run_id: str | None, result: str | None) -> None:
    def body(job: Job) -> None:
        from twin.rollout.steering import wish
        from twin.stores.rollout_states import RolloutStates

        wish(RolloutStates(job.settings), job.recipe.model_name, what)
        job.counts.written += 1
        log.info("asked for", what=what, model=job.recipe.model_name)

    run_job(f"rollout {what}", body, recipe=recipe, run_id=run_id, result=result)
