"""Commands of `twin serving prompts`."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twin.domain.errors import BadDataError, NothingToDo
from twin.domain.terminal import printable
from twin.job import RecipeOption, plain_errors
from twin.recipes import Recipe, load_recipe
from twin.recipes.prompt import PromptSection
from twin.settings import Settings, get_settings

if TYPE_CHECKING:
    from twin.stores.prompts import PromptVersion

app = typer.Typer(
    help="The words around every question: templates in the prompt registry, versioned.",
    no_args_is_help=True,
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
VersionArgument = Annotated[str, typer.Argument(metavar="VERSION", help="As `list` names it.")]
FILE_BYTES = 100_000


@app.command()
def register(
    recipe: RecipeOption,
    file: Annotated[
        Path | None,
        typer.Argument(help="The template, in UTF-8; the recipe's own if not given."),
    ] = None,
    message: Annotated[
        str, typer.Option("--message", "-m", help="What it is good for, in a line.")
    ] = "",
) -> None:
    """Register a template as the next version of the recipe's prompt; nothing serves it yet.

    A template is Jinja2 with the placeholders {{ author }}, {{ passages }} and {{ question }}, and
    with {% if passages %}…{% else %}…{% endif %}. It has to show the question once, and the
    passages once where there are any; what it may not hold is refused here. A template that is
    registered already keeps its version.

    Reads: the file. Writes: the prompt registry (MLflow), with an entry in the audit log.
    """
    from twin.stores.prompts import Prompts

    with plain_errors("serving prompts register"):
        own, settings, name = _recipe(recipe)
        template = own.prompt.template if file is None else _read(file)
        with Prompts(settings) as prompts:
            version, new = prompts.register(name, template, message)
            url = prompts.url(name)
        if not new:
            raise NothingToDo(f"{name} version {version.version} is this template: {url}")
        _audit(settings, "prompt registered", version)
    typer.echo(f"{name} version {version.version}: {url}")


@app.command("list")
def list_prompts(recipe: RecipeOption, as_json: JsonOption = False) -> None:
    """List the versions of the recipe's prompt, oldest first.

    Reads: the prompt registry. Writes: nothing.
    """
    from twin.stores.prompts import Prompts

    with plain_errors("serving prompts list"):
        _, settings, name = _recipe(recipe)
        with Prompts(settings) as prompts:
            versions = prompts.versions(name)
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in versions], ensure_ascii=False, indent=2))
        return
    for each in versions:
        created = datetime.fromtimestamp(each.created_ms / 1_000, UTC)
        words = f"{created:%Y-%m-%d %H:%M}  {', '.join(each.aliases):20}  {each.message}"
        typer.echo(printable(f"{each.version:>4}  {words}".rstrip()))
    typer.echo(f"{len(versions)} versions of {name}")


@app.command()
def show(
    recipe: RecipeOption,
    version: Annotated[
        str | None,
        typer.Argument(metavar="VERSION", help="What is asked by now if not given."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a template: the one that models are asked by, or a version of the registry.

    Reads: the prompt registry, or while it is away what was last known of it. Writes: nothing.
    """
    from twin.stores.champion_prompt import with_champion_prompt
    from twin.stores.prompts import Prompts

    with plain_errors("serving prompts show"):
        own, settings, name = _recipe(recipe)
        if version is None:
            prompt = with_champion_prompt(own, settings).prompt
            shown: dict[str, Any] = {"version": prompt.label, "template": prompt.template}
        else:
            with Prompts(settings) as prompts:
                shown = asdict(prompts.version(name, version))
    if as_json:
        typer.echo(json.dumps(shown, ensure_ascii=False, indent=2))
    else:
        typer.echo(printable(f"{name}, {shown['version']}\n\n{shown['template']}"))


@app.command()
def promote(version: VersionArgument, recipe: RecipeOption) -> None:
    """Make a version the champion: the next rollout serves it.

    Training, evaluation and exported samples ask by it from then on, and warn where a model was
    trained with another one.

    Airflow sees the alias move and rolls out; without it, run `twin rollout start`. Going back is
    promoting the earlier version. The alias may be moved in MLflow's UI just as well.

    Reads and writes: the prompt registry (MLflow), with an entry in the audit log.
    """
    from twin.stores.prompts import Prompts

    with plain_errors("serving prompts promote"):
        _, settings, name = _recipe(recipe)
        with Prompts(settings) as prompts:
            moved = prompts.promote(name, version)
            wanted = prompts.version(name, version)
        if not moved:
            raise NothingToDo(f"{name} version {version} is the champion")
        _audit(settings, "prompt promoted", wanted)
        _compare_with_training(settings, wanted)
    typer.echo(f"{name} version {version} is champion: twin rollout start --recipe {recipe}")


def _compare_with_training(settings: Settings, prompt: "PromptVersion") -> None:
    """Warn of a champion that was trained with other words than it will be asked by."""
    from twin.stores.champion_prompt import warn_of_another_prompt
    from twin.stores.prompts import SUFFIX
    from twin.stores.registry import CHAMPION, Registry

    with Registry(settings) as registry:
        champion = registry.by_alias(prompt.name.removesuffix(SUFFIX), CHAMPION)
    if champion is not None:
        section = PromptSection(template=prompt.template, version=int(prompt.version))
        warn_of_another_prompt(champion, section)


def _recipe(recipe: str) -> tuple[Recipe, Settings, str]:
    from twin.stores.prompts import prompt_name

    settings = get_settings()
    found = load_recipe(recipe, settings.recipes)
    return found, settings, prompt_name(found.model_name)


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > FILE_BYTES:
            raise BadDataError(f"{file} has more than {FILE_BYTES:,} bytes: it is no template")
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise BadDataError(f"{file} can't be read: {reason}") from None


def _audit(settings: Settings, action: str, version: "PromptVersion") -> None:
    from twin.stores.audit import note_action

    note_action(settings, action, f"{version.name} version {version.version}", None)
