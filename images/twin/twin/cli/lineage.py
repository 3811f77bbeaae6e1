"""`twin lineage`: why did it say that, and what came of this."""

from pathlib import Path
from typing import Annotated

import typer

from twin.domain.terminal import printable
from twin.job import plain_errors
from twin.settings import get_settings


def lineage(
    thing: Annotated[
        str,
        typer.Argument(
            help="Id of an answer, of a chunk or of a document, or a model version such as "
            "twin-handbook:3 or twin-handbook@champion."
        ),
    ],
    picture: Annotated[
        Path | None, typer.Option("--mermaid", help="Also write it as a flowchart of Mermaid.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Show what something was made of and what was made of it, as far as manifests tell.

    Answers know their chunks and their model version, versions their samples and base model,
    samples their documents, chunks their document and revision. Reads: warehouse, indexes, sample
    sets, registry. Writes: nothing but the picture. Answers are shown without their words.
    """
    from twin.stores.lineage_walk import lineage_of

    with plain_errors("lineage"):
        found = lineage_of(get_settings(), thing)
    if picture is not None:
        picture.write_text(found.mermaid(), encoding="utf-8")
    typer.echo(found.model_dump_json(indent=2) if as_json else printable(found.text()))
