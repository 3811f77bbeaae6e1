"""Commands of `twin backup`."""

from typing import Annotated

import typer

from twin.job import Job, RecipeOption, ResultOption, RunIdOption, plain_errors, run_job

app = typer.Typer(
    help="Copies of warehouse and index in the file store, and the way back.", no_args_is_help=True
)

DEFAULT_KEEP = 14


@app.command()
def create(
    recipe: RecipeOption,
    keep: Annotated[
        int, typer.Option("--keep", min=1, help="How many backups to keep, this one included.")
    ] = DEFAULT_KEEP,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Copy the recipe's documents and its index into the file store.

    Reads: the author's records in the warehouse, and the published index. Writes: a folder
    `backups/RECIPE/MOMENT`, whole or not at all, and deletes the oldest beyond `--keep`.
    Ends with 99, nothing to do, when the newest backup holds the same.
    """

    def body(job: Job) -> None:
        from twin.backup.copies import create as create_backup

        create_backup(job, keep=keep)

    run_job("backup create", body, recipe=recipe, run_id=run_id, result=result)


@app.command()
def restore(
    recipe: RecipeOption,
    name: Annotated[
        str | None,
        typer.Option("--name", help="Which backup; the newest if not given.", show_default=False),
    ] = None,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Put a backup back into warehouse and index.

    Reads: the backup, checking every byte. Writes: the warehouse (what it has under the same ids
    is replaced, anything else stays) and a new release of the index. Again changes nothing.
    """

    def body(job: Job) -> None:
        from twin.backup.copies import restore as restore_backup

        restore_backup(job, name)

    run_job("backup restore", body, recipe=recipe, run_id=run_id, result=result)


@app.command("list")
def list_backups(recipe: RecipeOption) -> None:
    """List the recipe's backups, oldest first, with what they hold.

    Reads: the file store. Writes: nothing.
    """
    from twin.backup.copies import Backups
    from twin.recipes import load_recipe
    from twin.settings import get_settings
    from twin.stores.streamed_files import open_streams

    with plain_errors("backup list"):
        settings = get_settings()
        backups = Backups(open_streams(settings), load_recipe(recipe, settings.recipes).name)
        for name in backups.names():
            manifest = backups.manifest(name)
            held = ", ".join(f"{count} {what}" for what, count in manifest.warehouse.items())
            typer.echo(f"{name}  {held}, index {manifest.index_fingerprint or 'none'}")
