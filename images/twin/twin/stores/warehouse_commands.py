"""Commands of `twin warehouse`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twin.domain.document import Document, DocumentStatus, Revision
from twin.domain.terminal import printable
from twin.job import plain_errors
from twin.settings import get_settings
from twin.text.words import count_words

if TYPE_CHECKING:
    from twin.stores.warehouse import Warehouse

app = typer.Typer(help="Look at, export and import the warehouse.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
AuthorOption = Annotated[
    str | None, typer.Option("--author", help="Only this author, by id.", show_default=False)
]
RecipeFilter = Annotated[
    str | None,
    typer.Option("--recipe", help="Only the author of this recipe.", show_default=False),
]

COLUMNS_OF_A_FILE = 240


@app.command("list")
def list_documents(
    recipe: RecipeFilter = None,
    author: AuthorOption = None,
    gone: Annotated[bool, typer.Option("--gone", help="Those gone from their source.")] = False,
    held: Annotated[
        bool,
        typer.Option("--held", help="Those that wait for their crawl to end well, by URL."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List documents, newest first, without their text.

    Reads: the warehouse. Writes: nothing.
    """
    from twin.stores.held_documents import HeldDocuments
    from twin.stores.warehouse import open_warehouse

    status = DocumentStatus.GONE if gone else DocumentStatus.LIVE
    with plain_errors("warehouse list"), open_warehouse(get_settings()) as warehouse:
        of = _author(recipe, author)
        documents = (
            HeldDocuments(warehouse).of(of) if held else list(warehouse.summaries(of, status))
        )
    if as_json:
        _print_json([item.model_dump(mode="json", exclude={"content"}) for item in documents])
    else:
        _print_table(documents)


@app.command()
def show(
    id_or_url: Annotated[str, typer.Argument(help="Id or canonical URL of a document.")],
    recipe: RecipeFilter = None,
    author: AuthorOption = None,
    revisions: Annotated[
        bool, typer.Option("--revisions", help="Every text it has had, instead of today's.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show a document: what is known about it, and its text as Markdown.

    Reads: the warehouse. Writes: nothing.
    """
    from twin.stores.warehouse import open_warehouse

    with plain_errors("warehouse show"), open_warehouse(get_settings()) as warehouse:
        document = _find(warehouse, id_or_url, _author(recipe, author))
        history = warehouse.revisions(document.id) if revisions else []
    if as_json:
        data = document.model_dump(mode="json")
        if revisions:
            data["revisions"] = [item.model_dump(mode="json") for item in history]
        _print_json(data)
    elif revisions:
        _print_history(document, history)
    else:
        _print_document(document)


@app.command("export")
def export_file(
    file: Annotated[Path, typer.Argument(help="JSON Lines file to write.", metavar="FILE.jsonl")],
    recipe: RecipeFilter = None,
    author: AuthorOption = None,
) -> None:
    """Write documents, revisions, quarantine and crawl records to a file.

    Reads: the warehouse. Writes: FILE, which appears when it is complete.
    """
    from twin.stores.warehouse import open_warehouse
    from twin.stores.warehouse_files import export_warehouse

    with plain_errors("warehouse export"), open_warehouse(get_settings()) as warehouse:
        counts = export_warehouse(warehouse, file, _author(recipe, author))
    typer.echo(f"{file}: {_sum(counts)}")


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="File written by export.", metavar="FILE.jsonl")],
) -> None:
    """Read a file written by export into the warehouse; importing again changes nothing.

    Reads: FILE, all of it, before anything is written. Writes: the warehouse; what it has under
    the same ids is replaced.
    """
    from twin.stores.warehouse import open_warehouse
    from twin.stores.warehouse_files import import_warehouse

    with plain_errors("warehouse import"), open_warehouse(get_settings()) as warehouse:
        counts = import_warehouse(warehouse, file)
    typer.echo(f"{file}: {_sum(counts)}")


def _author(recipe: str | None, author: str | None) -> str | None:
    """Id of the author to keep to: as given, or that of the recipe."""
    from twin.recipes import load_recipe

    if author is not None or recipe is None:
        return author
    return load_recipe(recipe, get_settings().recipes).author.id


def _find(warehouse: "Warehouse", id_or_url: str, author_id: str | None) -> Document:
    from twin.domain.errors import BadDataError

    by_id = warehouse.document(id_or_url)
    found = [by_id] if by_id else warehouse.documents_at(id_or_url)
    found = [item for item in found if author_id in {None, item.author_id}]
    if not found:
        raise BadDataError(f"no document {id_or_url!r}: `twin warehouse list --json` has them all")
    if len(found) > 1:
        authors = ", ".join(item.author_id for item in found)
        raise BadDataError(f"{id_or_url} is a document of {authors}: choose one by --author")
    return found[0]


def _print_json(data: object) -> None:
    typer.echo(json.dumps(data, ensure_ascii=False, indent=2))


def _print_table(documents: list[Document]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold")
    for name in ("author", "published", "title", "url", "id"):
        # Ids and URLs are there to be copied: they are wrapped, never cut.
        table.add_column(name, overflow="fold", no_wrap=name in {"author", "published"})
    for item in documents:
        published = f"{item.published:%Y-%m-%d}" if item.published else ""
        row = (item.author_id, published, item.title, item.url, item.id)
        table.add_row(*(Text(printable(cell)) for cell in row))
    console = Console()
    if not console.is_terminal:
        console.width = COLUMNS_OF_A_FILE
    console.print(table)
    console.print(f"{len(documents)} documents")


def _print_document(document: Document) -> None:
    data = document.model_dump(mode="json", exclude={"content"}, exclude_none=True)
    for key, value in data.items():
        text = ", ".join(value) if isinstance(value, list) else str(value)
        typer.echo(f"{key + ':':<14}{printable(text)}")
    typer.echo()
    typer.echo(printable(document.content))


def _print_history(document: Document, history: list[Revision]) -> None:
    typer.echo(printable(f"{document.title} ({document.url})"))
    for item in history:
        stands = " stands today" if item.revision == document.revision else ""
        words = count_words(item.content)
        typer.echo(f"{item.seen:%Y-%m-%d %H:%M}  {item.revision[:12]}  {words:>6} words{stands}")


def _sum(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
