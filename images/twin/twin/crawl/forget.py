"""The forget job: erase a document wherever it is kept, and name the models that learnt from it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from twin.crawl.web.urls import canonical
from twin.domain.document import Document, Forgotten, document_id
from twin.domain.errors import BadDataError, NothingToDo
from twin.job import Job

if TYPE_CHECKING:
    from twin.stores.registry import ModelVersion
    from twin.stores.warehouse import Warehouse


def forget(job: Job, url: str, reason: str) -> None:
    """Erase the document at ``url`` from warehouse and index, and never store it again.

    The note that it is forgotten is written first, so a run that was killed is finished by the
    next one. The document need not be known: then its URL is only noted.

    Raises:
        NothingToDo: it was forgotten before and nothing of it is left.
        BadDataError: not a URL, or the URL of another author's document.
        TryAgainError: a store is away; run again.
    """
    from twin.stores.warehouse import open_warehouse

    with open_warehouse(job.settings) as warehouse:
        warehouse.prepare()
        notes = _notes(job, warehouse, url, reason)
        known = warehouse.forgotten(job.recipe.author.id)
        texts = sum(warehouse.forget(note) for note in notes)
    ids = {note.id for note in notes}
    chunks = _forget_in_index(job, ids)
    _report(job, notes, texts, chunks)
    if not (texts or chunks or ids - known.keys()):
        raise NothingToDo(f"{url} was forgotten before, and nothing of it is left")


def _notes(job: Job, warehouse: "Warehouse", url: str, reason: str) -> list[Forgotten]:
    """One for every name that the document goes by."""
    author = job.recipe.author.id
    try:
        name = canonical(url)
    except ValueError:
        raise BadDataError(f"{url}: not a URL") from None
    if "://" not in name:
        raise BadDataError(f"{url}: give the document's whole URL (`twin warehouse list`)")
    found = [item for item in _documents(warehouse, {url, name}) if item.author_id == author]
    urls = {item.id: item.url for item in found}
    # Also by the names themselves: a document that is not here yet must not come either.
    for other in {name, *(other for item in found for other in item.also_at)}:
        urls.setdefault(document_id(author, other), other)
    now = datetime.now(UTC)
    return [
        Forgotten(id=id_, author_id=author, url=where, reason=reason, when=now)
        for id_, where in urls.items()
    ]


def _documents(warehouse: "Warehouse", urls: set[str]) -> list[Document]:
    return [item for url in sorted(urls) for item in warehouse.documents_at(url)]


def _forget_in_index(job: Job, ids: set[str]) -> int:
    from twin.stores.index import open_index

    return open_index(job.settings, job.recipe).forget(ids)


def _report(job: Job, notes: list[Forgotten], texts: int, chunks: int) -> None:
    ids = {note.id for note in notes}
    sets = _sample_sets_with(job, ids)
    versions = _models_trained_on(job, sets)
    job.counts.read = len(notes)
    job.counts.written = texts + chunks
    job.result.ids["document"] = notes[0].id
    job.result.detail |= {
        "urls": sorted(note.url for note in notes),
        "texts erased": texts,
        "chunks erased": chunks,
        "sample sets that hold it": sets,
        "model versions trained on it": [
            f"{item.name} version {item.version}" for item in versions
        ],
    }


def _sample_sets_with(job: Job, ids: set[str]) -> list[str]:
    """Versions of the recipe's sample sets that were made with the document."""
    from twin.stores.files import open_files
    from twin.stores.sample_sets import SampleSets

    sets = SampleSets(open_files(job.settings), job.recipe.name)
    return [name for name in sets.versions() if ids & sets.manifest(name).documents.keys()]


def _models_trained_on(job: Job, sets: list[str]) -> "list[ModelVersion]":
    from twin.stores.registry import Registry

    if not sets:
        return []
    with Registry(job.settings) as registry:
        versions = registry.versions(job.recipe.model_name)
    return [item for item in versions if item.tags.get("dataset_version") in sets]
