"""Commands of `twin evaluation`."""

import typer

app = typer.Typer(help="Measure a candidate and decide on its promotion.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps this a group while it has fewer than two commands."""
