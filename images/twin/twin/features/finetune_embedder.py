"""The job `twin features finetune-embedder`: the recipe's embedder, trained on, if it wins.

Trained on the training split's questions of the data set. The index's own chunks are embedded anew,
and the search is asked the questions of the other splits with either embedder: the gain on
validation questions decides, the test split's is told. `features.embedder` takes only what has won.
"""

import hashlib
import random
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import structlog

from twin.domain.chunk import Chunk
from twin.domain.errors import BadConfigurationError, NothingToDo
from twin.domain.sample import Split
from twin.features.embedder_fit import fit
from twin.features.fitting import check_installed, steps_of
from twin.features.reranker_gain import K, paired_gain
from twin.features.reranker_questions import (
    DRAWN_FROM,
    AskedQuestion,
    Candidates,
    candidates_of,
    documents_of,
)
from twin.features.training_questions import Questions, read_questions
from twin.job import Job
from twin.models.embedder import INT8, Embedder, FolderEmbedder, load_embedder
from twin.rag.ranking import ndcg
from twin.rag.retrieve import Retriever, make_retriever
from twin.recipes import Recipe
from twin.recipes.embedder_tuning import EmbedderTuningSection
from twin.stores.embedded_index import EmbeddedIndex
from twin.stores.files import open_files
from twin.stores.index import IndexedDocument, IndexReader, IndexSpec, open_index
from twin.stores.sample_sets import SampleSetManifest, SampleSets
from twin.stores.trained_models import Gain
from twin.stores.tuned_embedders import EmbedderReport, TunedEmbedders

TRAINER = "1"
"""Version of this code, part of an embedder's: raise it when the same inputs give another one."""

DOCUMENTS_AT_ONCE = 32
"""Embedded and written together, so that a large index is never in memory whole."""

log = structlog.get_logger("twin")


def finetune_embedder(job: Job) -> None:
    """Train, measure and publish the embedder of a recipe.

    Raises:
        NothingToDo: the one of this index, data set and recipe is there already.
        BadDataError: no index, no data set, or too few questions in it.
        BadConfigurationError: an embedder without weights to begin with, or a library is missing.
    """
    recipe, settings = job.recipe, job.settings
    check_installed("an embedder")
    embedder = load_embedder(recipe.features.embedder, settings)
    if not isinstance(embedder, FolderEmbedder):
        raise BadConfigurationError(
            f"embedder {recipe.features.embedder!r} keeps no weights that training could go on "
            "from: set features.embedder to a folder or a hub id"
        )
    files = open_files(settings)
    sets, tuned = SampleSets(files, recipe.name), TunedEmbedders(files, recipe.name)
    manifest = sets.latest()
    reader = open_index(settings, recipe).read(embedder.id)
    version = _version(recipe, embedder.id, reader, manifest)
    job.result.ids.update(embedder=version, dataset_version=manifest.version)
    known = tuned.report(version)
    if known is not None:
        tuned.offer(known)
        _tell(job, known, tuned)
        raise NothingToDo(f"embedder {version} is of the index and the samples as they are")
    indexed = {chunk.id: chunk for chunk in reader.chunks()}
    questions = read_questions(job, sets, manifest, indexed)
    work = settings.home.resolve() / "embedders" / version
    work.mkdir(parents=True, exist_ok=True)
    plain = _without_reranker(recipe)
    knobs = recipe.features.tuning
    learned = documents_of(manifest.documents, Split.TRAIN)
    asked = questions[Split.TRAIN]
    with job.progress("passages that do not answer", len(asked)) as advance:
        retriever = make_retriever(plain, reader, embedder)
        candidates = drawn(asked, retriever, indexed, learned, knobs, advance)
    with job.progress("training steps", steps_of(len(candidates), knobs)) as advance:
        made = fit(embedder.folder, candidates, knobs, work, advance, settings.threads)
    gains = _gains(job, plain, reader, (embedder, _loaded(made, recipe, job)), questions, work)
    validation = gains[Split.VALIDATION]
    assert validation is not None  # noqa: S101 - `read_questions` has seen to it
    report = EmbedderReport(
        version=version,
        embedder=embedder.id,
        dataset_version=manifest.version,
        index_fingerprint=reader.state.fingerprint,
        trained_on=len(candidates),
        validation=validation,
        test=gains[Split.TEST],
        wins=validation.is_proved,
    )
    reader.close()
    job.result.uris["embedder"] = tuned.publish(made, report)
    shutil.rmtree(work, ignore_errors=True)
    _tell(job, report, tuned)


