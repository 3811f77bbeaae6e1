"""Commands of `twin serving`."""

import typer

app = typer.Typer(help="The HTTP endpoint that answers.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps this a group while it has fewer than two commands."""
