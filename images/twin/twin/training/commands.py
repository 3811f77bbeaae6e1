"""Commands of `twin training`."""

import typer

app = typer.Typer(help="Fine-tune the base model on the samples.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps this a group while it has fewer than two commands."""
