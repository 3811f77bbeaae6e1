"""Commands of `twin models`."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated

import typer

from twin.domain.errors import BadConfigurationError, BadDataError, NothingToDo
from twin.job import Job, ResultOption, RunIdOption, plain_errors, run_job
from twin.models import picture_commands
from twin.models.bases.fetch import Advance, Progress, fetch_base_model, find_kept
from twin.models.bases.kept import KeptBase, KeptBases
from twin.models.bases.memory import GIB, serving_memory, training_memory
from twin.settings import Settings, get_settings
from twin.stores.files import open_files

app = typer.Typer(
    help="Base models: fetched, pinned to a revision, kept once in the file store.",
    no_args_is_help=True,
)
app.add_typer(picture_commands.app, name="picture")

ModelArgument = Annotated[
    str, typer.Argument(help="ID or ID@REVISION, as `twin models list` shows it.")
]


@app.command()
def fetch(
    model: Annotated[
        str | None,
        typer.Argument(
            help="Hub id (owner/name[@revision]), name of the catalogue, folder, GGUF file, or "
            "s3://bucket/prefix. Not given: the recipe's training.base_model.",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="Recipe by name (include/recipes) or file.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="What recipes shall call it; unset means its own name."),
    ] = None,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Bring a base model into the file store, pinned to what its revision is now.

    Reads: the hub (HF_ENDPOINT, TWIN_HUB_TOKEN), a folder, a file, a bucket, or a package. Writes:
    `bases/` in the file store, whole or not at all. A killed download goes on where it stopped.
    Ends with 99, nothing to do, when the model is kept already.
    """
    if recipe is not None:

        def body(job: Job) -> None:
            wanted = model or job.recipe.training.base_model
            base = _fetched(wanted, name, job.settings, job.progress)
            job.result.ids.update(base_model=base.name, base_digest=base.digest)
            job.result.uris["base_model"] = open_files(job.settings).uri(base.folder)
            job.result.detail.update(_facts(base))
            job.counts.written = 1

        run_job("models fetch", body, recipe=recipe, run_id=run_id, result=result)
    with plain_errors("models fetch"):
        if model is None:
            raise BadConfigurationError("which model? Give its id, or --recipe NAME")
        base = _fetched(model, name, get_settings(), progress_bar)
    _print(base)


@app.command("list")
def list_bases() -> None:
    """List the base models in the file store, with size, licence and revision.

    Reads: the file store. Writes: nothing.
    """
    with plain_errors("models list"):
        for base in KeptBases(open_files(get_settings())).all():
            size = f"{base.size / 1e9:.2f} GB"
            parameters = f"{base.parameters / 1e6:,.0f}M"
            typer.echo(f"{base.name}  {parameters}  {size}  {base.architecture}  {base.licence}")


@app.command()
def show(model: ModelArgument) -> None:
    """Show what is recorded of a base model (source, revision, licence, digests), and its memory.

    Reads: the file store. Writes: nothing.
    """
    with plain_errors("models show"):
        base = _kept(model)
        _print(base)
        _print_memory(base)


@app.command()
def remove(model: ModelArgument) -> None:
    """Delete a base model from the file store. Fetching it again resolves its revision anew.

    Writes: the file store. What was trained on it stays, and needs it to be packaged again.
    """
    with plain_errors("models remove"):
        base = _kept(model)
        KeptBases(open_files(get_settings())).remove(base)
        typer.echo(f"{base.name} is removed")


def _fetched(model: str, name: str | None, settings: Settings, progress: Progress) -> KeptBase:
    base, new = fetch_base_model(model, settings, id=name, progress=progress)
    if not new:
        raise NothingToDo(
            f"{base.name} is kept already, of {base.fetched:%Y-%m-%d}; for another revision name "
            f"it after @, or run `twin models remove {base.name}` first"
        )
    return base


def _kept(model: str) -> KeptBase:
    kept = KeptBases(open_files(get_settings()))
    if (base := find_kept(model, kept)) is None:
        names = ", ".join(base.name for base in kept.all()) or "none"
        raise BadDataError(f"no base model {model!r} is kept: there are {names}")
    return base


def _facts(base: KeptBase) -> dict[str, object]:
    return base.model_dump(mode="json")


def _print(base: KeptBase) -> None:
    for key, value in _facts(base).items():
        shown = ", ".join(item or "(none)" for item in value) if isinstance(value, list) else value
        typer.echo(f"{key:<15} {shown}")
    typer.echo(f"{'uri':<15} {open_files(get_settings()).uri(base.folder)}")


def _print_memory(base: KeptBase) -> None:
    config = open_files(get_settings()).read_json(f"{base.folder}/config.json")
    with suppress(KeyError):  # families that call their sizes otherwise
        training = training_memory(config, base.parameters, rank=16, tokens=768)
        serving = serving_memory(config, base.parameters, tokens=8 * 2048)
        typer.echo(f"{'training':<15} about {training / GIB:.1f} GiB: LoRA, 768 tokens at a time")
        typer.echo(f"{'serving':<15} about {serving / GIB:.1f} GiB: q8_0, eight times 2,048 tokens")


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Advance]:
    """Shows on standard error how many bytes have come."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)
