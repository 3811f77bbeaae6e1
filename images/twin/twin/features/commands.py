"""Commands of `twin features`."""

import typer

app = typer.Typer(help="Turn documents into a searchable index of chunks.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps this a group while it has fewer than two commands."""
