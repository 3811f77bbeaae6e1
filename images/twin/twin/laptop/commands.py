"""Commands of `twin laptop`."""

import typer

app = typer.Typer(help="The whole platform as processes on one machine.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps this a group while it has fewer than two commands."""
