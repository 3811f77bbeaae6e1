"""Commands of `twin rollout`."""

import typer

app = typer.Typer(help="Bring the promoted model into service, or back out.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps this a group while it has fewer than two commands."""
