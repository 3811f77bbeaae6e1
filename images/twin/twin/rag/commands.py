"""Commands of `twin rag`."""

import typer

app = typer.Typer(help="Search and ask on the command line.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps this a group while it has fewer than two commands."""
