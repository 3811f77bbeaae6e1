"""Commands of `twin backup`."""

from typing import Annotated

import typer

from twin.job import Job, RecipeOption, ResultOption, RunIdOption, plain_errors, run_job

app = typer.Typer(
    help="Copies of warehouse, index and SQL databases in the file store, and the way back.",
    no_args_is_help=True,
)

DEFAULT_KEEP = 14

NameOption = Annotated[
    str | None,
    typer.Option("--name", help="Which backup; the newest if not given.", show_default=False),
]


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
    `backups/RECIPE/MOMENT`, whole or not at all, and deletes the oldest beyond `--keep`. It goes
    from store to store as a stream: this machine's disk holds none of it.
    Ends with 99, nothing to do, when the newest backup holds the same.
    """

    def body(job: Job) -> None:
        from twin.backup.copies import create as create_backup

        create_backup(job, keep=keep)

    run_job("backup create", body, recipe=recipe, run_id=run_id, result=result)


@app.command()
def restore(
    recipe: RecipeOption,
    name: NameOption = None,
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


@app.command()
def drill(
    recipe: RecipeOption,
    name: NameOption = None,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Restore a backup in a scratch place, compare it with what was saved, and throw it away.

    Reads: the backup, checking every byte. Writes: a database `…_drill_RECIPE` beside the
    warehouse's and an index in a temporary folder, both gone at the end. Ends with 65 if what was
    restored has other counts or digests than the backup names.
    """

    def body(job: Job) -> None:
        from twin.backup.drill import drill as drill_backup

        drill_backup(job, name)

    run_job("backup drill", body, recipe=recipe, run_id=run_id, result=result)


@app.command()
def databases(
    recipe: RecipeOption,
    keep: Annotated[
        int, typer.Option("--keep", min=1, help="How many backups to keep, this one included.")
    ] = DEFAULT_KEEP,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Copy the SQL databases that TWIN_DATABASES names (MLflow's, Airflow's) into the file store.

    Reads: each database as it is at one moment, by pg_dump or SQLite's online backup, while its
    program goes on working. Writes: a folder `database-backups/MOMENT`, whole or not at all, and
    deletes the oldest beyond `--keep`. They belong to all recipes; any of them will do here.
    Ends with 99, nothing to do, when no database is named.
    """

    def body(job: Job) -> None:
        from twin.backup.databases import back_up_databases

        back_up_databases(job, keep=keep)

    run_job("backup databases", body, recipe=recipe, run_id=run_id, result=result)


@app.command("drill-databases")
def drill_databases(
    recipe: RecipeOption,
    name: NameOption = None,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Restore the databases' copies in a scratch place, compare their rows, and throw them away.

    Reads: the backup, checking every byte. Writes: a temporary folder with a PostgreSQL server of
    its own, or a file of SQLite's. The databases themselves are not touched. Ends with 65 if a
    table has other rows than it had.
    """

    def body(job: Job) -> None:
        from twin.backup.databases import rehearse_databases

        rehearse_databases(job, name)

    run_job("backup drill-databases", body, recipe=recipe, run_id=run_id, result=result)


@app.command("restore-database")
def restore_database(
    database: Annotated[str, typer.Argument(help="One of TWIN_DATABASES, such as mlflow.")],
    recipe: RecipeOption,
    name: NameOption = None,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Replace a SQL database by its copy. Stop its program before, start it after.

    Reads: the backup, checking every byte. Writes: the database, all tables of the copy or none.
    """

    def body(job: Job) -> None:
        from twin.backup.databases import restore_database as restore_one

        restore_one(job, database, name)

    run_job("backup restore-database", body, recipe=recipe, run_id=run_id, result=result)


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
