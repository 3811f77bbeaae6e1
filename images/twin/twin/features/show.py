"""`twin features show`: what becomes of one document, from its text to its chunks."""

import difflib

from pydantic import BaseModel

from twin.domain.document import Document
from twin.domain.errors import BadDataError
from twin.features.chunker import chunker_of_recipe
from twin.features.plan import curate_author, read_heads, wanted_of
from twin.models.embedder import load_embedder
from twin.recipes import Recipe
from twin.settings import Settings
from twin.stores.warehouse import Warehouse, open_warehouse


class ShownChunk(BaseModel):
    """A chunk as a person wants to see it."""

    ordinal: int
    tokens: int
    headings: tuple[str, ...]
    section: tuple[int, int] | None
    language: str | None
    personal_data: tuple[str, ...]
    """Kind of each item that title, headings and text hold."""
    text: str


class Shown(BaseModel):
    """Before, after, and what was done between."""

    url: str
    title: str
    revision: str
    duplicate_of: str | None
    """URL of the document that is indexed in its place."""
    before: str
    after: str
    cleaned: list[str]
    """Lines that cleaning changed, as a unified diff without context."""
    left_out: list[str]
    """Blocks that other documents of the author hold too."""
    refused: list[tuple[str, str]]
    """Passages that fail a threshold of the recipe, with the reason."""
    personal_data: dict[str, int]
    """How many items of each kind title and text hold."""
    budget: int
    chunks: list[ShownChunk]


def show(recipe: Recipe, settings: Settings, url: str) -> Shown:
    """Clean and cut the document at ``url`` as a build would; writes nothing.

    Raises:
        BadDataError: the author has no live document at this URL.
        TryAgainError: the warehouse can't be reached.
    """
    features = recipe.features
    embedder = load_embedder(features.embedder, settings)
    chunker = chunker_of_recipe(recipe, embedder)
    with open_warehouse(settings) as warehouse:
        document = _document(warehouse, recipe, url)
        heads = read_heads(warehouse, recipe.author.id, chunker.detector.digest)
        curation = curate_author(warehouse, recipe.author.id, chunker, heads, keep=False)
        wanted = wanted_of(heads, curation)[document.id]
        original = warehouse.document(wanted.duplicate_of) if wanted.duplicate_of else None
    cut = chunker.cut(document, wanted.left_out, wanted.variant)
    return Shown(
        url=document.url,
        title=document.title,
        revision=document.revision,
        duplicate_of=original.url if original else None,
        before=document.content,
        after=cut.text,
        cleaned=_changes(document.content, chunker.clean(document.content)),
        left_out=cut.left_out,
        refused=cut.refused,
        personal_data=dict(cut.personal_data),
        budget=features.chunking(document.kind).chunk_tokens or 0,
        chunks=[
            ShownChunk(
                ordinal=chunk.ordinal,
                tokens=chunk.token_count,
                headings=chunk.headings,
                section=chunk.section,
                language=chunk.language,
                personal_data=chunk.personal_data or (),
                text=chunk.text,
            )
            for chunk in cut.chunks
        ],
    )


def _document(warehouse: Warehouse, recipe: Recipe, url: str) -> Document:
    author = recipe.author.id
    for document in warehouse.documents_at(url):
        if document.author_id == author:
            for live in warehouse.live_documents(author, [document.id]):
                return live
    raise BadDataError(
        f"author {author!r} has no live document at {url}: `twin warehouse list` names their URLs"
    )


def _changes(before: str, after: str) -> list[str]:
    """Lines taken away and put in; two texts of a megabyte are compared line by line only."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]
