"""Commands of `twin laptop`."""

from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console

from twin.domain.errors import TwinError
from twin.laptop.platform import Platform
from twin.settings import get_laptop_settings

app = typer.Typer(
    help="The whole platform as processes on one machine (what `make up` and `make demo` run).",
    no_args_is_help=True,
)


@app.command()
def up() -> None:
    """Start warehouse, MLflow, Ray Serve and Airflow, and wait until all are ready.

    Writes: everything below .twin/ (TWIN_LAPTOP_HOME). Does nothing to what is already up.
    """
    _run(Platform.up)


@app.command()
def down() -> None:
    """End every process that `up` started. Data stays in .twin/."""
    _run(Platform.down)


@app.command()
def status() -> None:
    """Show the state of each process."""
    _run(_show_states)


@app.command()
def environment() -> None:
    """Print the platform's TWIN_* variables as `export` lines, for `eval` in a shell.

    With them the other commands (`twin warehouse list`, `twin rag ask` …) talk to this platform.
    """
    _run(_print_environment)


@app.command()
def demo(
    recipe: Annotated[str, typer.Option(help="Recipe by name or file.")] = "handbook",
    question: Annotated[
        str | None, typer.Option(help="What to ask; unset means the recipe's probe question.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Base model: a hub id, a folder, or a name of the catalogue; unset means the "
            "recipe's."
        ),
    ] = None,
) -> None:
    """Walk the whole loop: `up`, trigger the crawl DAG, follow it to a promoted model, ask it.

    Reads: the recipe, the author's sources, and the base model. Writes: .twin/.
    """

    def walk(platform: Platform) -> None:
        from twin.laptop.base_model import use_base_model
        from twin.laptop.demo import Demo
        from twin.recipes import load_recipe

        settings = platform.jobs_settings
        use_base_model(load_recipe(recipe, settings.recipes), model, settings, platform.console)
        loaded = load_recipe(recipe, settings.recipes, settings.overrides)
        platform.up()
        Demo(platform, loaded, recipe).run(question or loaded.serving.probe_question)

    _run(walk)


@app.command()
def second(
    recipe: Annotated[str, typer.Option(help="Recipe by name or file.")] = "handbook",
) -> None:
    """After `demo`: train a short second version, so that there is one to promote and roll back.

    Triggers the DAG training with few steps and without DPO, and follows it and the evaluation to
    their ends. Such a version is a trial: it stays candidate until a person promotes it. Writes:
    .twin/.
    """

    def train(platform: Platform) -> None:
        from twin.laptop.second import SecondVersion
        from twin.recipes import load_recipe

        settings = platform.jobs_settings
        loaded = load_recipe(recipe, settings.recipes, settings.overrides)
        platform.up()
        SecondVersion(platform, loaded, recipe).run()

    _run(train)


def _run(action: Callable[[Platform], None]) -> None:
    console = Console(highlight=False)
    try:
        action(Platform(get_laptop_settings(), console))
    except TwinError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False)
        raise typer.Exit(error.exit_code) from None


def _show_states(platform: Platform) -> None:
    if not platform.processes.running():
        raise TwinError("nothing is running: `make up` starts the platform")
    for name, state in platform.processes.states().items():
        platform.console.print(f"  {name:<24} {state.lower()}")


def _print_environment(platform: Platform) -> None:
    import shlex

    for name, value in platform.environment.items():
        if name.startswith("TWIN_") and not name.startswith("TWIN_LAPTOP_"):
            print(f"export {name}={shlex.quote(value)}")
