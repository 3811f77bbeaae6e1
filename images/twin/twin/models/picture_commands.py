"""Commands of `twin models picture`: a picture and a model that somebody names."""

from pathlib import Path
from typing import Annotated

import typer

from twin.domain.terminal import printable
from twin.job import plain_errors

app = typer.Typer(
    help="Ask a model about pictures: its folder is named, none is installed or fetched.",
    no_args_is_help=True,
)

Picture = Annotated[Path, typer.Argument(help="PNG, JPEG, WebP or GIF.")]
Model = Annotated[
    Path, typer.Option("--model", help="Folder of a transformers model, in safetensors.")
]


@app.command()
def caption(picture: Picture, model: Model) -> None:
    """Say what is on a picture. Writes nothing."""
    from twin.models.vision import Writer

    with plain_errors("models picture caption"):
        typer.echo(printable(Writer(model).caption(picture)))


@app.command()
def ask(
    picture: Picture, question: Annotated[str, typer.Argument(help="About it.")], model: Model
) -> None:
    """Answer a question about a picture, or about the layout of a page. Writes nothing."""
    from twin.models.vision import Writer

    with plain_errors("models picture ask"):
        typer.echo(printable(Writer(model).answer(picture, question)))


@app.command()
def classify(
    picture: Picture,
    names: Annotated[list[str], typer.Argument(help="Classes, in words.")],
    model: Model,
) -> None:
    """Say how likely each class is, without training for them. Writes nothing."""
    from twin.models.vision import DualEncoder

    with plain_errors("models picture classify"):
        shares = DualEncoder(model).classes(picture, names)
        for name, share in sorted(zip(names, shares, strict=True), key=lambda pair: -pair[1]):
            typer.echo(printable(f"{share:.3f}  {name}"))


@app.command()
def find(
    words: Annotated[str, typer.Argument(help="What is to be on it.")],
    pictures: Annotated[list[Path], typer.Argument(help="Where to look.")],
    model: Model,
) -> None:
    """Order pictures by how near they are to words, the nearest first. Writes nothing."""
    from twin.models.vision import DualEncoder

    with plain_errors("models picture find"):
        encoder = DualEncoder(model)
        near = encoder.pictures(pictures) @ encoder.words([words])[0]
        for place in (-near).argsort(kind="stable"):
            typer.echo(printable(f"{near[place]:.3f}  {pictures[place]}"))
