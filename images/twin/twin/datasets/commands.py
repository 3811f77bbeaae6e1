"""Commands of `twin datasets`."""

import typer

app = typer.Typer(help="Make training samples from the index.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps this a group while it has fewer than two commands."""
