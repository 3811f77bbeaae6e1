"""The forget job: erase a document wherever it is kept, and name the models that learnt from it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from twin.crawl.web.urls import canonical, spellings
from twin.domain.document import Document, Forgotten, document_id
from twin.domain.errors import BadDataError, NothingToDo
from twin.job import Job
from twin.stores.answer_records import AnswerRecords
from twin.stores.answer_traces import AnswerTraces
from twin.stores.audit import note_action
from twin.stores.crawl_pages import CrawlPages
from twin.stores.evaluation_forgetting import forget_in_evaluations
from twin.stores.feedback_pairs import FeedbackPairs
from twin.stores.files import open_files
from twin.stores.generation_tables import forget_in_generations
from twin.stores.kept_replies import KeptReplies
from twin.stores.lineage import (
    SampleSet,
    embedders_trained_on,
    models_trained_on,
    rerankers_trained_on,
    sample_sets,
)
from twin.stores.question_reports import remove_reports
from twin.stores.registry import MODEL_PREFIX
from twin.stores.rollout_states import RolloutStates
from twin.stores.sample_sets import WRITERS, parts_of, recipes_with_samples, replies_of
from twin.stores.snapshots import open_snapshots
from twin.stores.verdicts import Verdicts

if TYPE_CHECKING:
    from twin.stores.warehouse import Warehouse


def forget(job: Job, url: str, reason: str) -> None:
    """Erase the document at ``url`` wherever it is kept, and never store it again.

    A guest's document is erased like the author's own, if a source of the author gave it.

    The note that it is forgotten is written before its texts go, so a run that was killed is
    finished by the next one. The document need not be known: then its URL is only noted.

    Raises:
        NothingToDo: it was forgotten before and nothing of it is left.
        BadDataError: not a URL.
        TryAgainError: a store is away; run again.
    """
    from twin.stores.warehouse import open_warehouse

    with open_warehouse(job.settings) as warehouse:
        warehouse.prepare()
        author = job.recipe.author.id
        pages = CrawlPages(warehouse)
        known = warehouse.forgotten(author)
        notes = _notes(warehouse, pages, job, url, reason)
        ids = {note.id for note in notes}
        # Raw pages first, and what leads to them last: a kill leaves the way there.
        named = {note.url for note in notes}
        urls = named | {page.url for page in pages.pages_of(ids)}
        urls |= {page.url for page in pages.pages_at(author, urls)}
        with open_snapshots(job.settings, author) as snapshots:
            raw = snapshots.forget(urls)
        answers = AnswerRecords(warehouse).forget(ids)
        texts = sum(warehouse.forget(note) for note in notes)
        pages.forget(ids, urls)
    chunks = _forget_in_indexes(job, ids)
    verdicts = _forget_in_verdicts(job, ids)
    feedback = _forget_in_feedback(job, ids)
    evaluations = forget_in_evaluations(job.settings, ids)
    replies = _forget_in_replies(job, ids) + evaluations.replies
    traces = _forget_in_traces(job, {note.url for note in notes})
    _remove_parts(job)
    remove_reports(open_files(job.settings))
    sets = sample_sets(job.settings, lambda manifest: bool(ids & manifest.documents.keys()))
    tables, left = forget_in_generations(job.settings, sets)
    _report(job, notes, texts, chunks, sets)
    job.result.detail["tables of generations emptied"] = tables
    job.result.detail["verdicts erased"] = verdicts
    job.result.detail["feedback pairs erased"] = feedback
    job.result.detail["replies erased"] = replies
    job.result.detail["reports redacted"] = evaluations.reports
    job.result.detail["artifacts to be erased by hand"] = [*evaluations.left, *left]
    job.result.detail["raw records erased"] = raw
    job.result.detail["answers erased"] = answers
    job.result.detail["traces erased"] = traces
    erased = (
        *(texts, chunks, verdicts, feedback, replies, evaluations.reports),
        *(raw, answers, traces, tables),
    )
    if not (any(erased) or ids - known.keys()):
        raise NothingToDo(f"{url} was forgotten before, and nothing of it is left")
    note_action(job.settings, "forgotten", url, job.run_id, {"author": author, "reason": reason})


def _notes(
    warehouse: "Warehouse", pages: CrawlPages, job: Job, url: str, reason: str
) -> list[Forgotten]:
    """One for every name that the document goes by."""
    author = job.recipe.author.id
    known = warehouse.forgotten(author).values()
    try:
        name = canonical(url)
    except ValueError:
        raise BadDataError(f"{url}: not a URL") from None
    if "://" not in name:
        raise BadDataError(f"{url}: give the document's whole URL (`twin warehouse list`)")
    names = {url, *spellings(name)}
    found = _documents(warehouse, pages, author, names)
    urls = {item.id: item.url for item in found}
    # What an earlier run has erased from the warehouse may still be elsewhere.
    urls |= {note.id: note.url for note in known if note.url in names}
    # Also by the names themselves: a document that is not here yet must not come either.
    others = {*urls.values(), *(at for item in found for at in item.also_at)} or {name}
    for other in others:
        urls.setdefault(document_id(author, other), other)
    now = datetime.now(UTC)
    return [
        Forgotten(id=id_, author_id=author, url=where, reason=reason, when=now)
        for id_, where in sorted(urls.items(), key=lambda item: item[1])
    ]


def _documents(
    warehouse: "Warehouse", pages: CrawlPages, author: str, urls: set[str]
) -> list[Document]:
    """Documents of these URLs that are the author's, or came from a source of the author."""
    ours = {page.document_id for page in pages.pages_at(author, urls)}
    return [
        item
        for item in warehouse.documents_at(*urls)
        if item.author_id == author or item.id in ours
    ]


