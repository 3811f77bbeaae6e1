"""Commands of `twin warehouse`."""

import typer

app = typer.Typer(help="Look at, export and import the warehouse.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps this a group while it has fewer than two commands."""
