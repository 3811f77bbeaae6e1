"""Commands of `twin crawl`."""

import typer

app = typer.Typer(
    help="Fetch what the author has published into the warehouse.", no_args_is_help=True
)


@app.callback()
def _group() -> None:
    """Keeps this a group while it has fewer than two commands."""