def _forget_in_indexes(job: Job, ids: set[str]) -> int:
    """Erase chunks from the index of every recipe: an author may have several."""
    from twin.stores.index import open_index, open_index_of

    recipes = open_index(job.settings, job.recipe).recipes()
    return sum(open_index_of(job.settings, recipe).forget(ids) for recipe in recipes)


def _forget_in_verdicts(job: Job, ids: set[str]) -> int:
    """Erase what people have said of its samples: they may have written another answer."""
    files = open_files(job.settings)
    return sum(Verdicts(files, recipe).forget(ids) for recipe in recipes_with_samples(files))


def _forget_in_feedback(job: Job, ids: set[str]) -> int:
    """Erase the pairs of callers' feedback that it is part of, and what people have said of
    pairs: the verdicts first, since a candidate says which of them are of other documents too."""
    files, erased = open_files(job.settings), 0
    for recipe in recipes_with_samples(files):
        candidates = FeedbackPairs(files, recipe)
        gone = {each.pair.id for each in candidates.read() if not ids.isdisjoint(each.documents)}
        erased += Verdicts(files, recipe, on_pairs=True).forget(ids, gone)
        erased += candidates.forget(ids)
    return erased


def _forget_in_replies(job: Job, ids: set[str]) -> int:
    """Erase what teachers and judges have replied to its passages: they say what it says."""
    files = open_files(job.settings)
    return sum(
        KeptReplies(files, replies_of(recipe, writer)).forget(ids)
        for recipe in recipes_with_samples(files)
        for writer in WRITERS
    )


def _forget_in_traces(job: Job, urls: set[str]) -> int:
    """Erase the traces of answers that show its passages, of every twin that was ever in service:
    they have experiments of their own. Where none was, MLflow is not asked."""
    models = RolloutStates(job.settings).models()
    if not models:
        return 0
    with AnswerTraces(job.settings) as traces:
        return sum(traces.forget(model.removeprefix(MODEL_PREFIX), urls) for model in models)


def _remove_parts(job: Job) -> None:
    """Delete what shards have prepared for samples to come: it holds texts, and is made again."""
    files = open_files(job.settings)
    for recipe in recipes_with_samples(files):
        files.remove(parts_of(recipe))


def _report(
    job: Job, notes: list[Forgotten], texts: int, chunks: int, sets: list[SampleSet]
) -> None:
    versions = models_trained_on(job.settings, sets)
    job.result.detail["rerankers trained on it"] = rerankers_trained_on(job.settings, sets)
    job.result.detail["embedders trained on it"] = embedders_trained_on(job.settings, sets)
    job.counts.read = len(notes)
    job.counts.written = texts + chunks
    job.result.ids["document"] = notes[0].id
    job.result.detail |= {
        "urls": sorted({note.url for note in notes}),
        "texts erased": texts,
        "chunks erased": chunks,
        "sample sets that hold it": [f"{recipe}/{version}" for recipe, version in sets],
        "model versions trained on it": [
            f"{item.name} version {item.version}" for item in versions
        ],
    }
