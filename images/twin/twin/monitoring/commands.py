"""Commands of `twin monitoring`."""

from typing import Annotated

import typer

from twin.job import Job, RecipeOption, ResultOption, RunIdOption, plain_errors, run_job

app = typer.Typer(
    help="A twin in service: what got stale, drifted or worse, and what follows.",
    no_args_is_help=True,
)


@app.command()
def run(
    recipe: RecipeOption,
    paused: Annotated[
        bool, typer.Option("--paused", help="Start nothing, as with monitoring.paused.")
    ] = False,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Look at a twin once: sources, index, samples, known questions, answers, feedback.

    Reads the warehouse, the index, the registry, samples, and the endpoint, which is asked with the
    first of TWIN_API_KEYS. Writes `monitoring/<recipe>.json` in the file store and a run in MLflow.
    What is away is unknown, not bad. The result's detail says what people are to be told and which
    pipelines to start; the DAG *monitoring* does both, every hour.
    """
    from twin.monitoring.run import run_monitoring

    def body(job: Job) -> None:
        run_monitoring(job, paused=paused)

    run_job("monitoring run", body, recipe=recipe, run_id=run_id, result=result)


@app.command()
def questions(
    recipe: RecipeOption, run_id: RunIdOption = None, result: ResultOption = None
) -> None:
    """Write the page of what readers ask and are not answered well, alike questions together.

    Reads kept answers that were refused, had no source or were found bad. Writes `questions.html`,
    `questions.md` and `proposed.yaml` (questions for `datasets.written`, for a person to complete)
    to `monitoring/questions/<recipe>` of the file store; `monitoring.questions` of the recipe has
    the knobs. Ends with 99, nothing to do, where too few have failed.
    """
    from twin.monitoring.run_questions import report_questions

    run_job("monitoring questions", report_questions, recipe=recipe, run_id=run_id, result=result)


@app.command()
def topics(recipe: RecipeOption, run_id: RunIdOption = None, result: ResultOption = None) -> None:
    """Write the page of what the author writes about, month by month, beside what readers ask for.

    Topics are groups of the index's passages, named by their words; the same index gives the same
    ones. A reader counts once, and a topic that readers ask for more than is written of it, beyond
    chance, is marked. Writes `topics.html`, `topics.md` and `topics.json` to
    `monitoring/topics/<recipe>` of the file store; `monitoring.topics` of the recipe has the knobs.
    Ends with 99, nothing to do, where the index has too few passages.
    """
    from twin.monitoring.run_topics import report_topics

    run_job("monitoring topics", report_topics, recipe=recipe, run_id=run_id, result=result)


@app.command()
def costs(
    recipe: RecipeOption,
    month: Annotated[
        str | None, typer.Option("--month", help="As 2026-05, in UTC; this month if not given.")
    ] = None,
) -> None:
    """Show what a twin costs in a month: hours and GPU hours by step, answers, teacher, storage.

    Money is GPU hours by `monitoring.rules.training.budget.price`. Reads MLflow's runs, kept
    answers, the newest samples' manifest and the file store. Writes nothing.
    """
    from datetime import UTC, datetime

    from twin.monitoring.show_costs import costs_of
    from twin.recipes import load_recipe
    from twin.settings import get_settings

    with plain_errors("monitoring costs"):
        settings, now = get_settings(), datetime.now(UTC)
        loaded = load_recipe(recipe, settings.recipes, settings.overrides)
        found = costs_of(settings, loaded, month or f"{now:%Y-%m}", now)
        typer.echo("\n".join([f"{loaded.name}, {found.month}", *found.lines()]))


@app.command()
def gc(
    recipe: RecipeOption,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete it, as with monitoring.garbage.delete.")
    ] = False,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Name what nothing needs any more, with its size; delete it with --delete.

    Weights, trainings with their adapters and checkpoints, rerankers, sample sets with their pairs
    and tables of generations, copies of the index, answers and scores of evaluations. Kept is what
    an alias points at, serves or would be gone back to, is being trained, measured or rolled out,
    is among the newest, is younger than `monitoring.garbage.least_days`, is asked for by the report
    of such a version, and all that it learnt from. A version whose weights are deleted says so in
    the registry, and can't be promoted. Ends with 99, nothing to do, where there is no garbage.
    """
    from twin.monitoring.collect import collect_garbage

    def body(job: Job) -> None:
        collect_garbage(job, delete=delete)

    run_job("monitoring gc", body, recipe=recipe, run_id=run_id, result=result)


@app.command()
def show(recipe: RecipeOption) -> None:
    """Show where each measure stands since the last look, and what was started."""
    from twin.monitoring.show import state_lines
    from twin.recipes import load_recipe
    from twin.settings import get_settings
    from twin.stores.monitoring_states import MonitoringStates

    with plain_errors("monitoring show"):
        settings = get_settings()
        loaded = load_recipe(recipe, settings.recipes, settings.overrides)
        state, _ = MonitoringStates(settings).load(loaded.name)
        typer.echo("\n".join(state_lines(state)))