def drawn(
    questions: Sequence[AskedQuestion],
    retriever: Retriever,
    indexed: Mapping[str, Chunk],
    learned: Collection[str],
    knobs: EmbedderTuningSection,
    advance: Callable[[int], None],
) -> list[Candidates]:
    """What is trained on, the same each time, all with as many passages; the others are left out.

    Args:
        questions: of the training split.
        retriever: finds passages that do not answer.
        indexed: chunks by id.
        learned: documents that may be learned of.
        knobs: of the recipe.
        advance: told of each question.
    """
    draw = random.Random(knobs.seed)  # noqa: S311 - a draw, no secret
    chosen = draw.sample(list(questions), min(len(questions), knobs.max_questions))
    held_out = {chunk.document_id for chunk in indexed.values()} - set(learned)
    made = []
    for question in chosen:
        advance(1)
        if not knobs.negatives:
            right = indexed[draw.choice(sorted(question.relevant))]
            made.append(Candidates(question.text, (right.embedded_text,)))
            continue
        hits = retriever.hits(question.text, DRAWN_FROM + len(question.relevant))
        found = [hit.chunk for hit in hits]
        own = candidates_of(question, found, indexed, held_out, knobs.negatives, draw)
        if own and len(own.passages) == knobs.negatives + 1:
            made.append(own)
    return made


def _version(
    recipe: Recipe, embedder: str, reader: IndexReader, manifest: SampleSetManifest
) -> str:
    """SHA-256 (first 12 hex digits) of everything that shapes a tuned embedder and its report."""
    parts = (
        TRAINER,
        embedder,
        reader.state.fingerprint,
        manifest.version,
        recipe.features.tuning.model_dump_json(exclude={"save_steps", "mini_batch_size"}),
        _without_reranker(recipe).retrieval.model_dump_json(),
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _without_reranker(recipe: Recipe) -> Recipe:
    """The recipe with the search alone: what an embedder gains is its own."""
    plain = recipe.retrieval.model_copy(update={"rerank": "off"})
    return recipe.model_copy(update={"retrieval": plain})


def _loaded(folder: Path, recipe: Recipe, job: Job) -> Embedder:
    """The tuned embedder, run as the recipe runs its own."""
    name = recipe.features.embedder
    suffix = INT8 if name.endswith(INT8) else ""
    batch_size = recipe.features.batch_size
    return load_embedder(f"{folder}{suffix}", job.settings, batch_size=batch_size)


def _gains(
    job: Job,
    recipe: Recipe,
    reader: IndexReader,
    embedders: tuple[Embedder, Embedder],
    questions: Questions,
    work: Path,
) -> dict[Split, Gain | None]:
    """What the second embedder gains over the first, on questions that nothing was learned of.

    Both search an index of the same kind, of the same chunks.
    """
    splits = (Split.VALIDATION, Split.TEST)
    measured: list[dict[Split, list[float]]] = []
    for place, embedder in enumerate(embedders):
        index = EmbeddedIndex(work / f"index-{place}", recipe.name)
        with job.progress("documents embedded", len(reader.state.documents)) as advance:
            _copy(reader, index, embedder, advance)
        copied = index.read()
        retriever = make_retriever(recipe, copied, embedder)
        measured.append({split: list(_ndcg(questions[split], retriever)) for split in splits})
        copied.close()
    before, after = measured
    return {
        split: paired_gain(
            (question.document, was, now)
            for question, was, now in zip(
                questions[split], before[split], after[split], strict=True
            )
        )
        for split in splits
    }


def _copy(
    reader: IndexReader, index: EmbeddedIndex, embedder: Embedder, advance: Callable[[int], None]
) -> None:
    """An index of the same chunks with an embedder's vectors; those that are there are taken."""
    own = reader.spec.embedder == embedder.id
    spec = IndexSpec(embedder=embedder.id, chunker=reader.spec.chunker)
    with index.write(spec, embedder.dimension, rebuild=True) as writer:
        documents = iter(reader.documents())
        while some := list(islice(documents, DOCUMENTS_AT_ONCE)):
            writer.upsert(some if own else list(_embedded(some, embedder)))
            advance(len(some))
        writer.publish()


def _embedded(
    documents: Sequence[IndexedDocument], embedder: Embedder
) -> Iterator[IndexedDocument]:
    texts = [chunk.embedded_text for document in documents for chunk in document.chunks]
    vectors = iter(embedder.encode(texts))
    for document in documents:
        own = [next(vectors) for _ in document.chunks]
        yield IndexedDocument.of(document.id, document.state, document.chunks, own)


def _ndcg(questions: Sequence[AskedQuestion], retriever: Retriever) -> Iterator[float]:
    for question in questions:
        found = [hit.chunk.id for hit in retriever.hits(question.text, K)]
        yield ndcg(found, question.relevant, K)


def _tell(job: Job, report: EmbedderReport, tuned: TunedEmbedders) -> None:
    job.counts.written = int(report.wins)
    job.result.detail["report"] = report.model_dump(mode="json")
    gained = report.validation
    figures = {"before": round(gained.before, 3), "after": round(gained.after, 3)}
    if not report.wins:
        log.info(
            "the tuned embedder does not win, and the recipe keeps its own",
            documents=gained.documents, **figures,
        )  # fmt: skip
        return
    name = tuned.name(report.version)
    name += INT8 if job.recipe.features.embedder.endswith(INT8) else ""
    job.result.detail["features.embedder"] = name
    log.info(
        f"the tuned embedder wins: set features.embedder to {name}, and run `twin features build`",
        **figures,
    )
